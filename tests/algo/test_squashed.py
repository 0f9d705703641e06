"""The squashed normal, against numerical integration over its actions and torch's own."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch import distributions as td

from kickstarting.algo.distributions import DiagonalGaussian
from kickstarting.algo.moments import CLOSEST
from kickstarting.algo.squashed import LIMIT, SquashedGaussian
from known import drawn

SQUASHED = SquashedGaussian(2)
GRID = torch.linspace(-14, 14, 20_001, dtype=torch.float64)
"""Before the tanh; what lies outside has no probability in these tests."""


def parameters(*shape: int, seed: int = 0) -> Tensor:
    logits = torch.randn(*shape, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.cat([logits[..., :2], 0.4 * logits[..., 2:] - 0.3], -1)


def reference(logits: Tensor) -> td.Distribution:
    mean, log_std = logits.chunk(2, -1)
    return td.Independent(td.TransformedDistribution(td.Normal(mean, log_std.exp()), td.TanhTransform(cache_size=1)), 1)


def integrated(policy: Tensor, other: Tensor) -> Tensor:
    """-E log of the other's density under the first, of one dimension, over the actions tanh(GRID)."""
    one = SquashedGaussian(1)
    inside = GRID[GRID.tanh().abs() < LIMIT]
    actions = inside.tanh()[:, None]
    density = one.log_prob(policy.expand(len(inside), 2), actions).exp()
    return torch.trapezoid(-density * one.log_prob(other.expand(len(inside), 2), actions), actions[:, 0])


def test_log_prob_is_torchs() -> None:
    logits = parameters(5, 3)
    actions = reference(logits).sample()
    torch.testing.assert_close(SQUASHED.log_prob(logits, actions), reference(logits).log_prob(actions))


@pytest.mark.parametrize("policy", [(0.0, -1.0), (0.8, 0.0), (-1.2, 0.2)])
def test_entropy_and_cross_entropy_are_those_of_the_density(policy: tuple[float, float]) -> None:
    one, own, other = SquashedGaussian(1), torch.tensor(policy).double(), torch.tensor([0.2, -0.4]).double()
    tolerance = {"atol": 2e-3, "rtol": 0}
    torch.testing.assert_close(one.entropy(own), integrated(own, own), **tolerance)
    torch.testing.assert_close(one.cross_entropy(own, other), integrated(own, other), **tolerance)
    torch.testing.assert_close(one.kl(own, other), integrated(own, other) - integrated(own, own), **tolerance)
    torch.testing.assert_close(one.reverse_kl(own, other), integrated(other, own) - integrated(other, other), **tolerance)


def test_cross_entropy_is_kl_plus_entropy() -> None:
    teacher, student = parameters(6, seed=1), parameters(6, seed=2)
    torch.testing.assert_close(
        SQUASHED.cross_entropy(teacher, student), SQUASHED.kl(teacher, student) + SQUASHED.entropy(teacher), atol=1e-9, rtol=0
    )


def test_samples_lie_between_the_bounds_and_follow_the_density() -> None:
    logits = parameters(3, seed=3)
    n = 40_000
    actions = drawn(SQUASHED, logits.expand(n, 3, 4), torch.Generator().manual_seed(0))
    assert (actions.abs() <= LIMIT).all()
    surprise = -SQUASHED.log_prob(logits.expand(n, 3, 4), actions)
    assert ((surprise.mean(0) - SQUASHED.entropy(logits)).abs() < 5 * surprise.std(0) / n**0.5).all()


def test_a_wide_policy_at_its_bounds_has_finite_numbers() -> None:
    wide = torch.tensor([9.0, -9.0, 2.0, 2.0], requires_grad=True)
    actions = drawn(SQUASHED, wide.expand(1000, 4), torch.Generator().manual_seed(0))
    said = SQUASHED.log_prob(wide, actions).sum() + SQUASHED.entropy(wide) + SQUASHED.cross_entropy(wide, wide)
    said.backward()
    assert said.isfinite()
    assert wide.grad is not None
    assert wide.grad.isfinite().all()
    assert SQUASHED.log_prob(wide, torch.ones(2)).isfinite()


def test_gradients() -> None:
    logits, teacher = parameters(3).requires_grad_(), parameters(3, seed=1).requires_grad_()
    actions = drawn(SQUASHED, logits.detach())
    assert torch.autograd.gradcheck(lambda x: SQUASHED.log_prob(x, actions), logits)
    assert torch.autograd.gradcheck(SQUASHED.entropy, logits)
    assert torch.autograd.gradcheck(lambda x: SQUASHED.cross_entropy(teacher.detach(), x), logits)
    SQUASHED.cross_entropy(teacher, logits).sum().backward()
    assert teacher.grad is None


def test_an_action_alone_is_the_most_that_the_student_can_be_told() -> None:
    """Its cross-entropy is -log pi(action), where the action keeps its distance from the bounds."""
    student, actions = parameters(3), torch.tensor([[0.3, -0.9], [1.0, -1.0], [0.0, 5.0]]).double()
    said = SQUASHED.cross_entropy(SQUASHED.of_actions(actions, 0.05), student)
    torch.testing.assert_close(said, -SQUASHED.log_prob(student, actions.clamp(-CLOSEST, CLOSEST)))


def test_a_narrow_policy_near_the_middle_is_a_plain_normal() -> None:
    logits = torch.tensor([0.001, -0.002, -4.5, -4.8], dtype=torch.float64)
    plain = DiagonalGaussian(2)
    torch.testing.assert_close(SQUASHED.entropy(logits), plain.entropy(logits), atol=1e-3, rtol=0)
    torch.testing.assert_close(SQUASHED.mode(logits), plain.mode(logits), atol=1e-6, rtol=0)


def test_greedily_it_takes_the_median() -> None:
    logits = torch.tensor([0.7, -20.0, 0.0, 0.0])
    assert SQUASHED.mode(logits).tolist() == pytest.approx([math.tanh(0.7), -LIMIT])
