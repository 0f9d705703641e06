"""What ends a network: a policy's parameters and a value, linear and in float32."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from kickstarting.algo.distributions import DiagonalGaussian, Distribution
from kickstarting.ranges import Range

STD = Range(0.01, 7)
"""Of a deviation at the beginning, in units of half the range of the actions."""


class Head(nn.Linear):
    """A linear layer that stays float32: an error of bfloat16's size in a value would be one in every advantage."""

    def forward(self, input: Tensor) -> Tensor:
        if not torch.is_autocast_enabled(input.device.type):
            return super().forward(input)
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float())


class StateIndependent(nn.Module):
    """The head of a Gaussian whose means are linear in the features and whose deviations are numbers of their own, std at first.

    It has the weights that a `Head` would have, in which no feature changes a deviation.
    """

    def __init__(self, width: int, dimensions: int, std: float = 1.0) -> None:
        super().__init__()
        self.mean = Head(width, dimensions)
        self.log_std = nn.Parameter(torch.full((dimensions,), math.log(std)))

    def forward(self, input: Tensor) -> Tensor:
        mean = self.mean(input)
        return torch.cat([mean, self.log_std.expand_as(mean)], -1)

    @property
    def weight(self) -> Tensor:
        return torch.cat([self.mean.weight, torch.zeros_like(self.mean.weight)])

    @property
    def bias(self) -> Tensor:
        return torch.cat([self.mean.bias, self.log_std])

    @property
    def out_features(self) -> int:
        return 2 * self.mean.out_features


def policy_head(
    width: int, distribution: Distribution, *, state_independent_std: bool = False, initial_std: float = 1.0
) -> Head | StateIndependent:
    """state_independent_std, and initial_std of it: of a Gaussian; discrete actions have no deviation.

    Raises ValueError for an initial_std of deviations that are no numbers of their own.
    """
    if state_independent_std and isinstance(distribution, DiagonalGaussian):
        return StateIndependent(width, *distribution.action_shape, initial_std)
    if initial_std != 1.0:
        why = "actions are not continuous" if state_independent_std else "state_independent_std is False"
        raise ValueError(f"network option initial_std is {initial_std:g}, and {why}; leave it out")
    return Head(width, distribution.size)


def initialise(policy: nn.Linear | StateIndependent, value: nn.Linear, gain: float) -> None:
    """So that a new policy is nearly the same everywhere. gain: of the value's weights."""
    nn.init.orthogonal_(_means(policy).weight, 0.01)
    nn.init.orthogonal_(value.weight, gain)
    nn.init.zeros_(_means(policy).bias)
    nn.init.zeros_(value.bias)


def initialise_to_be_taught(policy: nn.Linear | StateIndependent) -> None:
    """Weights of norm 1, behind an LSTM. Teachers ask a new student for large logits; behind weights near 0 only large activations
    give them, and these close the LSTM's gates before it has learned what to keep (decision 30)."""
    nn.init.orthogonal_(_means(policy).weight)


def _means(policy: nn.Linear | StateIndependent) -> nn.Linear:
    return policy.mean if isinstance(policy, StateIndependent) else policy
