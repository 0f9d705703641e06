"""Curves averaged over seeds, and what can be read off them, with bootstrap resamples of the seeds carried along.

Everywhere here row 0 of the first axis, of length 1 + B, is the estimate itself and rows 1 to B are resamples, so that one
piece of code computes both. With a single seed B is 0: there is nothing to resample, and no interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kickstarting.report.comparison import CONFIDENCE, Estimate
from kickstarting.report.groups import Group
from kickstarting.report.scores import percentile_interval, stratified_bootstrap


@dataclass(frozen=True, eq=False)
class Sample:
    """A group with its resamples. What it draws depends on its name and the seed, not on what it is compared with."""

    group: Group
    bootstrap: int
    seed: int

    def rng(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, *f"{self.group.name}/{purpose}".encode()])

    @cached_property
    def weights(self) -> np.ndarray:
        """[1 + B, R]"""
        return seed_weights(len(self.group.runs), self.bootstrap, self.rng("seeds"))

    @cached_property
    def averages(self) -> np.ndarray:
        """Suite score, [1 + B, N]."""
        return self.weights @ self.group.curves("score")

    @cached_property
    def final(self) -> np.ndarray:
        """[1 + B]"""
        return self.group.final(self.averages)

    @cached_property
    def tasks(self) -> np.ndarray:
        """Curves of the tasks, [K, R, N]."""
        return self.group.task_curves()

    @cached_property
    def task_finals(self) -> np.ndarray:
        """[R, K]"""
        return self.group.final(self.tasks).T

    def at(self, frames: int) -> np.ndarray:
        return value_at(self.group.frames, self.averages, frames)

    def reach(self, level: np.ndarray | float) -> np.ndarray:
        return frames_to_reach(self.group.frames, self.averages, level)

    def starts_above(self, frames: np.ndarray) -> bool:
        """Whether these frames to a level are the first point of the axis, and so only an upper bound."""
        return bool(frames[0] == self.group.frames[0])


def over_tasks(statistic: Callable[..., np.ndarray], *samples: Sample) -> Estimate | None:
    """A statistic of the final scores [R, K] of one group or two, stratified by task; None if tasks are not logged."""
    if not samples[0].group.tasks:
        return None
    finals = [sample.task_finals for sample in samples]
    value = np.atleast_1d(statistic(*finals))
    if min(len(f) for f in finals) == 1:
        return estimate(value)
    rng = samples[0].rng(statistic.__name__)
    resampled = stratified_bootstrap(statistic, *finals, repetitions=samples[0].bootstrap, rng=rng)
    return estimate(np.concatenate([value, resampled]))


def seed_weights(seeds: int, bootstrap: int, rng: np.random.Generator) -> np.ndarray:
    """[1 + B, R]: the share of every seed in the plain mean and in B draws of R seeds with replacement."""
    plain = np.full((1, seeds), 1.0 / seeds)
    if seeds == 1:
        return plain
    return np.concatenate([plain, rng.multinomial(seeds, plain[0], size=bootstrap) / seeds])


def value_at(frames: np.ndarray, averages: np.ndarray, at: int) -> np.ndarray:
    """Averages [1 + B, N] on `frames` [N] at one point, linear in between; nan outside the axis: [1 + B]."""
    if not frames[0] <= at <= frames[-1]:
        return np.full(len(averages), np.nan)
    right = int(np.searchsorted(frames, at))
    if frames[right] == at:
        return averages[:, right]
    share = (at - frames[right - 1]) / (frames[right] - frames[right - 1])
    return (1.0 - share) * averages[:, right - 1] + share * averages[:, right]


def frames_to_reach(frames: np.ndarray, averages: np.ndarray, level: np.ndarray | float) -> np.ndarray:
    """Frames at which averages [1 + B, N] first come to the level (one, or one for each row), inf if never: [1 + B].

    Linear between two points of the axis. A curve that begins at the level counts from its first point.
    """
    level = np.broadcast_to(np.asarray(level, dtype=float), len(averages))
    above = averages >= level[:, None]
    right = above.argmax(axis=1)
    left = np.maximum(right - 1, 0)
    rows = np.arange(len(averages))
    low, high = averages[rows, left], averages[rows, right]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(right > left, (level - low) / (high - low), 0.0)
    reached = frames[left] + share * (frames[right] - frames[left])
    return np.where(above.any(axis=1), reached, np.inf)


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Row by row, up to the shorter of the two: one seed on either side leaves the estimate without resamples."""
    rows = min(len(numerator), len(denominator))
    with np.errstate(invalid="ignore", divide="ignore"):
        return numerator[:rows] / denominator[:rows]


def improvement(scores: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """In percent of the baseline; nan where that is not above 0, since a percentage of nothing says nothing."""
    return 100.0 * (ratio(scores, np.where(baseline > 0.0, baseline, np.nan)) - 1.0)


def estimate(samples: np.ndarray, *, lowest: float = -np.inf, bound: str = "") -> Estimate:
    """[1 + B] -> value and interval, no value where the resamples leave everything open, as a percentage of almost nothing does.
    lowest: what the quantity cannot fall below."""
    value = float(samples[0])
    if not np.isfinite(value):
        value = None
    if len(samples) == 1:
        return Estimate(value, bound=bound)
    low, high = percentile_interval(samples[1:], CONFIDENCE)
    if np.isneginf(low) and np.isposinf(high):
        value = None
    return Estimate(value, max(low, lowest), high, bound)
