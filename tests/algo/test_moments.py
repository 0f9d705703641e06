"""Moments against samples, limits, and the identity that they are for."""

from __future__ import annotations

import math

import pytest
import torch

from kickstarting.algo.distributions import DiagonalGaussian
from kickstarting.algo.moments import LEAST_STD, clipped_gaussian, mixture, parameters, squashed_gaussian

NOISE = torch.distributions.Normal(0.0, 1.0).icdf(torch.linspace(0, 1, 200_003).double()[1:-1])
"""Quantiles of a standard normal: a sample without chance."""


@pytest.mark.parametrize("mean", [-3.0, -0.4, 0.0, 1.2])
@pytest.mark.parametrize("std", [0.1, 0.7, 3.0])
def test_moments_are_those_of_a_sample(mean: float, std: float) -> None:
    m, s, low, high = (torch.tensor(x).double() for x in (mean, std, -1.0, 0.5))
    sample = (m + s * NOISE).clamp(low, high)
    first, variance = clipped_gaussian(m, s, low, high)
    torch.testing.assert_close(first, sample.mean(), atol=1e-4, rtol=0)
    torch.testing.assert_close(variance, sample.var(), atol=1e-4, rtol=1e-3)
    sample = torch.tanh(m + s * NOISE)
    first, variance = squashed_gaussian(m, s)
    torch.testing.assert_close(first, sample.mean(), atol=1e-2, rtol=0)
    torch.testing.assert_close(variance.sqrt(), sample.std(), atol=2e-2, rtol=0)


def test_without_bounds_and_without_deviation_nothing_is_clipped() -> None:
    inf = torch.tensor(math.inf)
    first, variance = clipped_gaussian(torch.tensor([2.0, 1e3]), torch.tensor([3.0, 0.1]), -inf, inf)
    torch.testing.assert_close(first, torch.tensor([2.0, 1e3]).double())
    torch.testing.assert_close(variance, torch.tensor([9.0, 0.01]).double())
    first, variance = clipped_gaussian(torch.tensor([0.3, 9.0]), torch.zeros(2), torch.tensor(-1.0), torch.tensor(1.0))
    torch.testing.assert_close(first, torch.tensor([0.3, 1.0]).double())
    torch.testing.assert_close(variance, torch.zeros(2).double())
    one_sided, _ = clipped_gaussian(torch.tensor(0.0), torch.tensor(1.0), torch.tensor(0.0), inf)
    torch.testing.assert_close(one_sided, torch.tensor(1 / math.sqrt(2 * math.pi)).double())


def test_a_mixture_has_the_moments_of_all_samples_together() -> None:
    a, b = 1.0 + 0.5 * NOISE, -2.0 + NOISE
    first, variance = mixture(torch.tensor([[1.0], [-2.0]]), torch.tensor([[0.25], [1.0]]), torch.tensor([[0.5], [0.5]]))
    both = torch.cat([a, b])
    torch.testing.assert_close(first[0], both.mean().float(), atol=1e-3, rtol=0)
    torch.testing.assert_close(variance[0], both.var().float(), atol=1e-3, rtol=0)


def test_the_cross_entropy_to_a_normal_needs_only_moments() -> None:
    """H(T || student) of SAC's policy, from its samples, is that of the normal with the same moments."""
    sample = torch.tanh(0.4 + 0.8 * NOISE).float()
    student = torch.tensor([0.1, math.log(0.6)])
    gaussian = DiagonalGaussian(1)
    by_sample = -gaussian.log_prob(student.expand(len(sample), 2), sample[:, None]).mean()
    label = parameters(*squashed_gaussian(torch.tensor([0.4]), torch.tensor([0.8])))
    torch.testing.assert_close(gaussian.cross_entropy(label, student), by_sample, atol=1e-3, rtol=0)


def test_a_label_leaves_room_to_explore() -> None:
    mean, log_std = parameters(torch.tensor([1.0]), torch.tensor([0.0])).chunk(2)
    assert mean == 1.0
    torch.testing.assert_close(log_std.exp(), torch.tensor([LEAST_STD]))
