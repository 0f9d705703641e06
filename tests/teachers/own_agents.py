"""Agents as people write them, in the style of single-file trainers; named as teachers by `module:own_agents:NAME`."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Normal

CART = gymnasium.spaces.Box(-np.inf, np.inf, (4,), np.float32), gymnasium.spaces.Discrete(2)


class Discrete(nn.Module):
    """Actor and critic side by side."""

    def __init__(self, envs: Any) -> None:
        super().__init__()
        inputs = int(np.prod(envs.single_observation_space.shape))
        self.critic = nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, 1))
        self.actor = nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, int(envs.single_action_space.n)))

    def get_action_and_value(self, x: Tensor, action: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        law = Categorical(logits=self.actor(x))
        action = law.sample() if action is None else action
        return action, law.log_prob(action), law.entropy(), self.critic(x)


class Unhooked(Discrete):
    """Its logits have no module of their own."""

    def __init__(self, envs: Any) -> None:
        super().__init__(envs)
        self.head = self.actor
        del self.actor

    def get_action_and_value(self, x: Tensor, action: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        law = Categorical(logits=self.head(x))
        action = law.sample() if action is None else action
        return action, law.log_prob(action), law.entropy(), self.critic(x)


class CartPole(Discrete):
    """The agent of CleanRL's ppo.py for one task, smaller. Its weights are in foreign/ppo.cleanrl_model."""

    observation_space, action_space = CART
    hidden = 16

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.critic, self.actor = (self._layers(outputs) for outputs in (1, 2))

    def _layers(self, outputs: int) -> nn.Sequential:
        first, second = nn.Linear(4, self.hidden), nn.Linear(self.hidden, self.hidden)
        return nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), nn.Linear(self.hidden, outputs))


class Recurrent(nn.Module):
    """Images through a network and an LSTM; `done` is that of the observation."""

    observation_space = gymnasium.spaces.Box(0, 255, (2, 12, 12), np.uint8)
    action_space = gymnasium.spaces.Discrete(3)

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Conv2d(2, 4, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 8))
        self.lstm = nn.LSTM(8, 6)
        self.actor, self.critic = nn.Linear(6, 3), nn.Linear(6, 1)

    def get_action_and_value(self, x: Tensor, lstm_state: Any, done: Tensor, action: Tensor | None = None) -> Any:
        hidden = self.network(x / 255.0)
        batch = lstm_state[0].shape[1]
        outputs = []
        for h, d in zip(hidden.reshape(-1, batch, 8), done.reshape(-1, batch), strict=True):
            lstm_state = tuple((1.0 - d).view(1, -1, 1) * part for part in lstm_state)
            h, lstm_state = self.lstm(h[None], lstm_state)
            outputs.append(h)
        hidden = torch.flatten(torch.cat(outputs), 0, 1)
        law = Categorical(logits=self.actor(hidden))
        action = law.sample() if action is None else action
        return action, law.log_prob(action), law.entropy(), self.critic(hidden), lstm_state


class Continuous(nn.Module):
    """Means of a network, one log standard deviation for all states."""

    def __init__(self, envs: Any) -> None:
        super().__init__()
        self.critic = nn.Linear(3, 1)
        self.actor_mean = nn.Linear(3, 1)
        self.actor_logstd = nn.Parameter(torch.full((1, 1), -0.5))

    def get_action_and_value(self, x: Tensor, action: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        law = Normal(self.actor_mean(x), self.actor_logstd.exp())
        action = law.sample() if action is None else action
        return action, law.log_prob(action).sum(1), law.entropy().sum(1), self.critic(x)


class Squashed(nn.Module):
    """Mean and log standard deviation before a tanh."""

    def __init__(self, env: Any) -> None:
        super().__init__()
        self.body = nn.Linear(3, 2)
        self.register_buffer("action_scale", torch.tensor([2.0]))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.body(x).chunk(2, -1)
        return mean, log_std


class Deterministic(nn.Module):
    """An action in the environment's units."""

    def __init__(self, env: Any) -> None:
        super().__init__()
        self.body = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return 2.0 * torch.tanh(self.body(x))


class QNetwork(nn.Module):
    """Values of actions."""

    def __init__(self, observation_space: gymnasium.Space, action_space: gymnasium.Space) -> None:
        super().__init__()
        self.network = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)


class Policy(nn.Module):
    """A distribution, and values behind it."""

    observation_space, action_space = CART

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def policy(self, x: Tensor) -> tuple[Categorical, Tensor]:
        both = self.layer(x)
        return Categorical(logits=both[..., :2]), both[..., 2]

    def act(self, x: Tensor) -> Tensor:
        return self.layer(x)[..., :2].argmax(-1)


class Rambling(Policy):
    """Says what is no label."""

    says: Any = None

    def policy(self, x: Tensor) -> Any:
        return self.says


class Silent(nn.Module):
    """Has nothing that could be called."""

    observation_space, action_space = CART


class Spaceless(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


class Demanding(nn.Module):
    def __init__(self, envs: Any, width: int) -> None:
        super().__init__()


def no_module() -> int:
    return 3


def two(width: int = 4) -> Policy:
    """A function that makes one."""
    return Policy()
