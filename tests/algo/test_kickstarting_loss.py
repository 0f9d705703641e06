"""The sum of the losses on one trajectory: its value, its gradient, and what teachers and masks change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kickstarting.algo.distributions import Categorical
from kickstarting.algo.losses import Costs, LossConfig, distillation_loss, kickstarting_loss
from kickstarting.algo.vtrace import vtrace
from kickstarting.types import Inputs, Labels, Output, Trajectory

T, B, A = 7, 3, 5
EXACT: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-10}
COSTS = Costs(baseline_cost=0.7, entropy_cost=0.03)
CONFIG = LossConfig(discount=0.9, vtrace_lambda=0.95, reward_clip="abs_one", policy_clip=0.0)


def normal(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def student(seed: int = 0, size: int = A, dtype: torch.dtype = torch.float64) -> Output:
    """Leaves that receive gradients, in place of a network's output on the T+1 inputs."""
    logits, values = normal(T + 1, B, size, seed=seed, dtype=dtype), normal(T + 1, B, seed=seed + 1, dtype=dtype)
    return Output(logits.requires_grad_(), values.requires_grad_())


def experience(seed: int = 0, dtype: torch.dtype = torch.float64) -> Trajectory:
    """Off-policy; column 0 is one whole piece, column 1 has a termination, column 2 a truncation and a termination."""
    terminated, truncated = torch.zeros(T, B, dtype=torch.bool), torch.zeros(T, B, dtype=torch.bool)
    terminated[2, 1] = truncated[1, 2] = terminated[6, 2] = True
    valid = torch.ones(T, B, dtype=torch.bool)
    valid[3, 1] = valid[2, 2] = False
    nothing = torch.zeros(T + 1, B)  # the loss reads no inputs
    return Trajectory(
        inputs=Inputs({}, nothing.long(), nothing, nothing.bool()),
        actions=torch.randint(A, (T, B), generator=torch.Generator().manual_seed(seed + 2)),
        rewards=normal(T, B, seed=seed + 3, dtype=dtype) * 2,
        terminated=terminated,
        truncated=truncated,
        valid=valid,
        behaviour_log_probs=-normal(T, B, seed=seed + 4, dtype=dtype).abs() - 1.0,
        initial_state=(),
    )


def teach(trajectory: Trajectory, weights: list[list[float]], seed: int = 50) -> Trajectory:
    """Labels of K teachers with weights [K][B]."""
    dtype = trajectory.rewards.dtype
    logits = normal(len(weights), T, B, A, seed=seed, dtype=dtype)
    values = normal(len(weights), T, B, seed=seed + 1, dtype=dtype)
    lambdas = torch.tensor(weights, dtype=dtype)[:, None].expand(-1, T, -1)
    return replace(trajectory, labels=Labels(logits, lambdas, values, lambdas))


def labels_of(trajectory: Trajectory) -> Labels:
    assert trajectory.labels is not None
    return trajectory.labels


def loss_and_gradients(
    output: Output, trajectory: Trajectory, costs: Costs = COSTS, config: LossConfig = CONFIG
) -> tuple[Tensor, Tensor, Tensor]:
    loss, _ = kickstarting_loss(output, trajectory, Categorical(output.logits.shape[-1]), config, costs)
    d_logits, d_values = torch.autograd.grad(loss, [output.logits, output.values])
    return loss, d_logits, d_values


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def mean_over(valid: np.ndarray, term: Any) -> float:
    """The mean of term(t, b) over the valid transitions."""
    terms = [term(t, b) for t in range(T) for b in range(B) if valid[t, b]]
    return sum(terms) / len(terms)


def test_whole_loss_is_the_weighted_sum_of_its_terms() -> None:
    """Off-policy, with clipped rewards, ends of episodes and two teachers that know different columns."""
    output, costs = student(), replace(COSTS, policy_cost=0.6)
    config = replace(CONFIG, value_distillation_cost=0.8, clip_rho_threshold=2.0, clip_pg_rho_threshold=1.5)
    trajectory = teach(experience(), [[0.5, 0.0, 1.5], [0.2, 0.0, 0.0]])
    labels = labels_of(trajectory)
    assert labels.values is not None
    weights = labels.weights[:, 0].numpy()
    valid, actions = trajectory.valid.numpy(), trajectory.actions.numpy()
    log_probs, values = log_softmax(output.logits.detach().numpy()), output.values.detach()
    taken = np.take_along_axis(log_probs[:-1], actions[..., None], -1)[..., 0]
    log_rhos = taken - trajectory.behaviour_log_probs.numpy()
    targets = vtrace(
        log_rhos=torch.from_numpy(log_rhos),
        discounts=torch.from_numpy(np.where(trajectory.terminated.numpy(), 0.0, 0.9)),
        rewards=trajectory.rewards.clip(-1.0, 1.0),
        values=values[:-1],
        bootstrap_value=values[-1],
        valid=trajectory.valid,
        clip_rho_threshold=2.0,
        clip_pg_rho_threshold=1.5,
        lambda_=0.95,
    )
    advantages, vs = targets.pg_advantages.numpy(), targets.vs.numpy()
    crossed = -(np.exp(log_softmax(labels.policy.numpy())) * log_probs[:-1]).sum(-1)
    terms = {
        "policy_gradient_loss": mean_over(valid, lambda t, b: -taken[t, b] * advantages[t, b]),
        "baseline_loss": mean_over(valid, lambda t, b: 0.5 * (vs[t, b] - values.numpy()[t, b]) ** 2),
        "entropy_loss": mean_over(valid, lambda t, b: (np.exp(log_probs[t, b]) * log_probs[t, b]).sum()),
        "rho": mean_over(valid, lambda t, b: np.exp(log_rhos[t, b])),
        "rho_clipped": mean_over(valid, lambda t, b: np.exp(log_rhos[t, b]) > 1.1 * 2.0),
        "approx_kl": mean_over(valid, lambda t, b: np.exp(log_rhos[t, b]) - 1 - log_rhos[t, b]),
        "value_error": np.mean((vs - values.numpy()[:-1])[valid]),
        "target": np.mean(vs[valid]),
        "target_square": np.mean(np.square(vs[valid])),
        "distillation_loss": np.mean(
            [crossed[k, t, b] for k in range(2) for t in range(T) for b in range(B) if weights[k, b] and valid[t, b]]
        ),
    }
    distances = 0.5 * (labels.values.numpy() - values.numpy()[:-1]) ** 2
    terms["value_distillation_loss"] = np.mean(
        [distances[k, t, b] for k in range(2) for t in range(T) for b in range(B) if weights[k, b] and valid[t, b]]
    )
    kick_values = mean_over(valid, lambda t, b: sum(weights[k, b] * distances[k, t, b] for k in range(2)))
    kick = mean_over(valid, lambda t, b: sum(weights[k, b] * crossed[k, t, b] for k in range(2)))
    rl = 0.6 * (terms["policy_gradient_loss"] + 0.03 * terms["entropy_loss"]) + 0.7 * terms["baseline_loss"]
    loss, reported = kickstarting_loss(output, trajectory, Categorical(A), config, costs)
    assert loss.item() == pytest.approx(rl + kick + 0.8 * kick_values, abs=1e-10)
    assert {name: term.item() for name, term in reported.items()} == pytest.approx(terms, abs=1e-10)
    assert not any(term.requires_grad for term in reported.values())


def test_on_policy_gradient_is_that_of_the_a3c_kickstarting_loss() -> None:
    """Equation 3 of Schmitt et al.: -log pi (R - V) - beta H + lambda H(pi_T || pi_S), and c/2 (R - V)^2
    for the critic, R the return to the end of the episode or to the last observation; its gradient by hand."""
    output, beta, c = student(), 0.03, 0.7
    logits, values = output.logits.detach(), output.values.detach()
    trajectory = teach(experience(), [[0.5, 1.0, 1.5]])
    on_policy = Categorical(A).log_prob(logits[:-1], trajectory.actions)
    trajectory = replace(trajectory, behaviour_log_probs=on_policy)
    pi, pi_teacher = logits.softmax(-1), labels_of(trajectory).policy[0].softmax(-1)
    d_logits, d_values = torch.zeros_like(logits), torch.zeros_like(values)
    n = int(trajectory.valid.sum())
    for b in range(B):
        returns = torch.tensor(torch.nan)  # set at the end of every episode
        for t in reversed(range(T)):
            if not trajectory.valid[t, b]:
                continue
            if trajectory.terminated[t, b]:
                returns = trajectory.rewards[t, b]
            elif t + 1 == T or trajectory.truncated[t, b]:
                returns = trajectory.rewards[t, b] + 0.9 * values[t + 1, b]
            else:
                returns = trajectory.rewards[t, b] + 0.9 * returns
            p = pi[t, b]
            entropy = -(p * p.log()).sum()
            one_hot = torch.eye(A, dtype=p.dtype)[trajectory.actions[t, b]]
            kick = labels_of(trajectory).weights[0, t, b] * (p - pi_teacher[t, b])
            d_logits[t, b] = ((p - one_hot) * (returns - values[t, b]) + beta * p * (p.log() + entropy) + kick) / n
            d_values[t, b] = c * (values[t, b] - returns) / n
    config, costs = LossConfig(discount=0.9, vtrace_lambda=1.0, policy_clip=0.0), Costs(baseline_cost=c, entropy_cost=beta)
    _, logits_gradient, values_gradient = loss_and_gradients(output, trajectory, costs, config)
    torch.testing.assert_close(logits_gradient, d_logits, **EXACT)
    torch.testing.assert_close(values_gradient, d_values, **EXACT)


def test_invalid_transitions_contribute_nothing() -> None:
    output = student()
    trajectory = teach(experience(), [[0.5, 1.0, 1.5]])
    invalid, labels = ~trajectory.valid, labels_of(trajectory)
    loss, d_logits, d_values = loss_and_gradients(output, trajectory)
    assert not d_logits[:-1][invalid].any()
    assert not d_values[:-1][invalid].any()
    with torch.no_grad():
        output.logits[:-1][invalid] += normal(int(invalid.sum()), A, seed=9)
    other = replace(
        trajectory,
        actions=torch.where(invalid, (trajectory.actions + 1) % A, trajectory.actions),
        rewards=trajectory.rewards + 7.0 * invalid,
        behaviour_log_probs=trajectory.behaviour_log_probs - 3.0 * invalid,
        terminated=trajectory.terminated | invalid,
        labels=replace(labels, policy=labels.policy + invalid[..., None] * normal(T, B, A, seed=10)),
    )
    changed = loss_and_gradients(output, other)
    assert torch.equal(changed[0], loss)
    torch.testing.assert_close(changed[1:], (d_logits, d_values), rtol=0, atol=0)


def test_last_inputs_give_the_bootstrap_alone() -> None:
    output = student()
    loss, d_logits, d_values = loss_and_gradients(output, teach(experience(), [[1.0, 1.0, 1.0]]))
    assert not d_logits[-1].any()
    assert not d_values[-1].any()
    with torch.no_grad():
        output.values[-1] += 1.0
    assert loss_and_gradients(output, teach(experience(), [[1.0, 1.0, 1.0]]))[0] != loss


def test_teachers_without_weight_change_no_bit() -> None:
    trajectory = experience(dtype=torch.float32)
    plain = loss_and_gradients(student(dtype=torch.float32), trajectory)
    labelled = loss_and_gradients(student(dtype=torch.float32), teach(trajectory, [[0.0] * B] * 2))
    for x, y in zip(plain, labelled, strict=True):
        assert torch.equal(x, y)


def test_loss_is_linear_in_lambda() -> None:
    output = student()
    none, one, three = (loss_and_gradients(output, teach(experience(), [[k, 2 * k, 0.0]])) for k in (0.0, 0.4, 1.2))
    for x0, x1, x3 in zip(none, one, three, strict=True):
        torch.testing.assert_close(x3 - x0, 3 * (x1 - x0), **EXACT)
    assert one[0] != none[0]


def test_two_teachers_add() -> None:
    output, trajectory = student(), experience()
    both = teach(trajectory, [[0.5, 1.0, 0.0], [0.3, 0.0, 2.0]])
    logits, weights = labels_of(both).policy, labels_of(both).weights
    plain = loss_and_gradients(output, trajectory)
    alone = [loss_and_gradients(output, replace(trajectory, labels=Labels(logits[[k]], weights[[k]]))) for k in range(2)]
    for base, x, y, together in zip(plain, *alone, loss_and_gradients(output, both), strict=True):
        torch.testing.assert_close(together - base, (x - base) + (y - base), **EXACT)


def test_value_distillation_moves_the_values_alone() -> None:
    """By lambda times the distance where a column has a teacher, and only on valid transitions before the last input."""
    output, trajectory = student(), teach(experience(), [[0.5, 0.0, 1.5]])
    plain = loss_and_gradients(output, trajectory)
    distilled = loss_and_gradients(output, trajectory, config=replace(CONFIG, value_distillation_cost=2.0))
    assert torch.equal(plain[1], distilled[1])
    lambdas, values = labels_of(trajectory).weights[0] * trajectory.valid, labels_of(trajectory).values
    assert values is not None
    distance = output.values.detach()[:-1] - values[0]
    expected = 2.0 * lambdas * distance / trajectory.valid.sum()
    torch.testing.assert_close((distilled[2] - plain[2])[:-1], expected, **EXACT)
    assert torch.equal(distilled[2][-1], plain[2][-1])


def test_at_policy_cost_0_the_critic_alone_learns_from_rewards() -> None:
    output, trajectory = student(), experience()
    _, d_logits, d_values = loss_and_gradients(output, trajectory, replace(COSTS, policy_cost=0.0))
    assert not d_logits.any()
    assert torch.equal(d_values, loss_and_gradients(output, trajectory)[2])


def test_without_policy_and_baseline_cost_distillation_is_left() -> None:
    output, trajectory = student(), teach(experience(), [[0.5, 1.0, 1.5]])
    loss, d_logits, d_values = loss_and_gradients(output, trajectory, replace(COSTS, policy_cost=0.0, baseline_cost=0.0))
    weights = labels_of(trajectory).weights[0] * trajectory.valid
    expected = distillation_loss(output.logits[:-1], labels_of(trajectory).policy[0], weights)
    torch.testing.assert_close(loss, expected, **EXACT)
    torch.testing.assert_close(d_logits, torch.autograd.grad(expected, output.logits)[0], **EXACT)
    assert not d_values.any()


def test_masked_actions_are_as_if_they_did_not_exist() -> None:
    """With actions 1 and 4 masked, the loss is that of a policy over the other three, whatever the masked logits."""
    kept, mask = [0, 2, 3], torch.tensor([True, False, True, True, False])
    output = student()
    with torch.no_grad():
        output.logits[..., ~mask] = 60.0
    trajectory = experience()
    small_actions = trajectory.actions % len(kept)
    full = teach(replace(trajectory, actions=torch.tensor(kept)[small_actions]), [[0.5, 1.0, 1.5]])
    full = replace(full, action_mask=mask.expand(B, A))
    labels = labels_of(full)
    small = replace(trajectory, labels=Labels(labels.policy[..., kept], labels.weights))
    small_output = Output(output.logits[..., kept].detach().requires_grad_(), output.values)
    loss, d_logits, d_values = loss_and_gradients(output, full)
    expected, d_kept, d_values_expected = loss_and_gradients(small_output, replace(small, actions=small_actions))
    torch.testing.assert_close(loss, expected, **EXACT)
    torch.testing.assert_close(d_logits[..., kept], d_kept, **EXACT)
    torch.testing.assert_close(d_values, d_values_expected, **EXACT)
    assert not d_logits[..., ~mask].any()


def test_masks_may_differ_between_columns_in_the_loss() -> None:
    """Even where an invalid transition holds an action that the column's task does not have."""
    trajectory = teach(experience(dtype=torch.float32), [[1.0] * B])
    mask = torch.ones(B, A, dtype=torch.bool)
    mask[1, 0] = mask[2, 1:3] = False
    actions = torch.full((T, B), 3)
    actions[3, 1] = 0
    result = loss_and_gradients(student(dtype=torch.float32), replace(trajectory, actions=actions, action_mask=mask))
    assert all(torch.isfinite(x).all() for x in result)
    assert not result[1][:, ~mask].any()


def test_where_a_teacher_has_no_opinion_nothing_is_learned_from_it() -> None:
    """Weight 0 on one transition: the loss is that of the labels of the others, by the same count of transitions."""
    output, trajectory = student(), teach(experience(), [[0.5, 1.0, 1.5]])
    labels = labels_of(trajectory)
    weights = labels.weights.clone()
    weights[0, 4, 1] = 0.0
    silent = replace(trajectory, labels=replace(labels, weights=weights))
    whole, d_logits, _ = loss_and_gradients(output, trajectory)
    loss, d_silent, _ = loss_and_gradients(output, silent)
    crossed = Categorical(A).cross_entropy(labels.policy[0, 4, 1], output.logits[4, 1])
    torch.testing.assert_close(whole - loss, crossed / trajectory.valid.sum(), **EXACT)
    torch.testing.assert_close(
        d_logits - d_silent, torch.autograd.grad(crossed / trajectory.valid.sum(), output.logits)[0], **EXACT
    )


def test_teachers_without_a_critic_leave_the_values_alone() -> None:
    output, trajectory = student(), teach(experience(), [[0.5, 1.0, 1.5]])
    labels = labels_of(trajectory)
    config = replace(CONFIG, value_distillation_cost=2.0)
    plain = loss_and_gradients(output, trajectory)
    assert labels.value_weights is not None
    for absent in (replace(labels, values=None), replace(labels, value_weights=0 * labels.value_weights)):
        for x, y in zip(loss_and_gradients(output, replace(trajectory, labels=absent), config=config), plain, strict=True):
            torch.testing.assert_close(x, y, rtol=0, atol=0)
