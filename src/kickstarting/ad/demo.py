"""The demo: a model that the package ships learns rooms that it never saw, within its context, with frozen weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console

from kickstarting.ad.evaluation import Outcome, evaluate_in_context
from kickstarting.ad.figures import curves_figure, path_animation, paths_figure, write_figure
from kickstarting.ad.progress import shown
from kickstarting.ad.results import LATEST
from kickstarting.ad.saved import load_model
from kickstarting.ad.tasks import find_family
from kickstarting.ad.tasks.grid import Rooms
from kickstarting.console import say
from kickstarting.machine import use_machine
from kickstarting.runs.files import check_writable, make_directory

SHIPPED = Path(__file__).parent / "zoo" / "dark-room"
"""Trained by scripts/make_ad_zoo.py."""


def run_demo(out: Path, *, episodes: int, seed: int, console: Console) -> Outcome:
    """Run the shipped model on all test goals of Dark Room, and draw the agent of one of them."""
    check_writable(out)
    use_machine(1)
    model = load_model(SHIPPED)
    family = find_family(model.family)
    assert isinstance(family, Rooms)
    goals = family.split(int(model.facts["split_seed"])).test
    rooms = f"{len(goals)} dark rooms of {family.size}x{family.size} cells"
    say(console, f"A frozen model, trained on learning histories of {model.facts['source']} in other rooms, enters {rooms}.")
    say(console, "It sees where it is, not where the goal is. Whatever it learns is in its context.")
    with shown(console, "in context", "episodes") as progress:
        outcome = evaluate_in_context(model, family, goals, episodes=episodes, seed=seed, keep_paths=True, progress=progress)
    for first in range(0, episodes, 10):
        share = outcome.curve[first : first + 10].mean()
        numbers = f"episodes {first + 1:>3} to {min(first + 10, episodes):>3}"
        say(console, f"{numbers}  {share:>6.1%} of the optimum  {'#' * round(40 * share)}")
    say(console, f"goals that it failed to find: {outcome.failed(LATEST):.0%} of {len(goals)}")
    draw(outcome, goals, family, out)
    say(console, f"open {(out / 'path.gif').resolve()}")
    return outcome


def draw(outcome: Outcome, goals: np.ndarray, family: Rooms, out: Path) -> None:
    """paths.png and path.gif of the row that gained most, curve.png of all."""
    assert outcome.paths is not None
    make_directory(out)
    episodes = outcome.returns.shape[1]
    row = int(np.argmax(outcome.latest(LATEST) - outcome.returns[:, :3].mean(1) / outcome.optimum))
    paths, goal, returns = outcome.paths[row], goals[row].reshape(-1, 2), outcome.returns[row]
    shown = sorted({n for n in (0, 1, 3, 5, 9, 19, 39, episodes - 1) if n < episodes})
    write_figure(paths_figure(paths, goal, returns, family.size, shown), out / "paths.png")
    curve = {f"{len(goals)} held-out goals": outcome.returns / outcome.optimum[:, None]}
    write_figure(curves_figure(curve, "frozen weights, sampled actions"), out / "curve.png")
    path_animation(paths, goal, returns, float(outcome.optimum[row]), family.size, shown, out / "path.gif")
