"""Histories of several directories as one: of several families, sources or runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from kickstarting.ad.summary import read
from kickstarting.runs.histories import About, Histories
from kickstarting.runs.histories_writer import write_histories
from kickstarting.runs.layout import HISTORIES
from kickstarting.runs.ownership import check_free, written_by_us


def join_histories(directories: Sequence[Path], out: Path) -> Histories:
    """Write them into a new directory. Raises ValueError, before that, if their spaces have nothing in common."""
    if len(directories) < 2:
        raise ValueError(f"{len(directories)} directory to join; name at least 2")
    check_free(out, "collection", "")
    joined = joined_histories([read(directory) for directory in directories])
    with written_by_us(out):
        write_histories(out / HISTORIES, joined)
    return joined


def joined_histories(parts: Sequence[Histories]) -> Histories:
    """All histories, one behind the other. Where small numbers are observed, as cells of rooms, the largest room counts."""
    first = parts[0].about
    observed = {name: _joint(name, [part.about for part in parts]) for name in first.observation_space}
    for part in parts[1:]:
        if set(part.about.observation_space) != set(observed) or part.about.action_space != first.action_space:
            theirs = f"{part.about.observation_space} and {part.about.action_space}"
            raise ValueError(
                f"some histories have {first.observation_space} and {first.action_space}, others {theirs}; join what is "
                "observed and done alike"
            )
    facts = [part.about.facts for part in parts]
    same: dict[str, Any] = {name: x for name, x in facts[0].items() if all(fact.get(name) == x for fact in facts)}
    for one, many in (("family", "families"), ("suite", "suites")):
        names = sorted({str(fact[one]) for fact in facts if one in fact})
        same |= {many: names} if len(names) > 1 else {}
    about = About(spaces.Dict(observed), first.action_space, [task for part in parts for task in part.about.tasks], same)
    columns = {
        name: np.concatenate([part.columns[name].astype(dtype) for part in parts]) for name, (dtype, _) in about.kinds.items()
    }
    ends = np.concatenate([np.diff(part.starts) for part in parts]).cumsum()
    return Histories(about, columns, np.concatenate([[0], ends]))


def _joint(name: str, abouts: Sequence[About]) -> gymnasium.Space:
    found = [about.observation_space.spaces.get(name) for about in abouts]
    counts = [space.nvec for space in found if isinstance(space, spaces.MultiDiscrete)]
    if len(counts) == len(found) and len({len(x) for x in counts}) == 1:
        return spaces.MultiDiscrete(np.max(counts, axis=0))
    if any(space != found[0] for space in found) or found[0] is None:
        raise ValueError(
            f"observation {name!r} is {' or '.join(map(str, dict.fromkeys(map(str, found))))}; join what is observed alike"
        )
    return found[0]
