"""How a student learns, as it is configured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from kickstarting.algo.distributions import is_continuous
from kickstarting.algo.parsing import AUTO, Rate
from kickstarting.envs.joint import TaskSpaces
from kickstarting.learner import STEPS, LearnerConfig
from kickstarting.machine import memory_bytes
from kickstarting.ranges import Range
from kickstarting.spaces import kind_of

SCHEDULED = ("learning_rate", "entropy_cost", "policy_cost", "baseline_cost")
"""What is a number or a schedule, in the order of the learner's `Hyperparameters`."""

GRIDS: dict[str, Any] = {"learning_rate": "linear:3e-3:3e-4:100%", "base_width": 128}
OTHERS: dict[str, Any] = {"learning_rate": "linear:1e-3:1e-4:100%", "base_width": 0}
"""What is usual where a grid is observed, and elsewhere (decisions 30 and 38)."""

USUAL: dict[str, tuple[Any, Any]] = {
    **{name: (GRIDS[name], OTHERS[name]) for name in GRIDS},
    "entropy_cost": ("0.01", "1e-4"),
    "baseline_cost": ("0.5", "10"),
    **STEPS,
}
"""Settings that depend on the environments where they are `auto` or not given, and all that this can stand for: beside
what follows the observations, with discrete and with continuous actions. The entropy of a normal has no end, and 0.01 widened it
without end (decision 35); returns there are large beside what tells actions apart, so that a critic needs weight to be heard
(decision 36)."""


def usual(name: str, seen: TaskSpaces) -> Any:
    """What a setting is in these environments, unless given."""
    if name not in GRIDS:
        return USUAL[name][is_continuous(seen.distribution)]
    kinds = [kind_of(key, space) for key, space in seen.observation_space.items()]
    return (GRIDS if "grid" in kinds else OTHERS)[name]


@dataclass(frozen=True)
class LearningConfig:
    """How the student learns: from how much experience, at which rate, at which costs."""

    learning_rate: Annotated[str, Rate(1e30, auto=True)] = AUTO
    """A number or a schedule. auto falls to a tenth over the run, from 3e-3 where a grid is observed and from 1e-3 elsewhere."""
    entropy_cost: Annotated[str, Rate(1e6, auto=True)] = AUTO
    """A number or a schedule. auto is 0.01 of discrete actions, 1e-4 of continuous ones."""
    policy_cost: Annotated[str, Rate(1e6)] = "1"
    """Weight of the policy gradient and the entropy, a number or a schedule. step:0:1:5% warms up the critic before the rewards
    may change the policy. 0, with --baseline-cost 0, is policy distillation on the student's own trajectories."""
    baseline_cost: Annotated[str, Rate(1e6, auto=True)] = AUTO
    """Weight of the critic's loss, a number or a schedule. auto is 0.5 of discrete actions, 10 of continuous ones."""
    envs_per_task: Annotated[int, Range(1, 10**5)] = 16
    unroll_length: Annotated[int, Range(1, 10**5)] = 32
    squash_actions: bool = False
    """Continuous actions are tanh of a normal, as in SAC, and never at a bound; else normal, and clipped at the environment."""
    learner: LearnerConfig = field(default_factory=LearnerConfig)

    def check(self, env_groups: int, shares: int, whose: str) -> None:
        """Raise ValueError, with the remedy, for what cannot work together, or in the memory of this machine."""
        loss, memory = self.learner.loss, memory_bytes()
        if loss.clip_rho_threshold < loss.clip_pg_rho_threshold:
            raise ValueError(
                f"clip_rho_threshold {loss.clip_rho_threshold} is below clip_pg_rho_threshold {loss.clip_pg_rho_threshold}; "
                "lower the second, or raise the first"
            )
        if loss.proximal_distillation and not loss.policy_clip:
            raise ValueError("proximal_distillation is weighed by policy_clip, which is 0; give --policy-clip 0.2, or leave it out")
        if self.envs_per_task % (env_groups * shares):
            each = f"env_groups is {env_groups}" + f" in each of {shares} {whose}" * (shares > 1)
            raise ValueError(f"{each}; it must divide envs_per_task, {self.envs_per_task}, evenly")
        if 64 * self.envs_per_task * self.unroll_length > memory:  # bytes, without any observation
            raise ValueError(
                f"envs_per_task is {self.envs_per_task}, unroll_length {self.unroll_length}: an unroll of one task is more than "
                f"the {memory / 2**30:.0f} GiB of this machine; lower one of them"
            )
