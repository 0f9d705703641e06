"""What a round does to a population: who goes on as whom, and with which values and schedules. No training here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kickstarting.algo.parsing import parse_frames
from kickstarting.algo.pbt import draw, draw_other, perturb, significantly_better
from kickstarting.algo.schedules import Schedule
from kickstarting.config import Config
from kickstarting.hyperparameters import Scheduled
from kickstarting.learning import SCHEDULED
from kickstarting.population.config import PopulationConfig, ranges_of
from kickstarting.population.state import Population
from kickstarting.runs.checkpoint import Snapshot
from kickstarting.suites import Suite

LEAST = 10
"""Episodes of every task that are compared at least: as many as the paper of PBT compares (Jaderberg et al. 2017, 4.1.1)."""


def first_round(config: Config, population: PopulationConfig) -> Population:
    ranges, starts = ranges_of(config, population)
    values = [{**draw(ranges, _rng(config, 0, i)), **starts} for i in range(population.members)]
    return Population(0, values, [None] * population.members)


def member_schedules(config: Config, values: dict[str, float]) -> Scheduled:
    """All schedules of a member's next slice: the configuration's, with its values in three of them."""
    tuned = {name: evolved_schedule(config, values, name) for name in ("learning_rate", "entropy_cost")}
    alpha = evolved_schedule(config, values)
    return Scheduled(
        alphas=(alpha,) * len(config.teaching.teachers),
        shares=tuple(values[f"rho/{t}"] for t in range(len(config.teaching.teachers))),
        hyperparameters={name: config.parsed(name) for name in SCHEDULED} | tuned,
    )


def evolved_schedule(config: Config, values: dict[str, float], name: str = "schedule") -> Schedule:
    """The schedule that a member's values make of one of the configuration's fields: `alpha` is a factor of the teachers',
    a learning rate or an entropy cost the new start of its own."""
    schedule = config.parsed(name)
    if name != "schedule":
        return schedule.scaled(values[name] / schedule.start)
    horizon = values["horizon"] * config.total_frames if "horizon" in values else None
    return schedule.scaled(values.get("alpha", 0.0), horizon)


def look_around(state: Population, config: Config, population: PopulationConfig, suite: Suite) -> Population:
    """Exploit and explore, for all members at once, on the state before any of them changed."""
    ranges, _ = ranges_of(config, population)
    burn_in = parse_frames(population.burn_in, config.total_frames)
    window = 0 if config.run.score_frames else config.run.score_window
    windows = [score_samples(s, suite, window) if s else [] for s in state.snapshots]
    values, snapshots, lineage = [], [], list(state.lineage)
    for i, snapshot in enumerate(state.snapshots):
        assert snapshot is not None
        rng, source, own = _rng(config, state.round + 1, i), i, state.values[i]
        if evolving := burn_in <= snapshot.record["frames"] < config.total_frames:
            other = draw_other(i, population.members, rng)
            test = {"test": population.test, "significance": population.significance, "margin": population.margin}
            if windows[other] and windows[i] and significantly_better(windows[other], windows[i], **test):
                source = other
        taken = state.snapshots[source]
        assert taken is not None
        snapshots.append(replace(taken, record=_with_empty_windows(taken.record)) if source != i else taken)
        chances = {"probability": population.perturb_probability, "factor": population.perturb_factor}
        values.append(perturb(state.values[source], ranges, rng, **chances) if evolving else dict(own))
        score = float(np.mean(windows[i])) if windows[i] else None
        frames = snapshot.record["frames"]
        lineage.append({"round": state.round, "frames": frames, "member": i, "values": own, "score": score, "goes_on_as": source})
    return Population(state.round + 1, values, snapshots, lineage)


def score_samples(snapshot: Snapshot, suite: Suite, window: int) -> list[float]:
    """A member's recent scores, each the mean over tasks of one episode of every task; empty until every window is full, or, where
    window is 0 since frames decide what is recent, until every task has LEAST episodes.

    A mean over all episodes alike would weigh a task by how short its episodes are.
    """
    windows = snapshot.record["scores"]["windows"]
    rows = [[task.score(task.metric_of(r, s > 0)) for r, s, *_ in windows[task.name]] for task in suite.tasks]
    fewest = min(map(len, rows))
    many = window or fewest
    return np.mean([row[-many:] for row in rows], axis=0).tolist() if fewest >= (window or LEAST) else []


def _with_empty_windows(record: dict[str, Any]) -> dict[str, Any]:
    scores = record["scores"]
    return {**record, "scores": {**scores, "windows": {task: [] for task in scores["windows"]}}}


def _rng(config: Config, round_: int, member: int) -> np.random.Generator:
    """Derived, never saved: the same in the interrupted and in the uninterrupted population."""
    return np.random.default_rng((config.seed, round_, member))
