"""The class behind the weights that CleanRL's ppo.py trains: two networks of 64 tanh units, side by side.

kickstart check 'module:cleanrl_agent:Agent?env=CartPole-v1&weights=FILE' CartPole-v1
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn
from torch.distributions import Categorical


class Agent(nn.Module):
    """`actor` and `critic`, as its state_dict names them."""

    def __init__(self, envs: Any) -> None:
        super().__init__()
        inputs = math.prod(envs.single_observation_space.shape)
        self.critic = _network(inputs, 1)
        self.actor = _network(inputs, int(envs.single_action_space.n))

    def get_action_and_value(self, x: Tensor, action: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        law = Categorical(logits=self.actor(x))
        action = law.sample() if action is None else action
        return action, law.log_prob(action), law.entropy(), self.critic(x)


def _network(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs))
