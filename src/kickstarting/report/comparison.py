"""What a comparison found, as plain data: everything that a table, a figure or a page shows."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from kickstarting.report.lineage import Lineage

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number and its bootstrap interval.

    value: None where it is not defined, such as the frames to a level that is never reached.
    low, high: None without resamples (one seed); infinite where too many resamples never reach the level.
    bound: "≤" or "≥" where the value is only that, because a curve starts above the level.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    bound: str = ""


@dataclass(frozen=True)
class Curve:
    """A mean over seeds at increasing frames. low, high: its interval, empty with one seed."""

    frames: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class Level:
    """A score to reach. baseline_final: this is the final score of the baseline, drawn anew in every resample."""

    score: float
    baseline_final: bool = False


@dataclass(frozen=True)
class Versus:
    """A group against the baseline. Positive improvements (percent) and speed-ups above 1 favour the group."""

    improvements: tuple[Estimate, ...]
    """Of the scores at `Comparison.at_frames`."""
    speedups: tuple[Estimate, ...]
    """Frames of the baseline over frames of the group, for each of `Comparison.levels`."""
    final_improvement: Estimate
    probability_of_improvement: Estimate | None
    """That a random seed ends above a random one of the baseline on a random task; None if tasks are not logged."""


@dataclass(frozen=True)
class Passing:
    """A group against a teacher, on the tasks that the teacher was measured on."""

    teacher: str
    final: float
    """The group's final score on the teacher's tasks."""
    frames: Estimate
    """Until the group first came to the teacher's score."""
    passed: bool
    """It ended above the teacher."""
    tasks: int
    """How many the teacher was measured on; 0 if only its mean is known."""
    tasks_passed: int
    """On how many of these the group ended above it."""


@dataclass(frozen=True)
class GroupResult:
    name: str
    seeds: tuple[int, ...]
    frames: int
    """Of its shortest run; the curve ends there."""
    scores: tuple[Estimate, ...]
    frames_to: tuple[Estimate, ...]
    final: Estimate
    """Mean of the last 5 % of frames; median and iqm are over the same window, None if tasks are not logged."""
    median: Estimate | None
    iqm: Estimate | None
    tasks: dict[str, Estimate]
    passing: tuple[Passing, ...]
    versus: Versus | None
    """None for the baseline."""
    curve: Curve
    lambdas: dict[str, Curve]


@dataclass(frozen=True)
class TeacherResult:
    name: str
    score: float
    tasks: dict[str, float]
    whole_suite: bool
    """Measured on every task, so that its score can be held against the suite's."""
    experts: int = 1
    """More: this is the union of so many teachers, the best of them on each task."""


@dataclass(frozen=True)
class ClusterEvent:
    """Something that happened to a part of a run on a cluster."""

    hours: float
    """Since the run began."""
    frames: int
    event: str
    """lost, restarted, stuck, dropped, gave up, drained."""
    part: str
    """actor 7, teacher worker 1."""
    node: str
    text: str


@dataclass(frozen=True)
class ClusterPart:
    name: str
    node: str
    """Where it was last."""
    alive: tuple[tuple[float, float], ...]
    """From when to when, in hours."""


@dataclass(frozen=True)
class ClusterHistory:
    """A run on a cluster. Curves are at the hours `at`, None where a line of the metrics has no number."""

    name: str
    seed: int
    hours: float
    parts: tuple[ClusterPart, ...]
    events: tuple[ClusterEvent, ...]
    """In order, without the starts."""
    at: tuple[float, ...]
    lag: tuple[float | None, ...]
    """Mean over the unrolls of an update, in updates; lag_max: the largest."""
    lag_max: tuple[float | None, ...]
    alive: tuple[float | None, ...]
    """Actors."""
    queue: tuple[float | None, ...]
    lost: int | None
    """Unrolls that went down with an actor; dropped: that were too old. None if not counted."""
    dropped: int | None


@dataclass(frozen=True)
class Spell:
    """The frames over which a diagnosis of `health.py` stood in a run."""

    diagnosis: str
    """Its name, as in the metrics."""
    title: str
    advice: str
    since: int
    until: int | None
    """The line that said it had passed; None if it stood at the end."""


@dataclass(frozen=True)
class RunResult:
    name: str
    seed: int
    directory: str
    """Its last part only (of a population's best run the last two), so that a report can be shown to others."""
    teachers: tuple[str, ...]
    frames: int
    total_frames: int
    final: float
    seconds: float | None
    frames_per_second: float | None
    """The median over the run."""
    health: tuple[Spell, ...] | None = None
    """By their beginnings; None for a run that did not watch itself."""


@dataclass(frozen=True)
class Comparison:
    suite: str
    points: bool
    """Scores are points, of which the reference has 100; else some of them are returns, of tasks without a reference."""
    baseline: str
    at_frames: tuple[int, ...]
    levels: tuple[Level, ...]
    groups: tuple[GroupResult, ...]
    """The baseline first."""
    teachers: tuple[TeacherResult, ...]
    yardsticks: tuple[TeacherResult, ...]
    """What the groups are held against: teachers, or many experts as one; `GroupResult.passing` is in this order."""
    lineages: tuple[Lineage, ...]
    """One for each run that is the best of a population."""
    clusters: tuple[ClusterHistory, ...]
    """One for each run that was on a cluster."""
    runs: tuple[RunResult, ...]
    notes: tuple[str, ...]
    """What a reader must know before trusting the numbers: unfinished runs, few seeds, unequal budgets."""
    bootstrap: int
    bootstrap_seed: int
    smooth_frames: int | None

    @property
    def baseline_result(self) -> GroupResult:
        return self.groups[0]

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.groups[0].tasks)

    def to_dict(self) -> dict[str, Any]:
        """For json.dumps(allow_nan=False): infinite ends of intervals are the strings "inf" and "-inf"; float() reads them."""
        return {"confidence": CONFIDENCE, **_jsonable(dataclasses.asdict(self))}


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return round(value, 4) if math.isfinite(value) else str(value)
    return value
