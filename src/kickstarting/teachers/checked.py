"""What was measured of a teacher, as plain data, and when one way of playing is better than another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kickstarting.evaluate import TaskResult
from kickstarting.teachers.listen import Listened

LEAST_SCORE = 1.0
"""What a teacher must reach (of 100) above random on a task, besides its standard error, to be better than it."""
SURE = 3.0
"""Standard errors: what is compared with the best of some dozens must be farther away than with one."""
POINTS = 10.0
SHARE = 0.2
"""Of the larger of two scores that are no points: what is less is no other way of playing."""
WEAK = 50.0
"""Points. Below it other layouts are tried."""


@dataclass(frozen=True)
class Range:
    """What a teacher read of one observation, all numbers together."""

    low: float
    high: float
    root_mean_square: float
    outside: float
    """Share outside of the bounds that its own space has."""
    vector: bool


class Chance(NamedTuple):
    """What random actions bring on a task."""

    score: float
    error: float = 0.0
    """Its standard error; 0 where the suite says the score."""
    margin: float = 0.0
    """By which a teacher must be above it, besides the standard error of the difference."""


@dataclass(frozen=True)
class Fit:
    """Another layout of observations or actions under which a teacher scores more."""

    layout: str
    results: tuple[TaskResult, ...]
    before: tuple[TaskResult, ...]
    """As it is, on the same tasks."""


@dataclass(frozen=True)
class Checked:
    """All that was measured of a teacher on a suite. What was not measured is empty."""

    points: bool
    """Scores run from 0 (random) to 100 (the reference); else they are raw returns."""
    sampled: tuple[TaskResult, ...]
    random: Mapping[str, Chance]
    """By task."""
    listened: Listened
    greedy: tuple[TaskResult, ...] = ()
    forgetful: tuple[TaskResult, ...] = ()
    """Its state wiped at every step."""
    ranges: Mapping[str, Range] | None = None
    fit: Fit | None = None

    @property
    def useless(self) -> list[str]:
        """The tasks on which it is not above the random policy by more than the standard error."""
        return [r.task for r in self.sampled if not self.above_random(r)]

    def above_random(self, result: TaskResult, errors: float = 1.0) -> bool:
        """errors: by how many standard errors."""
        chance = self.random[result.task]
        return result.score - chance.score > chance.margin + errors * math.hypot(result.score_error, chance.error)

    @property
    def weak(self) -> list[str]:
        """The tasks on which something may be wrong with it: those, and where it has less than WEAK points. Where scores are no
        points nobody can tell, so all."""
        return [r.task for r in self.sampled if not self.points or r.score < WEAK or r.task in self.useless]


def mean_score(results: Sequence[TaskResult]) -> float:
    return sum(r.score for r in results) / len(results)


def clearly_above(results: Sequence[TaskResult], others: Sequence[TaskResult], points: bool) -> bool:
    """Whether one way of playing is better than another on the same tasks, beyond doubt."""
    gain = mean_score(results) - mean_score(others)
    error = math.sqrt(sum(r.score_error**2 for r in (*results, *others))) / len(results)
    margin = POINTS if points else SHARE * max(abs(mean_score(results)), abs(mean_score(others)))
    return gain > SURE * error and gain > margin
