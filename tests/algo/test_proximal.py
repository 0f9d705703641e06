"""Proximal policy distillation: lambda * KL * max(pi/mu, 1 - eps), by its definition (Spigler 2024, arXiv:2407.15134)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from kickstarting.algo.distributions import Categorical, DiagonalGaussian, Distribution
from kickstarting.algo.losses import Costs, LossConfig, kickstarting_loss
from kickstarting.types import Inputs, Labels, Output, Trajectory

T, B, A, EPS = 6, 3, 4, 0.3
ALONE = Costs(policy_cost=0.0, baseline_cost=0.0)
"""Nothing but the teachers counts."""
CONFIG = LossConfig(policy_clip=EPS, proximal_distillation=True)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def experience(actions: Tensor, behaviour_log_probs: Tensor, size: int = A) -> Trajectory:
    """Two teachers, the second of two of the columns; one transition is no part of an episode."""
    nothing = torch.zeros(T + 1, B)
    valid = torch.ones(T, B, dtype=torch.bool)
    valid[2, 1] = False
    weights = torch.tensor([[0.5, 1.0, 2.0], [0.0, 0.7, 0.3]]).double()[:, None].expand(-1, T, -1)
    never = torch.zeros(T, B, dtype=torch.bool)
    return Trajectory(
        Inputs({}, nothing.long(), nothing, nothing.bool()),
        actions,
        normal(T, B, seed=9),
        never,
        never,
        valid,
        behaviour_log_probs,
        (),
        labels=Labels(normal(2, T, B, size, seed=7), weights),
    )


def discrete() -> tuple[Output, Trajectory]:
    logits = normal(T + 1, B, A, seed=0).requires_grad_()
    actions = torch.randint(A, (T, B), generator=torch.Generator().manual_seed(1))
    off_policy = Categorical(A).log_prob(logits.detach()[:-1], actions) - 0.8 * normal(T, B, seed=2)
    return Output(logits, normal(T + 1, B, seed=3).requires_grad_()), experience(actions, off_policy)


def loss_of(output: Output, trajectory: Trajectory, config: LossConfig, distribution: Distribution, costs: Costs = ALONE) -> Tensor:
    return kickstarting_loss(output, trajectory, distribution, config, costs)[0]


def log_softmax(x: np.ndarray) -> np.ndarray:
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


@pytest.mark.parametrize("distillation", ["forward", "reverse"])
def test_value_and_gradient_are_the_definitions(distillation: str) -> None:
    output, trajectory = discrete()
    assert trajectory.labels is not None
    config = replace(CONFIG, distillation=distillation)
    weights, labels = trajectory.labels.weights.numpy(), trajectory.labels.policy.numpy()

    def defined(logits: np.ndarray) -> float:
        total, count = 0.0, 0
        for t in range(T):
            for b in range(B):
                if not trajectory.valid[t, b]:
                    continue
                count += 1
                own, action = log_softmax(logits[t, b]), int(trajectory.actions[t, b])
                ratio = np.exp(own[action] - float(trajectory.behaviour_log_probs[t, b]))
                for k in range(2):
                    theirs = log_softmax(labels[k, t, b])
                    first, second = (theirs, own) if distillation == "forward" else (own, theirs)
                    total += weights[k, t, b] * (np.exp(first) * (first - second)).sum() * max(ratio, 1 - EPS)
        return total / count

    loss = loss_of(output, trajectory, config, Categorical(A))
    logits = output.logits.detach().numpy()
    assert loss.item() == pytest.approx(defined(logits), abs=1e-10)
    (gradient,) = torch.autograd.grad(loss, [output.logits])
    for index in [(0, 0, 0), (1, 2, 3), (3, 1, 2), (5, 0, 1), (2, 1, 0)]:
        up, down = logits.copy(), logits.copy()
        up[index] += 1e-6
        down[index] -= 1e-6
        assert gradient[index].item() == pytest.approx((defined(up) - defined(down)) / 2e-6, abs=1e-7)


def test_below_the_clip_the_ratio_has_no_gradient() -> None:
    """There it is kickstarting with lambda * (1 - eps)."""
    output, trajectory = discrete()
    away = replace(trajectory, behaviour_log_probs=torch.zeros(T, B).double())
    logits = 0.1 * output.logits.detach()  # so that pi/mu, here pi, is below 1 - eps everywhere
    own = Output(logits.requires_grad_(), output.values)
    proximal = torch.autograd.grad(loss_of(own, away, CONFIG, Categorical(A)), [own.logits])[0]
    plain = torch.autograd.grad(loss_of(own, away, LossConfig(policy_clip=EPS), Categorical(A)), [own.logits])[0]
    torch.testing.assert_close(proximal, (1 - EPS) * plain)


@pytest.mark.parametrize("costs", [ALONE, Costs()])
def test_reverse_without_the_ratio_is_the_mean_of_its_divergences(costs: Costs) -> None:
    output, trajectory = discrete()
    assert trajectory.labels is not None
    without = loss_of(output, replace(trajectory, labels=None), LossConfig(), Categorical(A), costs)
    loss = loss_of(output, trajectory, LossConfig(distillation="reverse"), Categorical(A), costs)
    divergence = Categorical(A).reverse_kl(trajectory.labels.policy, output.logits[:-1])
    expected = (trajectory.labels.weights * divergence).sum(0)[trajectory.valid].mean()
    torch.testing.assert_close(loss - without, expected)


def test_a_teacher_of_whom_only_actions_are_known_still_attracts() -> None:
    """Continuous actions: the divergence is finite, and falls when the mean comes nearer."""
    gaussian = DiagonalGaussian(2)
    trajectory = experience(normal(T, B, 2, seed=4), torch.zeros(T, B).double(), size=4)
    assert trajectory.labels is not None
    target = gaussian.of_actions(torch.full((2, T, B, 2), 0.5).double(), 0.05)
    trajectory = replace(trajectory, labels=replace(trajectory.labels, policy=target))

    def loss(mean: float) -> float:
        logits = torch.tensor([mean, mean, -0.5, -0.5]).double().expand(T + 1, B, 4)
        output = Output(logits, torch.zeros(T + 1, B).double())
        on_policy = gaussian.log_prob(logits[:-1], trajectory.actions)
        return loss_of(output, replace(trajectory, behaviour_log_probs=on_policy), CONFIG, gaussian).item()

    assert loss(0.5) < loss(0.2) < loss(-0.4)
