"""Successive halving: which configurations a tuning compares, for how long each, and who goes on. No training here.

Every rung trains what is left for three times the frames of the one before, from its own checkpoints, and the best third goes
on (Jamieson and Talwalkar 2016). Configuration 0 is the default. It always goes on, so that the winner is compared with it over
the frames of a full run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kickstarting.algo.parsing import written
from kickstarting.algo.schedules import Schedule
from kickstarting.config import Config
from kickstarting.tuning.recipe import settings

ETA = 3
MOST_RUNGS = 3
"""The first rung is then a ninth of a run; less says little about a run's end."""
MOST_RUNS = 1000
TRIES = 100


@dataclass(frozen=True)
class Rung:
    """So many runs, each as far as `frames`."""

    runs: int
    frames: int


@dataclass(frozen=True)
class Setting:
    """What is searched, as factors of the default's value."""

    name: str
    kind: str
    """log: a factor between the two, uniform in the logarithm; choice: one of the factors."""
    factors: tuple[float, ...]
    of: str = "start"
    """Of a schedule: start (its end keeps its ratio), or length (of all in it that is frames)."""


SPACE = (
    Setting("learning_rate", "log", (1 / 4, 4)),
    Setting("entropy_cost", "log", (1 / 5, 5)),
    Setting("unroll_length", "choice", (1 / 2, 1, 2)),
    Setting("epochs", "choice", (1 / 2, 1, 2)),
    Setting("minibatches", "choice", (1 / 2, 1, 2)),
)
WITH_TEACHERS = (
    Setting("schedule", "log", (1 / 4, 4)),
    Setting("schedule", "log", (1 / 4, 4), of="length"),
)


def space(config: Config) -> list[Setting]:
    """What can be searched around a configuration: a factor changes neither 0 nor a length that is not there."""
    result = []
    for setting in (*SPACE, *(WITH_TEACHERS if config.teaching.teachers else ())):
        value = settings(config)[setting.name]
        if setting.of == "length":
            schedule = config.parsed(setting.name)
            value = schedule.changed(frames=lambda frames: frames / 2) != schedule
        elif isinstance(value, str):
            value = config.parsed(setting.name).start
        if value:
            result.append(setting)
    return result


def draw(config: Config, number: int) -> Config:
    """Configuration `number` around configuration 0: the same for the same seed, whatever the budget.

    Raises ValueError if none that was drawn can work.
    """
    if number == 0:
        return config
    rng = np.random.default_rng((config.seed, number))
    error = None
    for _ in range(TRIES):
        drawn = config
        try:
            for setting in space(config):
                drawn = drawn.changed(**{setting.name: _drawn(drawn, setting, rng)})
            drawn.check()
            return drawn
        except ValueError as refused:
            error = refused
    raise ValueError(f"no configuration around the default can work: {error}")


def _drawn(config: Config, setting: Setting, rng: np.random.Generator) -> Any:
    if setting.kind == "log":
        low, high = np.log(setting.factors)
        factor = math.exp(rng.uniform(low, high))
    else:
        factor = float(rng.choice(setting.factors))
    value = settings(config)[setting.name]
    if not isinstance(value, str):
        return max(1, round(value * factor))
    schedule = config.parsed(setting.name)
    drawn = rescaled(schedule, factor) if setting.of == "start" else stretched(schedule, factor, config.total_frames)
    return written(drawn, config.total_frames)  # as shares of a run: a recipe is used for runs of other lengths


def rescaled(schedule: Schedule, factor: float) -> Schedule:
    """A schedule with `factor` times its values, to two digits."""
    return schedule.changed(values=lambda value: _rounded(value * factor))


def stretched(schedule: Schedule, factor: float, total_frames: int) -> Schedule:
    """A schedule that takes `factor` times its frames, a full run at most, to two digits of a share of the run."""
    return schedule.changed(frames=lambda frames: _rounded(100 * min(1.0, frames * factor / total_frames)) * total_frames / 100)


def _rounded(x: float) -> float:
    return float(f"{x:.2g}")


def slice_frames(total_frames: int) -> int:
    """Frames between two checkpoints; every rung ends at one."""
    return -(-total_frames // ETA ** (MOST_RUNGS - 1))


def rungs_of(runs: int, total_frames: int) -> list[Rung]:
    """Thirds of the runs, two at least, the last ones as far as a full run."""
    counts = [runs]
    while counts[-1] > 2 and len(counts) < MOST_RUNGS:
        counts.append(max(2, -(-counts[-1] // ETA)))
    first = MOST_RUNGS - len(counts)
    return [Rung(count, min(total_frames, slice_frames(total_frames) * ETA ** (first + i))) for i, count in enumerate(counts)]


def cost(rungs: Sequence[Rung]) -> int:
    """Frames over all runs and rungs; each goes on where the one before ended."""
    before = [0, *(rung.frames for rung in rungs)]
    return sum(rung.runs * (rung.frames - since) for rung, since in zip(rungs, before, strict=False))


def plan(budget: int, total_frames: int) -> list[Rung]:
    """As many configurations as the budget pays for. Raises ValueError, with the least budget, if it does not pay for two."""
    least = cost(rungs_of(2, total_frames))
    if budget < least:
        raise ValueError(
            f"budget is {budget} frames, but two configurations of a full run of {total_frames} take {least}; give at least "
            f"--budget {least}, or shorter runs with --frames"
        )
    most = min(MOST_RUNS, budget // slice_frames(total_frames))
    affordable = [runs for runs in range(2, most + 1) if cost(rungs_of(runs, total_frames)) <= budget]
    return rungs_of(affordable[-1], total_frames)


def rung_score(lines: Sequence[Mapping[str, Any]], frames: int) -> float | None:
    """The mean training score over the last fifth of the first `frames` of a run's metrics; None if it had none."""
    end = next((i for i, line in enumerate(lines) if line["frames"] >= frames), len(lines))
    last = [line.get("score") for line in lines[: end + 1] if line["frames"] > 0.8 * frames]
    known = [score for score in last if score is not None]
    return float(np.mean(known)) if known else None


def ranked(scores: Mapping[int, float | None]) -> list[int]:
    """Configurations with a score, the best first, of equals the first."""
    known = {i: score for i, score in scores.items() if score is not None}
    return sorted(known, key=lambda i: (-known[i], i))


def survivors(scores: Mapping[int, float | None], runs: int) -> list[int]:
    """The default, and the best of the others."""
    return [0, *[i for i in ranked(scores) if i != 0][: runs - 1]]
