"""How a population evolves: its configuration, its state between two rounds, and what a round does to it. No training here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kickstarting.algo.pbt import Range, draw, draw_other, perturb, significantly_better
from kickstarting.algo.schedules import Schedule, parse_frames
from kickstarting.config import Config
from kickstarting.runs.checkpoint import Snapshot
from kickstarting.suites import Suite


@dataclass(frozen=True)
class PopulationConfig:
    """How a population evolves. Ranges are LOW:HIGH[:START]; without START the members start log-uniformly in the range."""

    members: int = 8
    slice: str = "2%"
    """Frames of a member between two looks at another one."""
    burn_in: str = "4%"
    """Frames before the first look."""
    test: str = "welch"
    """When another member is significantly better: welch (t-test) or margin."""
    significance: float = 0.05
    """Of Welch's test, one-sided."""
    margin: float = 5.0
    """Points of score, of the test `margin`."""
    perturb_probability: float = 0.33
    perturb_factor: float = 1.2
    alpha_range: str = "0.001:2:1"
    """Strength of all teachers, a factor of --schedule."""
    horizon_range: str = "0.05:1"
    """Share of the run over which --schedule falls; a schedule without a horizon, as constant:1, has none to tune."""
    rho_range: str = "0.05:1:1"
    """Share of each teacher."""
    learning_rate_range: str = "3e-4:1e-2:3e-3"
    """Where --learning-rate starts; its shape is kept."""
    entropy_cost_range: str = "1e-3:5e-2:1e-2"
    """Where --entropy-cost starts; its shape is kept."""

    def check(self, config: Config) -> None:
        """Raise ValueError, with the remedy, for what cannot work with such members."""
        if self.members < 2:
            raise ValueError(f"a population of {self.members} cannot evolve; give at least 2 members, or use `kickstart train`")
        if self.test not in ("welch", "margin"):
            raise ValueError(f"test is {self.test!r}; known: welch, margin")
        if not 0 <= self.perturb_probability <= 1 or not self.perturb_factor > 1:
            raise ValueError(
                f"perturb_probability is {self.perturb_probability}, perturb_factor {self.perturb_factor}; "
                "the first must lie in [0, 1], the second above 1"
            )
        for name in ("alpha_range", "horizon_range", "rho_range", "learning_rate_range", "entropy_cost_range"):
            parse_range(name, getattr(self, name))
        if config.schedule.endswith(".json"):
            raise ValueError(
                f"schedule is {config.schedule}, but a population evolves a schedule of its own; leave it out, or name one, "
                "as linear:1:0:20%"
            )
        for name in ("learning_rate", "entropy_cost"):
            if config.parsed(name).start == 0:
                raise ValueError(f"{name} {getattr(config, name)!r} starts at 0, which no factor changes; start above 0")
        for name in ("slice", "burn_in"):
            try:
                parse_frames(getattr(self, name), config.total_frames)
            except ValueError as error:
                raise ValueError(f"{name}: {error}; give frames or a share of the run, as 2%") from None


def parse_range(name: str, text: str) -> tuple[Range, float | None]:
    """LOW:HIGH[:START]. Raises ValueError if it is none, or START lies outside."""
    try:
        numbers = [float(part) for part in text.split(":")]
        low, high = numbers[:2]
        (start,) = numbers[2:] or [None]
    except ValueError:
        raise ValueError(f"{name} {text!r} is no range; write LOW:HIGH or LOW:HIGH:START") from None
    if not 0 < low <= high:
        raise ValueError(f"{name} {text!r}: a range is 0 < LOW <= HIGH, since values are multiplied")
    if start is not None and not low <= start <= high:
        raise ValueError(f"{name} starts at {start:g}, outside its range {low:g} to {high:g}; widen it or start inside")
    return Range(low, high), start


@dataclass
class Population:
    """All of a population's state between two rounds."""

    round: int
    values: list[dict[str, float]]
    """Hyperparameters of each member: alpha, horizon if there is one, rho/0, rho/1, ..., learning_rate, entropy_cost."""
    snapshots: list[Snapshot | None]
    lineage: list[dict[str, Any]] = field(default_factory=list)
    """For each round and member: the values it trained with, its score, and whose weights it goes on with."""


def ranges_of(config: Config, population: PopulationConfig) -> tuple[dict[str, Range], dict[str, float]]:
    """Ranges and fixed starts of everything that this population tunes."""
    written = {"learning_rate": population.learning_rate_range, "entropy_cost": population.entropy_cost_range}
    if config.teachers:
        shares = {f"rho/{t}": population.rho_range for t in range(len(config.teachers))}
        horizon = {"horizon": population.horizon_range} if math.isfinite(config.parsed("schedule").horizon) else {}
        written = {"alpha": population.alpha_range, **horizon, **shares, **written}
    parsed = {name: parse_range(name, text) for name, text in written.items()}
    return {name: r for name, (r, _) in parsed.items()}, {name: s for name, (_, s) in parsed.items() if s is not None}


def first_round(config: Config, population: PopulationConfig) -> Population:
    ranges, starts = ranges_of(config, population)
    values = [{**draw(ranges, _rng(config, 0, i)), **starts} for i in range(population.members)]
    return Population(0, values, [None] * population.members)


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
    windows = [score_samples(s, suite, config.score_window) if s else [] for s in state.snapshots]
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
    """A member's recent scores, each the mean over tasks of one episode of every task; empty until every window is full.

    A mean over all episodes alike would weigh a task by how short its episodes are.
    """
    windows = snapshot.record["scores"]["windows"]
    rows = [[task.score(task.metric_of(r, s > 0)) for r, s in windows[task.name]] for task in suite.tasks]
    return np.mean(rows, axis=0).tolist() if all(len(row) == window for row in rows) else []


def _with_empty_windows(record: dict[str, Any]) -> dict[str, Any]:
    scores = record["scores"]
    return {**record, "scores": {**scores, "windows": {task: [] for task in scores["windows"]}}}


def member_seed(config: Config, member: int) -> int:
    """Of everything random in a member's training."""
    return 1000 * config.seed + member


def _rng(config: Config, round_: int, member: int) -> np.random.Generator:
    """Derived, never saved: the same in the interrupted and in the uninterrupted population."""
    return np.random.default_rng((config.seed, round_, member))


def ancestry(lineage: list[dict[str, Any]], member: int) -> list[dict[str, Any]]:
    """The rounds that led to a member as it stands at the end: whose slice it was, with which values."""
    by_round = {(entry["round"], entry["member"]): entry for entry in lineage}
    path = [by_round[lineage[-1]["round"], member]]
    while path[-1]["round"]:
        before = path[-1]["round"] - 1
        path.append(by_round[before, by_round[before, path[-1]["member"]]["goes_on_as"]])
    return path[::-1]
