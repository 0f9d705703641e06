"""V-trace targets and advantages (Espeholt et al. 2018, IMPALA, section 4.1)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kickstarting.native.kernels import kernels


class VTraceReturns(NamedTuple):
    """The targets of one unroll. No field receives a gradient."""

    vs: Float[Tensor, "T B"]
    """v_s, the target of the value function."""
    pg_advantages: Float[Tensor, "T B"]
    """rho_s (r_s + gamma v_{s+1} - V(x_s)), the weight of grad log pi(a_s | x_s); 0 where not valid."""
    advantages: Float[Tensor, "T B"]
    """The same without rho_s, for a loss that has the ratio in itself."""


@torch.no_grad()
def vtrace(
    *,
    log_rhos: Float[Tensor, "T B"],
    discounts: Float[Tensor, "T B"],
    rewards: Float[Tensor, "T B"],
    values: Float[Tensor, "T B"],
    bootstrap_value: Float[Tensor, " B"],
    valid: Bool[Tensor, "T B"] | Float[Tensor, "T B"],
    clip_rho_threshold: float | None = 1.0,
    clip_pg_rho_threshold: float | None = 1.0,
    lambda_: float = 1.0,
) -> VTraceReturns:
    """Off-policy corrected targets for the actions of a behaviour policy mu. No input receives a gradient.

        v_s     = V(x_s) + delta_s + gamma_s c_s (v_{s+1} - V(x_{s+1}))
        delta_s = rho_s (r_s + gamma_s V(x_{s+1}) - V(x_s))
        rho_s   = min(clip_rho_threshold, pi/mu),   c_s = lambda_ min(1, pi/mu)

    This is IMPALA's recursion (remark 1), with lambda_ of remark 2. `discounts` is gamma * (1 - terminated), so that a
    truncated episode bootstraps from its last observation. `valid` multiplies delta *and* c: a transition in which the
    environment reset itself has v_s = V(x_s) and lets nothing through from the next episode to the last.

    log_rhos: log pi(a|x) - log mu(a|x). bootstrap_value: V(x_T). A threshold of None does not clip. On-policy
    (log_rhos = 0) with lambda_ = 1, v_s is the n-step Bellman target of A3C.
    """
    if clip_rho_threshold is not None and clip_rho_threshold < (
        math.inf if clip_pg_rho_threshold is None else clip_pg_rho_threshold
    ):
        raise ValueError(
            f"clip_rho_threshold {clip_rho_threshold} is below clip_pg_rho_threshold {clip_pg_rho_threshold}; "
            "the targets must be clipped no tighter than the policy gradient"
        )
    valid, nothing = valid.bool(), values.new_zeros(())  # selected, not multiplied: what is not valid may be infinite
    rhos = log_rhos.exp()
    clipped_rhos = rhos if clip_rho_threshold is None else rhos.clamp(max=clip_rho_threshold)
    decays = torch.where(valid, discounts * lambda_ * rhos.clamp(max=1.0), nothing)
    values_t_plus_1 = torch.cat([values[1:], bootstrap_value[None]])
    deltas = torch.where(valid, clipped_rhos * (rewards + discounts * values_t_plus_1 - values), nothing)

    vs = values + accumulated(deltas, decays)
    vs_t_plus_1 = torch.cat([vs[1:], bootstrap_value[None]])
    clipped_pg_rhos = rhos if clip_pg_rho_threshold is None else rhos.clamp(max=clip_pg_rho_threshold)
    advantages = torch.where(valid, rewards + discounts * vs_t_plus_1 - values, nothing)
    return VTraceReturns(vs, torch.where(valid, clipped_pg_rhos * advantages, nothing), advantages)


def accumulated(terms: Float[Tensor, "T B"], decays: Float[Tensor, "T B"]) -> Float[Tensor, "T B"]:
    """x_s = terms_s + decays_s x_{s+1}, and x_T = 0."""
    loop = kernels()
    if loop and terms.device.type == "cpu" and terms.dtype == decays.dtype == torch.float32:
        return loop.accumulate(terms.contiguous(), decays.contiguous())
    sums, following = torch.empty_like(terms), torch.zeros_like(terms[0])
    for s in reversed(range(len(terms))):
        following = torch.addcmul(terms[s], decays[s], following, out=sums[s])
    return sums
