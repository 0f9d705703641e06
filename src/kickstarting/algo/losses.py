"""The kickstarting loss (Schmitt et al. 2018, equations 2 to 4): a V-trace actor-critic that also listens to teachers.

    loss = policy gradient + baseline_cost * baseline + entropy_cost * (-entropy) + sum_i lambda_i H(pi_teacher_i || pi_student)

Every term is a *mean* over the valid transitions of the batch, where the papers sum over time and batch. All terms share
the reduction, so that costs and lambda keep the papers' meaning. To carry over the rest from a summing implementation
with N = T * B transitions a batch: a gradient-norm clip is divided by N; with RMSProp, epsilon (inside the square root) is
divided by N^2 and the learning rate stays; with Adam, epsilon is divided by N.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kickstarting.algo.distributions import IMPOSSIBLE, Categorical, Distribution
from kickstarting.algo.vtrace import VTraceReturns, vtrace
from kickstarting.ranges import Choice, Range
from kickstarting.types import Output, Trajectory


@dataclass(frozen=True)
class LossConfig:
    """What shapes the loss, and stays as it is through a run."""

    discount: Annotated[float, Range(0, 1)] = 0.99
    clip_rho_threshold: Annotated[float, Range(0, 1e9)] = 1.0
    clip_pg_rho_threshold: Annotated[float, Range(0, 1e9)] = 1.0
    vtrace_lambda: Annotated[float, Range(0, 1)] = 0.95
    """Below 1, targets lean on the critic beyond about 1 / (1 - this) steps. It has nothing to do with the teachers' lambda."""
    reward_clip: Annotated[str, Choice("none", "abs_one", "soft_asymmetric")] = "none"
    """none, abs_one, or soft_asymmetric."""
    policy_clip: Annotated[float, Range(0, 1, high_open=True)] = 0.2
    """PPO's clip: the ratio of the policy to the one that acted gains nothing beyond 1 +- this. 0 takes the plain policy gradient
    with V-trace's rho, which is meant for one pass."""
    distillation: Annotated[str, Choice("forward", "reverse")] = "forward"
    """Which Kullback-Leibler divergence draws the policy to its teachers: forward, KL(teacher || student), covers all that they
    would do; reverse, KL(student || teacher), keeps to what they do most."""
    proximal_distillation: bool = False
    """Weigh each divergence by max(pi/mu, 1 - policy_clip), as proximal policy distillation does."""
    value_distillation_cost: Annotated[float, Range(0, 1e6)] = 0.0
    """Weight, times lambda, of the squared distance to the teachers' values. It protects an untrained critic."""


@dataclass(frozen=True)
class Costs:
    """What weighs the terms of the loss, and may change at every step; lambda comes with the labels."""

    entropy_cost: float = 0.01
    policy_cost: float = 1.0
    """Weight of the policy gradient and the entropy; at 0 the policy follows the teachers alone, and the critic learns."""
    baseline_cost: float = 0.5


def masked_mean(x: Float[Tensor, "*batch"], valid: Tensor) -> Float[Tensor, ""]:
    """Mean of x where valid (bool or 0/1, broadcast to x); 0 if nowhere. The gradient reaches x where valid."""
    valid = valid.bool().expand_as(x)
    return torch.where(valid, x, 0.0).sum() / valid.sum().clamp(min=1)


def policy_gradient_loss(
    log_probs: Float[Tensor, "T B"], pg_advantages: Float[Tensor, "T B"], valid: Bool[Tensor, "T B"]
) -> Float[Tensor, ""]:
    """-log pi(a_t|x_t) * advantage (equation 4). The gradient reaches log_probs only; the advantages carry rho."""
    return masked_mean(-log_probs * pg_advantages.detach(), valid)


def clipped_policy_gradient_loss(
    log_ratios: Float[Tensor, "T B"], advantages: Float[Tensor, "T B"], valid: Bool[Tensor, "T B"], clip: float
) -> Float[Tensor, ""]:
    """PPO's surrogate (Schulman et al. 2017, equation 7): -min(r A, clip(r, 1 - clip, 1 + clip) A), r = pi/mu.

    log_ratios: log pi - log mu, which receives the gradient, where the ratio is not beyond the clip in the direction that A
    asks for. advantages: without rho, since the ratio is in the loss. At r = 1 its gradient is `policy_gradient_loss`'s.
    """
    ratios, advantages = log_ratios.exp(), advantages.detach()
    return masked_mean(-torch.minimum(ratios * advantages, ratios.clamp(1.0 - clip, 1.0 + clip) * advantages), valid)


def baseline_loss(values: Float[Tensor, "T B"], vs: Float[Tensor, "T B"], valid: Bool[Tensor, "T B"]) -> Float[Tensor, ""]:
    """0.5 (v_s - V(x_s))^2. The gradient reaches values only."""
    return masked_mean(0.5 * (vs.detach() - values).square(), valid)


def entropy_loss(entropy: Float[Tensor, "T B"], valid: Bool[Tensor, "T B"]) -> Float[Tensor, ""]:
    """Minus the policy's entropy in nats, so that minimising it explores. The gradient reaches entropy."""
    return -masked_mean(entropy, valid)


def cross_entropy(
    student_logits: Float[Tensor, "*#batch A"],
    teacher_logits: Float[Tensor, "*#batch A"],
    distribution: Distribution | None = None,
) -> Float[Tensor, ...]:
    """H(pi_teacher || pi_student) per transition in nats (equation 1), teacher first. Its gradient in the student's
    logits is that of KL(pi_teacher || pi_student): pi_student - pi_teacher. The teacher's logits receive none."""
    distribution = distribution or Categorical(student_logits.shape[-1])
    return distribution.cross_entropy(teacher_logits, student_logits)


def distillation_loss(
    student_logits: Float[Tensor, "*batch A"],
    teacher_logits: Float[Tensor, "*batch A"],
    weights: Float[Tensor, "*#batch"],
    distribution: Distribution | None = None,
) -> Float[Tensor, ""]:
    """lambda * H(pi_teacher || pi_student), averaged over the transitions whose weight is not 0.

    weights: lambda of each transition, 0 where it is invalid or has no teacher (a plain 0/1 mask is lambda = 1);
    broadcast to the batch shape. All zero gives 0. distribution: of the policies, Categorical unless given. The gradient reaches
    student_logits only.
    """
    weights = weights.to(student_logits.dtype).expand(student_logits.shape[:-1])
    weighted = weights * cross_entropy(student_logits, teacher_logits, distribution)
    return weighted.sum() / (weights != 0).sum().clamp(min=1)


def clip_rewards(rewards: Tensor, kind: str) -> Tensor:
    """Rewards as the loss sees them: none, abs_one (to [-1, 1]), or soft_asymmetric (5 tanh(r/5), losses at 0.3)."""
    if kind == "none":
        return rewards
    if kind == "abs_one":
        return rewards.clamp(-1.0, 1.0)
    squeezed = torch.tanh(rewards / 5.0)
    return 5.0 * torch.where(rewards < 0, 0.3 * squeezed, squeezed)


def mask_logits(logits: Float[Tensor, "*batch A"], action_mask: Bool[Tensor, "B A"] | None) -> Float[Tensor, "*batch A"]:
    """Logits with probability 0 on the actions that a task does not have."""
    return logits if action_mask is None else logits.masked_fill(~action_mask, IMPOSSIBLE)


def targets_of(
    output: Output, trajectory: Trajectory, distribution: Distribution, config: LossConfig, units: Tensor | None = None
) -> VTraceReturns:
    """V-trace's targets for an output, in units of reward: units [B] is what each column's rewards are divided by."""
    values, rewards = output.values.detach(), clip_rewards(trajectory.rewards, config.reward_clip)
    logits = mask_logits(output.logits.detach(), trajectory.action_mask)[:-1]
    return vtrace(
        log_rhos=distribution.log_prob(logits, trajectory.actions) - trajectory.behaviour_log_probs,
        discounts=config.discount * (~trajectory.terminated).to(values.dtype),
        rewards=rewards if units is None else rewards / units,
        values=values[:-1],
        bootstrap_value=values[-1],
        valid=trajectory.valid,
        clip_rho_threshold=config.clip_rho_threshold,
        clip_pg_rho_threshold=config.clip_pg_rho_threshold,
        lambda_=config.vtrace_lambda,
    )


def kickstarting_loss(
    output: Output,
    trajectory: Trajectory,
    distribution: Distribution,
    config: LossConfig,
    costs: Costs,
    targets: VTraceReturns | None = None,
    advantage_scale: Tensor | float = 1.0,
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """The whole loss on one labelled trajectory, and its terms (each unweighted, detached) by name.

    output: the student on the T+1 inputs. The gradient reaches output.logits and, through the baseline loss, output.values.
    targets: `targets_of` the output unless given. advantage_scale: what the advantages are divided by.
    """
    valid = trajectory.valid
    targets = targets or targets_of(output, trajectory, distribution, config)
    logits = mask_logits(output.logits, trajectory.action_mask)[:-1]
    values = output.values[:-1]
    log_probs = distribution.log_prob(logits, trajectory.actions)
    log_ratios = log_probs - trajectory.behaviour_log_probs
    if config.policy_clip:
        advantages = targets.advantages / advantage_scale
        policy_gradient = clipped_policy_gradient_loss(log_ratios, advantages, valid, config.policy_clip)
    else:
        policy_gradient = policy_gradient_loss(log_probs, targets.pg_advantages / advantage_scale, valid)
    terms = {
        "policy_gradient_loss": policy_gradient,
        "baseline_loss": baseline_loss(values, targets.vs, valid),
        "entropy_loss": entropy_loss(distribution.entropy(logits), valid),
    }
    loss = (
        costs.policy_cost * (terms["policy_gradient_loss"] + costs.entropy_cost * terms["entropy_loss"])
        + costs.baseline_cost * terms["baseline_loss"]
    )
    if labels := trajectory.labels:
        distances = _distances(logits, mask_logits(labels.policy, trajectory.action_mask), distribution, config)
        terms["distillation_loss"] = masked_mean(distances, valid * (labels.weights != 0))
        if config.proximal_distillation:
            distances = distances * log_ratios.exp().clamp(min=1.0 - config.policy_clip)
        loss = loss + masked_mean((labels.weights * distances).sum(0), valid)  # summed over a column's K teachers: [T, B]
        if config.value_distillation_cost and labels.values is not None and labels.value_weights is not None:
            squares = 0.5 * (labels.values.detach() - values).square()
            loss = loss + config.value_distillation_cost * masked_mean((labels.value_weights * squares).sum(0), valid)
            terms["value_distillation_loss"] = masked_mean(squares, valid * (labels.value_weights != 0))
    return loss, {name: term.detach() for name, term in (terms | _measures(log_ratios, values, targets.vs, valid, config)).items()}


@torch.no_grad()
def _measures(log_ratios: Tensor, values: Tensor, vs: Tensor, valid: Tensor, config: LossConfig) -> dict[str, Tensor]:
    """What the loss does not contain, and a run is watched by. All are means, so that those of many steps have one, too."""
    rhos = log_ratios.exp()
    clipped = (rhos > 1.1 * config.clip_rho_threshold).to(rhos.dtype)
    measured = torch.stack([rhos, clipped, rhos - 1.0 - log_ratios, vs - values, vs, vs.square()])
    means = measured.masked_fill(~valid, 0.0).sum((1, 2)) / valid.sum().clamp(min=1)
    names = ("rho", "rho_clipped", "approx_kl", "value_error", "target", "target_square")
    return dict(zip(names, means.unbind(), strict=True))


def _distances(logits: Tensor, teacher_logits: Tensor, distribution: Distribution, config: LossConfig) -> Tensor:
    """How far the policy is from each teacher, [K, T, B]. A cross-entropy is KL(teacher || student) but for the teacher's entropy,
    of which a gradient knows nothing unless the ratio multiplies it."""
    if config.distillation == "reverse":
        return distribution.reverse_kl(teacher_logits, logits)
    return (distribution.kl if config.proximal_distillation else distribution.cross_entropy)(teacher_logits, logits)
