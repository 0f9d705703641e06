"""Exploit and explore: population based training (Jaderberg et al. 2017) as in Schmitt et al. 2018, section 2.3.

Now and then each member looks at another one, drawn at random. If that one is significantly better, the member adopts its
weights and hyperparameters. Whether or not it did, each hyperparameter is perturbed with a fixed probability. Pure functions
of plain records; who trains the members, and where, is the concern of `population/`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np


class Range(NamedTuple):
    """Where a hyperparameter may go."""

    low: float
    high: float


def significantly_better(
    theirs: Sequence[float], ours: Sequence[float], *, test: str = "welch", significance: float = 0.05, margin: float = 5.0
) -> bool:
    """Whether the other member's scores are above one's own by more than chance.

    theirs, ours: recent scores, each of one and the same kind (0 to 100). test: `welch`, Welch's t-test at the level of
    `significance`, one-sided (PBT paper, 4.1.1), or `margin`, means that differ by more than `margin` points (IMPALA, F).
    Two scores at least on each side.
    """
    if min(len(theirs), len(ours)) < 2:
        return False
    difference = float(np.mean(theirs) - np.mean(ours))
    if test == "margin":
        return difference > margin
    if np.std(theirs) == 0 and np.std(ours) == 0:  # the statistic is infinite, and scipy warns
        return difference > 0
    from scipy import stats  # takes a second, which commands without a population save

    p_value: float = stats.ttest_ind(theirs, ours, equal_var=False, alternative="greater")[1]  # type: ignore[assignment]
    return bool(p_value < significance)


def perturb(
    values: Mapping[str, float],
    ranges: Mapping[str, Range],
    rng: np.random.Generator,
    *,
    probability: float = 0.33,
    factor: float = 1.2,
) -> dict[str, float]:
    """Each value, with `probability` multiplied by `factor` or divided by it, kept within its range (IMPALA, appendix F).

    Up and down are equally likely in the logarithm, so that without selection nothing drifts. A value of 0 stays 0.
    """
    result = {}
    for name, value in values.items():
        if rng.random() < probability:
            value *= factor if rng.random() < 0.5 else 1.0 / factor
        low, high = ranges[name]
        result[name] = min(max(value, low), high)
    return result


def draw(ranges: Mapping[str, Range], rng: np.random.Generator) -> dict[str, float]:
    """Starting values, log-uniform in their ranges (which must lie above 0)."""
    return {name: math.exp(rng.uniform(math.log(low), math.log(high))) for name, (low, high) in ranges.items()}


def draw_other(member: int, members: int, rng: np.random.Generator) -> int:
    """Another member, uniformly."""
    other = int(rng.integers(members - 1))
    return other + (other >= member)
