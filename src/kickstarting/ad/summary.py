"""What a file of histories holds, in numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.table import Table

from kickstarting.ad.slices import Slices
from kickstarting.console import literal
from kickstarting.runs.histories import Histories, read_histories
from kickstarting.runs.layout import HISTORIES
from kickstarting.spaces import make_distribution

FACTS = ("family", "source", "suite", "every", "seed", "split_seed")


def read(directory: Path) -> Histories:
    """The histories of a directory, or in a file."""
    return read_histories(directory / HISTORIES if directory.is_dir() else directory)


def curve_of(histories: Histories) -> np.ndarray:
    """Returns [histories, episodes of the shortest]."""
    return Slices(histories, make_distribution(histories.about.action_space)).returns()


def histories_table(histories: Histories) -> Table:
    """Two columns of facts."""
    slices = Slices(histories, make_distribution(histories.about.action_space), terminal=False)
    returns = slices.returns()
    tenth = max(1, returns.shape[1] // 10)
    moments = np.linspace(0, returns.shape[1] - tenth, min(5, returns.shape[1])).astype(int)
    table = Table("", "", show_header=False)
    rows = {
        "histories": f"{len(histories):,} of {len({str(task) for task in histories.about.tasks}):,} tasks",
        "episodes of a history": f"{returns.shape[1]:,} at least",
        "steps of an episode": f"{slices.lengths.min():,} to {slices.lengths.max():,}",
        "transitions": f"{int(histories.columns['valid'].sum()):,}",
        "observations": str(histories.about.observation_space),
        "actions": str(histories.about.action_space),
        **{name: str(value) for name, value in histories.about.facts.items() if name in FACTS},
        "return over time": "  ".join(f"{returns[:, m : m + tenth].mean():.3f}" for m in moments)
        + f"  (means of {tenth} episodes)",
    }
    for name, value in rows.items():
        table.add_row(literal(name), literal(value))
    return table
