"""Curves averaged over seeds, and what can be read off them, with bootstrap resamples of the seeds carried along.

Everywhere here row 0 of the first axis, of length 1 + B, is the estimate itself and rows 1 to B are resamples, so that one piece of code
computes both. With a single seed B is 0: there is nothing to resample, and no interval.
"""

from __future__ import annotations

import numpy as np

from kickstarting.report.comparison import Estimate
from kickstarting.report.scores import percentile_interval


def seed_weights(seeds: int, bootstrap: int, rng: np.random.Generator) -> np.ndarray:
    """[1 + B, R]: the share of every seed in the plain mean and in B draws of R seeds with replacement."""
    plain = np.full((1, seeds), 1.0 / seeds)
    if seeds == 1:
        return plain
    return np.concatenate([plain, rng.multinomial(seeds, plain[0], size=bootstrap) / seeds])


def value_at(frames: np.ndarray, averages: np.ndarray, at: float) -> np.ndarray:
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


def estimate(samples: np.ndarray, *, lowest: float = -np.inf, bound: str = "", confidence: float = 0.95) -> Estimate:
    """[1 + B] -> value and interval. lowest: what the quantity cannot fall below."""
    value = float(samples[0])
    if not np.isfinite(value):
        value = None
    if len(samples) == 1:
        return Estimate(value, bound=bound)
    low, high = percentile_interval(samples[1:], confidence)
    return Estimate(value, max(low, lowest), high, bound)
