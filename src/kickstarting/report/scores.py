"""Scores over runs and tasks, and how sure we are of them.

Shapes: R runs (seeds), K tasks; leading axes (...) are resamples. The statistics are those of Agarwal et al. 2021, "Deep RL at
the Edge of the Statistical Precipice"; the resampler is our own because rliable's ignores its seed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import trim_mean


def median(scores: np.ndarray) -> np.ndarray:
    """Median over tasks of the mean over runs: [..., R, K] -> [...]."""
    return np.asarray(np.median(scores.mean(axis=-2), axis=-1))


def iqm(scores: np.ndarray) -> np.ndarray:
    """Interquartile mean, the mean of the middle half of all R * K scores: [..., R, K] -> [...]."""
    return np.asarray(trim_mean(scores.reshape(*scores.shape[:-2], -1), 0.25, axis=-1))


def probability_of_improvement(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Chance that a random run of x beats a random run of y on a random task, a tie counting half.

    [..., Rx, K], [..., Ry, K] -> [...], between 0 and 1: the Mann-Whitney statistic of each task, averaged over tasks.
    """
    difference = x[..., :, None, :] - y[..., None, :, :]
    return np.asarray((0.5 + 0.5 * np.sign(difference)).mean(axis=(-3, -2, -1)))


def stratified_bootstrap(
    statistic: Callable[..., np.ndarray], *scores: np.ndarray, repetitions: int, rng: np.random.Generator
) -> np.ndarray:
    """The statistic of `repetitions` resamples: each scores is [R, K], the answer [repetitions].

    Runs are drawn with replacement for every task independently, since a task is a stratum (rliable's StratifiedBootstrap);
    several score matrices, as for probability_of_improvement, are drawn independently of each other.
    """
    drawn = []
    for matrix in scores:
        rows = rng.integers(matrix.shape[0], size=(repetitions, *matrix.shape))
        drawn.append(np.take_along_axis(matrix[None], rows, axis=1))
    return statistic(*drawn)


def percentile_interval(samples: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """The ends of the percentile bootstrap interval of [B] samples.

    Takes order statistics, rounded outwards, because samples may be infinite (a level never reached) and must not be
    interpolated. An undefined sample (nan) counts against us at both ends.
    """
    tail = int(round((1.0 - confidence) / 2.0 * (len(samples) - 1), 6))  # rounded first: 0.05 * 100 is 4.9999...
    low = np.sort(np.where(np.isnan(samples), -np.inf, samples))[tail]
    high = np.sort(np.where(np.isnan(samples), np.inf, samples))[-1 - tail]
    return float(low), float(high)
