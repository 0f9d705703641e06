"""What can be seen in a run's metrics: for each diagnosis a function of the lines so far and of facts about the run.

It returns what is seen, in numbers, or None. A number that is not known is nan, and every comparison with nan is false:
what is not known accuses nobody.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kickstarting.runs.metrics import explained_variance

LINES = 5
"""Several lines: a run has about 200, so this is a fortieth of it."""
EARLY = 0.2
"""Share of the frames before which a policy may still be near uniform, rewards may be missing, and a critic may guess."""
UNIFORM = 0.9
"""Of the largest entropy: of seven actions the most probable one has less than 40 %."""
COLLAPSED = 0.02
"""Of the largest entropy: of seven actions the most probable one has 99.5 %. Nothing else is tried any more."""
LATE = 0.75
"""Share of the frames after which a certain policy is what one wants."""
SOLVED = 90.0
"""Points, above which a certain policy is right to be certain."""
FALLEN = 0.1
"""Of the range that raw scores went through: so much below the best is more than their noise, and less than a relapse."""
EXPLODED = 20.0
"""Times the median: the error itself is 4.5 times as large."""
LEAST_VALUE_LOSS = 0.01
"""Squared reward. Below it the critic is wrong by 0.14, which hurts nobody, however small the median was."""
JUDGED = 0.1
"""Share of the frames over which a critic must know more than one number."""
MEDIAN_LINES = 10  # a median of fewer says little
CLIPPED_STEPS, CLIPPED_NORM = 0.95, 5.0
"""Share of the steps, and times max_grad_norm: Adam does not mind a gradient scaled alike in every step, but of one that
is cut to a fifth the clip hides the scale. A critic's weight above 1 scales it, and is granted."""
UNHEARD_BELOW = 0.01
"""Of a teacher's highest lambda: less counts as 0, since an exponential schedule never ends."""
NOISE = 20.0
"""Points, on one task: two standard errors of the difference between two success rates, over 50 and 64 episodes. The mean
over n tasks has 1 / sqrt(n) of it."""
CATCHING_UP = 0.1
"""Share of the frames: a student that will be at its teacher within it is on its way."""
HEARD = 0.1
"""Share of the frames in which a student that can follow its teacher at all comes closer to it."""
STUCK = 0.95
"""Of the first cross-entropy: 5 % are more than the noise of a line, which is a mean over thousands of transitions."""
STARTED_CLOSE = 0.8
"""Of the largest entropy, which is what a uniform student's cross-entropy to any teacher is. Below it the first one was
close already, and the teacher's own entropy, which is not known, may be all that is left."""
OFF_POLICY = 0.6
"""Share of the transitions. The mean of pi / mu is 1, so most can be above it only where the others are near 0: another
policy acted."""
EATEN = 30.0
"""Points: four times the standard error of a success rate over 50 episodes."""
SLOW = 1 / 3
"""Of the first speed. An equal neighbour on the machine takes half."""


@dataclass(frozen=True)
class Facts:
    """What lines are judged by, besides themselves."""

    total_frames: int
    tasks: tuple[str, ...] = ()
    points: bool = False
    """Scores run from 0 (random) to 100 (the reference); else they are raw returns."""
    most_entropy: float = math.nan
    """Nats of a policy that knows nothing, mean over the columns; nan for continuous actions, whose entropy has no bound."""
    max_grad_norm: float = math.nan
    schedule: str = "linear:1:0:20%"
    teacher_scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What each teacher scores on each task that it teaches."""


class Past:
    """The lines of a run up to now. begun: how many of them an earlier process wrote."""

    def __init__(self, facts: Facts, lines: Sequence[Mapping[str, Any]] = (), begun: int = 0) -> None:
        self.facts = facts
        self.lines = list(lines)
        self.begun = begun

    @property
    def share(self) -> float:
        """Of the run's frames that are over."""
        return self.lines[-1]["frames"] / self.facts.total_frames

    def column(self, name: str) -> np.ndarray:
        return np.array([_number(line.get(name)) for line in self.lines], dtype=float)

    def last(self, name: str) -> float:
        return _number(self.lines[-1].get(name))

    def smooth(self, name: str) -> np.ndarray:
        """Means over LINES lines; the last is over the last ones."""
        column = self.column(name)
        return np.convolve(column, np.full(LINES, 1 / LINES), "valid") if len(column) >= LINES else np.full(1, math.nan)


def uniform_policy(past: Past) -> str | None:
    entropy, most = -past.last("entropy_loss"), past.facts.most_entropy
    if past.share >= EARLY and entropy > UNIFORM * most > 0:
        return f"the policy is still near uniform: its entropy is {entropy / most:.0%} of the largest"
    return None


def collapsed_policy(past: Past) -> str | None:
    """The low entropy began before LATE, so that it does not pass by itself when the run comes there."""
    low = -past.column("entropy_loss") < COLLAPSED * past.facts.most_entropy
    began = past.column("frames")[np.flatnonzero(~low)[-1] + 1 if not low.all() else 0] if low[-1] else math.nan
    if began < LATE * past.facts.total_frames and past.last("policy_cost") != 0 and _unfinished(past):
        return f"the policy has become certain too early: it scores {past.last('score'):.3g} and no longer explores"
    return None


def _unfinished(past: Past) -> bool:
    if past.facts.points:
        return past.last("score") < SOLVED
    scores = _known(past.smooth("score"))
    return len(scores) > 0 and scores[-1] < scores.max() - FALLEN * np.ptp(scores)


def no_reward(past: Past) -> str | None:
    if past.share < EARLY:
        return None
    never = []
    for task in past.facts.tasks:
        returns, successes = (_known(past.column(f"task_{kind}/{task}")) for kind in ("return", "success"))
        never += [task] if len(returns) and not returns.any() and not successes.any() else []
    return f"no reward was ever seen on {_few(never)}" if never else None


def exploding_value(past: Past) -> str | None:
    """Against the median so far. A loss that grows because returns do is learned: the square of their growth is granted."""
    losses, now = _known(past.column("baseline_loss")), past.last("baseline_loss")
    if len(losses) <= MEDIAN_LINES or past.last("baseline_cost") == 0:
        return None
    returns = _sizes(past)
    before = float(np.median(_known(returns[:-1]))) if len(_known(returns[:-1])) else math.nan
    growth = returns[-1] / before if before > 0 else math.inf if returns[-1] > 0 else 1.0
    usual = float(np.median(losses))
    exploded = now > LEAST_VALUE_LOSS and now > EXPLODED * usual * max(1.0, growth) ** 2
    return f"the critic's loss explodes: {now:.3g}, where {usual:.3g} was usual" if exploded else None


def blind_critic(past: Past) -> str | None:
    """Over many lines, since a constant for each has an easy life. Without any reward the targets' variance is noise, and no share
    of it means anything."""
    began = past.lines[-1]["frames"] - JUDGED * past.facts.total_frames
    explained = explained_variance([line for line in past.lines if line["frames"] > began])
    if past.share >= EARLY + JUDGED and explained < 0 and past.last("baseline_cost") != 0 and _sizes(past)[-1] > 0:
        return f"the critic is worse than a constant: it explains {explained:.2f} of the returns' variance"
    return None


def clipped_gradient(past: Past) -> str | None:
    share, norm, most = past.last("grad_clipped"), past.last("grad_norm"), past.facts.max_grad_norm
    seen = f"the gradient is clipped in {share:.0%} of the steps: its norm is {norm:.3g}, max_grad_norm {most:g}"
    return seen if share > CLIPPED_STEPS and norm > CLIPPED_NORM * most * max(1.0, past.last("baseline_cost")) else None


def below_teacher(past: Past) -> str | None:
    """The teacher that is farthest ahead of those whose lambda has reached 0, if the student is not about to get there."""
    found: dict[float, str] = {}
    for teacher, scores in past.facts.teacher_scores.items() if past.facts.points else ():
        lambdas = past.column(f"lambda/{teacher}")
        heard = _known(lambdas)
        if not scores or not len(heard) or not lambdas[-1] < UNHEARD_BELOW * heard.max():
            continue
        gaps = {task: score - past.smooth(f"task_score/{task}") for task, score in scores.items()}
        gap = np.mean(list(gaps.values()), axis=0)
        if gap[-1] > NOISE / math.sqrt(len(scores)) and not _closing(gap, past):
            worst = max(gaps, key=lambda task: gaps[task][-1])
            where = f", most on {worst} ({gaps[worst][-1]:.0f})" if len(gaps) > 1 else f" on {worst}"
            found[gap[-1]] = f"lambda is 0 and the student is {gap[-1]:.0f} points below its teacher {teacher}{where}"
    return found[max(found)] if found else None


def _closing(gap: np.ndarray, past: Past) -> bool:
    back = min(2 * LINES, len(gap) - 1)
    if not back or not gap[-1] < gap[-1 - back]:
        return False
    frames = past.column("frames")
    left = gap[-1] / (gap[-1 - back] - gap[-1]) * (frames[-1] - frames[-1 - back])
    return bool(left < CATCHING_UP * past.facts.total_frames)


def unheard_teacher(past: Past) -> str | None:
    """The lowest so far counts: a student that once came closer and went its own way is none of this."""
    crossed = past.column("distillation_loss")
    known, lowest = np.flatnonzero(np.isfinite(crossed)), _known(past.smooth("distillation_loss"))
    if not len(lowest) or not any(name.startswith("lambda/") and past.last(name) > 0 for name in past.lines[-1]):
        return None
    first, since = crossed[known[0]], past.column("frames")[known[0]]
    listened = past.share - since / past.facts.total_frames
    if listened >= HEARD and first > STARTED_CLOSE * past.facts.most_entropy and lowest.min() > STUCK * first:
        return f"the student does not come closer to its teachers: cross-entropy {crossed[known[-1]]:.2f}, at first {first:.2f}"
    return None


def off_policy(past: Past) -> str | None:
    share = past.last("rho_clipped")
    return f"V-trace clips the importance weight of {share:.0%} of the transitions" if share > OFF_POLICY else None


def eaten_task(past: Past) -> str | None:
    """The task that fell farthest from its best while another rose."""
    scores = {task: past.smooth(f"task_score/{task}") for task in past.facts.tasks} if past.facts.points else {}
    found: dict[float, str] = {}
    for task, own in scores.items():
        best = int(np.nanargmax(own)) if np.isfinite(own[-1]) else 0
        rises = {other: rise for other, x in scores.items() if (rise := x[-1] - x[best]) > EATEN}
        if (fall := own[best] - own[-1]) > EATEN and rises:
            other = max(rises, key=lambda name: rises[name])
            found[fall] = f"{task} fell by {fall:.0f} points from its best while {other} rose by {rises[other]:.0f}"
    return found[max(found)] if found else None


def slow(past: Past) -> str | None:
    speeds = _known(past.column("frames_per_second")[past.begun :])
    first, now = (float(np.median(part)) if len(speeds) >= 2 * LINES else math.nan for part in (speeds[:LINES], speeds[-LINES:]))
    return f"{now:,.0f} frames/s, where the first lines had {first:,.0f}{_load()}" if now < SLOW * first else None


def _load() -> str:
    try:
        return f" (load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)"
    except (AttributeError, OSError):  # not every system keeps one
        return ""


def _sizes(past: Past) -> np.ndarray:
    """Mean size of the tasks' returns on each line, over the tasks that have one."""
    returns = np.abs([past.column(f"task_return/{task}") for task in past.facts.tasks]).reshape(-1, len(past.lines))
    counts = np.isfinite(returns).sum(0)
    return np.where(counts > 0, np.nansum(returns, 0) / np.maximum(counts, 1), math.nan)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _known(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 5 else f"{', '.join(names[:4])} and {len(names) - 4} more"
