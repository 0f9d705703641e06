"""Means and variances of policies over continuous actions.

The cross-entropy of any law T to a Gaussian needs no more of T than these two:

    H(T || N(m, s)) = 0.5 (Var T + (E T - m)^2) / s^2 + log s + 0.5 log 2 pi

so a teacher with another law than the student's is labelled exactly by the Gaussian that has its moments.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

LEAST_STD = 0.05
"""Of half the range, in a label that is made of moments. A teacher that always acts at a bound has none, and its student would stop
exploring."""
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(32)
_QUANTILES = torch.special.ndtri((torch.arange(256, dtype=torch.float64) + 0.5) / 256)
"""Of a standard normal: for functions with a corner, which a polynomial does not follow."""
CLOSEST = 0.99
"""To a bound at 1, of what is unsquashed: at the bound it would be infinite, and what is nearer is hardly another action."""


def expectation(function: Callable[[Tensor], Tensor], mean: Tensor, std: Tensor) -> Tensor:
    """Of a function of a normal, by Gauss-Hermite quadrature, in the precision of the mean. The gradient reaches mean and std."""
    nodes, weights = torch.from_numpy(_NODES).to(mean), torch.from_numpy(_WEIGHTS / _WEIGHTS.sum()).to(mean)
    return function(mean[..., None] + std[..., None] * nodes) @ weights


def clipped_gaussian(mean: Tensor, std: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance, float64, of a normal that is clipped into [low, high], as environments clip what PPO samples.

    Bounds may be infinite.
    """
    mean, std, low, high = (x.double() for x in (mean, std, low, high))
    std = std.clamp(min=1e-12)
    below, above = (low - mean) / std, (high - mean) / std
    p_below, p_above = torch.special.ndtr(below), torch.special.ndtr(-above)
    inside = 1 - p_below - p_above
    d_below, d_above = (torch.exp(-0.5 * x.square()) / math.sqrt(2 * math.pi) for x in (below, above))
    low, high, below, above = (x.nan_to_num(0.0, 0.0, 0.0) for x in (low, high, below, above))  # times a probability of 0
    first = low * p_below + high * p_above + mean * inside + std * (d_below - d_above)
    # About the mean of the unclipped normal, so that no large numbers cancel
    second = (low - mean).square() * p_below + (high - mean).square() * p_above
    second = second + std.square() * (inside + below * d_below - above * d_above)
    return first, (second - (first - mean).square()).clamp(min=0)


def squashed_gaussian(mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance, float64, of tanh of a normal, as SAC acts. By Gauss-Hermite quadrature: within 2e-3 for std up to 2, and
    0.02 at 3."""
    mean, std = mean.double(), std.double()
    first = expectation(torch.tanh, mean, std)
    return first, expectation(lambda x: (x.tanh() - first[..., None]).square(), mean, std)


def unsquashed_gaussian(mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance, float64, of atanh of a normal that is clipped into [-CLOSEST, CLOSEST]: what a policy that is clipped at
    its bounds is to a squashed one."""
    points = (mean.double()[..., None] + std.double()[..., None] * _QUANTILES.to(mean.device)).clamp(-CLOSEST, CLOSEST).atanh()
    return points.mean(-1), points.var(-1, correction=0)


def mixture(means: Tensor, variances: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of N laws as one: each [N, ...], weights sum to 1 over the first dimension."""
    first = (weights * means).sum(0)
    return first, (weights * (variances + (means - first).square())).sum(0)


def parameters(mean: Tensor, variance: Tensor) -> Tensor:
    """Of a `DiagonalGaussian` with these moments, [..., 2 D] float32, its deviations at least LEAST_STD."""
    return torch.cat([mean, 0.5 * variance.clamp(min=LEAST_STD**2).log()], -1).float()
