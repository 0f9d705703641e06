"""One time step to one vector, or three: what is observed, and the action and reward that led there."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium
import torch
from gymnasium import spaces
from torch import Tensor, nn

from kickstarting.algo.distributions import Distribution
from kickstarting.networks.language import LanguageEncoder
from kickstarting.networks.torsos import MLP, Grid, PixelSmall
from kickstarting.spaces import kind_of
from kickstarting.types import Inputs

TORSO = 128


@dataclass(frozen=True)
class Repeated:
    """Observations [B, C, ...] of which many are the same: entries [N, ...], each once, and which [B, C] of them is where."""

    entries: Tensor
    which: Tensor

    def to(self, device: str) -> Repeated:
        return Repeated(self.entries.to(device), self.which.to(device))


class Encoder(nn.Module):
    """[B, C] steps to [B, C, tokens, width], tokens 1 (the sum of all) or 3 (action, reward, observation).

    Numbers of a MultiDiscrete have a table each, and their vectors are added: a cell that was never a goal in training is known by
    its column and its row.
    """

    def __init__(self, space: spaces.Dict, distribution: Distribution, width: int, tokens: int) -> None:
        super().__init__()
        self.distribution, self.tokens = distribution, tokens
        self.names = list(space)
        self.parts = nn.ModuleList(_part(name, part, width) for name, part in space.items())
        self.action = nn.Linear(distribution.encoding_size, width)
        self.reward = nn.Linear(1, width)
        self.first = nn.Embedding(2, width)

    def forward(self, inputs: Inputs) -> Tensor:
        seen = self.first(inputs.is_first.long())
        for name, part in zip(self.names, self.parts, strict=True):
            seen = seen + part(inputs.observations[name])
        action = self.action(self.distribution.encode(inputs.last_actions))
        reward = self.reward(inputs.last_rewards[..., None])
        if self.tokens == 1:
            return (seen + action + reward)[:, :, None]
        return torch.stack([action, reward, seen], 2)


class Choices(nn.Module):
    """The sum of an embedding for each of some small numbers [..., D]."""

    offsets: Tensor

    def __init__(self, counts: list[int], width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(sum(counts), width)
        nn.init.normal_(self.table.weight, std=0.5)
        self.register_buffer("offsets", torch.tensor([0, *counts[:-1]]).cumsum(0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.table(x.long() + self.offsets).sum(-2)


class _Torso(nn.Module):
    """A torso of the package's networks, and a linear layer."""

    def __init__(self, torso: nn.Module, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.torso, self.output, self._ndim = torso, nn.Linear(TORSO, width), len(shape)

    def forward(self, x: Tensor | Repeated) -> Tensor:
        if isinstance(x, Repeated):
            return self(x.entries)[x.which]
        leading = x.shape[: x.ndim - self._ndim]
        return self.output(self.torso(x.reshape(-1, *x.shape[len(leading) :]))).view(*leading, -1)


class _OneHot(Choices):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[..., None])


def _part(name: str, space: gymnasium.Space, width: int) -> nn.Module:
    if isinstance(space, spaces.MultiDiscrete):
        return Choices([int(n) for n in space.nvec], width)
    kind, shape = kind_of(name, space), tuple(space.shape or ())
    if isinstance(space, spaces.Discrete):
        return _OneHot([int(space.n)], width)
    if kind == "text":
        return LanguageEncoder(width)
    torso = {"vector": MLP, "grid": Grid, "pixels": PixelSmall}[kind]
    return _Torso(torso(shape, TORSO), shape, width)
