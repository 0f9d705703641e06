"""The network of PPO's results on continuous control: policy and critic apart, each two tanh layers on normalised numbers."""

from __future__ import annotations

import math
from typing import Annotated

import gymnasium
import torch
from torch import Tensor, nn

from kickstarting.algo.distributions import Distribution
from kickstarting.networks.heads import STD, Head, initialise, policy_head
from kickstarting.networks.normaliser import Normaliser
from kickstarting.networks.torsos import keep_size
from kickstarting.ranges import Range
from kickstarting.spaces import kind_of
from kickstarting.types import Inputs, Output, State

WIDTH = Range(1, 10**5)


class ActorCriticMLP(nn.Module):
    """Reads vectors, and scalars one-hot; neither the last action nor the last reward (Huang et al. 2022, "The 37 implementation
    details of proximal policy optimization", those for continuous actions).

    hidden: widths of the layers of each half. normalise_observations, state_independent_std, initial_std: as for `Agent`.
    """

    def __init__(
        self,
        observation_space: gymnasium.spaces.Dict,
        distribution: Distribution,
        hidden: Annotated[tuple[int, ...], WIDTH] = (64, 64),
        normalise_observations: bool = True,
        state_independent_std: bool = True,
        initial_std: Annotated[float, STD] = 1.0,
    ) -> None:
        super().__init__()
        self.distribution = distribution
        self.one_hot: dict[str, int] = {}
        self.vectors: list[str] = []
        width = 0
        for name, space in observation_space.items():
            if isinstance(space, gymnasium.spaces.Discrete):
                self.one_hot[name] = int(space.n)
                width += int(space.n)
            elif (kind := kind_of(name, space)) == "vector":
                self.vectors.append(name)
                width += math.prod(space.shape or ())
            else:
                raise ValueError(f"network 'mlp' reads vectors, and observation {name!r} is {kind}; use small or large")
        self.normalisers = nn.ModuleList(
            Normaliser(name, observation_space[name].shape or ()) if normalise_observations else nn.Identity()
            for name in self.vectors
        )
        last = (width, *hidden)[-1]
        self.actor, self.critic = _layers(width, hidden), _layers(width, hidden)
        self.policy = policy_head(last, distribution, state_independent_std=state_independent_std, initial_std=initial_std)
        self.value = Head(last, 1)
        initialise(self.policy, self.value, gain=1.0)

    def initial_state(self, batch: int) -> State:
        return ()

    def forward(self, inputs: Inputs, state: State) -> tuple[Output, State]:
        x = self._numbers(inputs)
        return Output(self.policy(self.actor(x)), self.value(self.critic(x))[..., 0]), state

    def _numbers(self, inputs: Inputs) -> Tensor:
        """[T, B, F]: all observations behind one another."""
        leading = inputs.is_first.shape
        parts = []
        for name, normaliser in zip(self.vectors, self.normalisers, strict=True):
            parts.append(normaliser(inputs.observations[name]).float().reshape(*leading, -1))
        for name, n in self.one_hot.items():
            indices = torch.arange(n, device=inputs.is_first.device)
            parts.append((inputs.observations[name][..., None] == indices).float())
        return torch.cat(parts, -1)


def _layers(width: int, hidden: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in zip((width, *hidden), hidden, strict=False):
        linear = nn.Linear(before, after)
        keep_size(linear)
        layers += [linear, nn.Tanh()]
    return nn.Sequential(*layers)
