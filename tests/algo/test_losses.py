"""Each loss against a slow definition, and who receives its gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import distributions as td

from kickstarting.algo.distributions import Categorical, DiagonalGaussian, Distribution, MultiCategorical
from kickstarting.algo.losses import (
    baseline_loss,
    clip_rewards,
    clipped_policy_gradient_loss,
    cross_entropy,
    distillation_loss,
    entropy_loss,
    mask_logits,
    masked_mean,
    policy_gradient_loss,
)
from known import drawn

T, B, A = 7, 3, 5
EXACT: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-10}
VALID = torch.ones(T, B, dtype=torch.bool)
VALID[3, 1] = VALID[2, 2] = VALID[6, 2] = False


def normal(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def mean_over_valid(x: Tensor | np.ndarray) -> float:
    terms = [float(x[t, b]) for t in range(T) for b in range(B) if VALID[t, b]]
    return sum(terms) / len(terms)


def test_policy_gradient_loss() -> None:
    log_probs, advantages = normal(T, B, seed=1), normal(T, B, seed=2)
    expected = mean_over_valid(-log_probs.numpy() * advantages.numpy())
    assert policy_gradient_loss(log_probs, advantages, VALID).item() == pytest.approx(expected, abs=1e-10)


def test_baseline_loss() -> None:
    values, vs = normal(T, B, seed=1), normal(T, B, seed=2)
    expected = mean_over_valid(0.5 * (vs.numpy() - values.numpy()) ** 2)
    assert baseline_loss(values, vs, VALID).item() == pytest.approx(expected, abs=1e-10)


def test_entropy_loss() -> None:
    logits = normal(T, B, A, seed=1)
    log_probs = log_softmax(logits.numpy())
    expected = mean_over_valid((np.exp(log_probs) * log_probs).sum(-1))
    assert entropy_loss(Categorical(A).entropy(logits), VALID).item() == pytest.approx(expected, abs=1e-10)


def test_cross_entropy() -> None:
    logits, teacher = normal(T, B, A, seed=1), normal(T, B, A, seed=2)
    expected = -(np.exp(log_softmax(teacher.numpy())) * log_softmax(logits.numpy())).sum(-1)
    np.testing.assert_allclose(cross_entropy(logits, teacher).numpy(), expected, **EXACT)


def test_cross_entropy_has_the_gradient_of_kl() -> None:
    logits, teacher = normal(T, B, A, seed=1).requires_grad_(), normal(T, B, A, seed=2).requires_grad_()
    (gradient,) = torch.autograd.grad(cross_entropy(logits, teacher).sum(), logits, retain_graph=True)
    torch.testing.assert_close(gradient, logits.softmax(-1) - teacher.softmax(-1), **EXACT)
    kl = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=teacher.detach()), torch.distributions.Categorical(logits=logits)
    )
    torch.testing.assert_close(gradient, torch.autograd.grad(kl.sum(), logits)[0], **EXACT)
    cross_entropy(logits, teacher).sum().backward()
    assert teacher.grad is None


def categoricals(logits: Tensor) -> list[td.Distribution]:
    return [td.Categorical(logits=part) for part in logits.split([2, 3], -1)]


def normals(parameters: Tensor) -> list[td.Distribution]:
    means, log_stds = parameters.chunk(2, -1)
    return [td.Independent(td.Normal(means, log_stds.exp()), 1)]


@pytest.mark.parametrize(
    ("distribution", "factors"),
    [(MultiCategorical((2, 3)), categoricals), (DiagonalGaussian(2), normals)],
    ids=["multi", "gaussian"],
)
def test_cross_entropy_of_another_distribution(distribution: Distribution, factors: Any) -> None:
    """Teacher first, in the distribution that is given; no gradient to the teacher. Within the Gaussian's clamp."""
    logits, teacher = (normal(T, B, distribution.size, seed=seed).clamp(-1.9, 1.9) for seed in (1, 2))
    pairs = zip(factors(teacher), factors(logits), strict=True)
    expected = sum(td.kl_divergence(t, s) + t.entropy() for t, s in pairs)
    crossed = cross_entropy(logits, teacher.requires_grad_(), distribution)
    torch.testing.assert_close(crossed, expected, **EXACT)
    assert not crossed.requires_grad


@pytest.mark.parametrize("loss", [policy_gradient_loss, baseline_loss])
def test_targets_receive_no_gradient(loss: Any) -> None:
    prediction, target = normal(T, B, seed=1).requires_grad_(), normal(T, B, seed=2).requires_grad_()
    loss(prediction, target, VALID).backward()
    assert target.grad is None
    assert prediction.grad is not None
    assert torch.equal(prediction.grad != 0, VALID)


def test_masked_mean_of_nothing_is_0() -> None:
    x = normal(T, B, seed=1).requires_grad_()
    mean = masked_mean(x, torch.zeros(T, B, dtype=torch.bool))
    mean.backward()
    assert mean.item() == 0.0
    assert x.grad is not None
    assert not x.grad.any()


def test_distillation_loss_is_the_mean_over_weighted_transitions() -> None:
    logits, teacher = normal(T, B, A, seed=1).requires_grad_(), normal(T, B, A, seed=2).requires_grad_()
    crossed = cross_entropy(logits, teacher).detach()
    weights = VALID * torch.tensor([0.5, 2.0, 0.0], dtype=torch.float64)
    loss = distillation_loss(logits, teacher, weights)
    count = int(VALID[:, :2].sum())
    assert loss.item() == pytest.approx((crossed * weights).sum().item() / count, abs=1e-10)
    loss.backward()
    assert teacher.grad is None
    assert logits.grad is not None
    assert torch.equal(logits.grad.any(-1), weights != 0)
    assert distillation_loss(logits, teacher, VALID.double()).item() == pytest.approx(mean_over_valid(crossed))


def test_distillation_weights_are_broadcast() -> None:
    logits, teacher = normal(T, B, A, seed=1), normal(T, B, A, seed=2)
    per_column = torch.tensor([1.0, 0.0, 3.0], dtype=torch.float64)
    expected = distillation_loss(logits, teacher, per_column.repeat(T, 1))
    assert distillation_loss(logits, teacher, per_column) == expected
    one = torch.ones((), dtype=torch.float64)
    assert distillation_loss(logits, teacher, one).item() == pytest.approx(cross_entropy(logits, teacher).mean().item())


def test_distillation_without_any_weight_is_0() -> None:
    logits = normal(T, B, A, seed=1).requires_grad_()
    loss = distillation_loss(logits, normal(T, B, A, seed=2), torch.zeros(T, B, dtype=torch.float64))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


REWARDS = [-50.0, -2.0, -0.5, 0.0, 0.5, 2.0, 50.0]


@pytest.mark.parametrize(
    ("kind", "definition"),
    [
        ("none", lambda r: r),
        ("abs_one", lambda r: max(-1.0, min(1.0, r))),
        ("soft_asymmetric", lambda r: 5.0 * math.tanh(r / 5.0) * (0.3 if r < 0 else 1.0)),
    ],
)
def test_clip_rewards(kind: str, definition: Any) -> None:
    clipped = clip_rewards(torch.tensor(REWARDS, dtype=torch.float64), kind)
    np.testing.assert_allclose(clipped.numpy(), [definition(r) for r in REWARDS], **EXACT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_masked_actions_have_no_probability(dtype: torch.dtype) -> None:
    mask = torch.rand(B, A, generator=torch.Generator().manual_seed(0)) < 0.5
    mask[:, 0] = True
    logits = mask_logits(normal(T, B, A, seed=1, dtype=dtype) * 30, mask)
    probabilities = logits.softmax(-1)
    assert torch.equal(probabilities.masked_fill(mask, 0.0), torch.zeros(T, B, A, dtype=dtype))
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(T, B, dtype=dtype))
    samples = drawn(Categorical(A), logits.expand(100, T, B, A), torch.Generator().manual_seed(0))
    assert mask[torch.arange(B), samples].all()
    assert torch.isfinite(Categorical(A).entropy(logits)).all()
    assert torch.isfinite(Categorical(A).cross_entropy(logits, logits)).all()


CLIP = 0.2


def test_clipped_policy_gradient_loss() -> None:
    log_ratios, advantages = 0.3 * normal(T, B, seed=1), normal(T, B, seed=2)
    ratios, gains = log_ratios.exp().numpy(), advantages.numpy()
    expected = mean_over_valid(-np.minimum(ratios * gains, np.clip(ratios, 1 - CLIP, 1 + CLIP) * gains))
    assert clipped_policy_gradient_loss(log_ratios, advantages, VALID, CLIP).item() == pytest.approx(expected, abs=1e-10)


def test_clip_stops_the_gradient_beyond_it_and_only_in_the_direction_of_the_gain() -> None:
    """Ratios below, within and above the clip, each with a gain and a loss."""
    log_ratios = torch.tensor([[0.5, 1.0, 2.0, 0.5, 1.0, 2.0]], dtype=torch.float64).log().requires_grad_()
    advantages = torch.tensor([[1.0, 1.0, 1.0, -1.0, -1.0, -1.0]], dtype=torch.float64).requires_grad_()
    clipped_policy_gradient_loss(log_ratios, advantages, torch.ones(1, 6, dtype=torch.bool), CLIP).backward()
    assert log_ratios.grad is not None
    assert torch.equal(log_ratios.grad != 0, torch.tensor([[True, True, False, False, True, True]]))
    assert advantages.grad is None


def test_at_the_behaviour_policy_the_clipped_loss_has_the_plain_gradient() -> None:
    log_probs, advantages = normal(T, B, seed=1).requires_grad_(), normal(T, B, seed=2)
    (plain,) = torch.autograd.grad(policy_gradient_loss(log_probs, advantages, VALID), log_probs)
    surrogate = clipped_policy_gradient_loss(log_probs - log_probs.detach(), advantages, VALID, CLIP)
    torch.testing.assert_close(torch.autograd.grad(surrogate, log_probs)[0], plain, **EXACT)
