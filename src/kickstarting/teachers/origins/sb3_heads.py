"""From the last features of Stable-Baselines3's policies to parameters of the student's distribution.

Continuous actions become the normal that has their moments, in the student's units: of a normal that is clipped into the bounds for
PPO and its kin, of tanh of a normal for SAC and its kin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import torch
from gymnasium import spaces
from torch import Tensor, nn

from kickstarting.algo.moments import parameters, squashed_gaussian
from kickstarting.teachers.origins.foreign import Units
from kickstarting.teachers.origins.sb3_features import linear

EPSILON = 1e-6
"""What the peer adds to the variance of state-dependent exploration, and in `expln`."""


def make_head(
    weights: Mapping[str, Tensor], mean: str, log_std: str, options: Mapping[str, Any], action_space: gymnasium.Space
) -> nn.Module:
    """mean, log_std: names of weights."""
    if isinstance(action_space, spaces.Box):
        return Continuous(weights, mean, log_std, options, action_space)
    layer = linear(weights, mean)
    return nn.Sequential(layer, Binary()) if isinstance(action_space, spaces.MultiBinary) else layer


class Binary(nn.Module):
    """Of each of D switches, the logit of on, as logits of off and on, [..., 2 D]."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([torch.zeros_like(x), x], -1).flatten(-2)


class Continuous(nn.Module):
    """Normals, clipped or squashed into the bounds."""

    log_std: Tensor

    def __init__(
        self, weights: Mapping[str, Tensor], mean: str, log_std: str, options: Mapping[str, Any], action_space: spaces.Box
    ) -> None:
        super().__init__()
        limited = f"{mean}.0.weight" in weights  # SAC with state-dependent exploration
        self.mean = linear(weights, f"{mean}.0" if limited else mean)
        self.limit = nn.Hardtanh(-2.0, 2.0) if limited else nn.Identity()
        self.log_std_layer = linear(weights, log_std) if f"{log_std}.weight" in weights else None
        self.register_buffer("log_std", weights.get(log_std))
        self.squashed, self.use_expln = options["squash_output"], options["use_expln"]
        self._units = Units(action_space)

    def forward(self, x: Tensor) -> Tensor:
        mean, std = self.limit(self.mean(x)).double(), self.std(x).double()
        if self.squashed:
            return parameters(*squashed_gaussian(mean, std))
        return self._units.normal(mean, std)

    def std(self, x: Tensor) -> Tensor:
        """In the units of the peer: of the state, of the state's features by `log_std` [F, A], or one for all states."""
        if self.log_std_layer is not None:
            return self.log_std_layer(x).clamp(-20.0, 2.0).exp()
        std = self.log_std.exp()
        if self.log_std.ndim == 1:
            return std
        if self.use_expln:
            std = torch.where(self.log_std > 0, (self.log_std + EPSILON).log1p() + 1.0, std)
        return (x.square() @ std.square().expand(-1, self.mean.out_features) + EPSILON).sqrt()


class Certain(nn.Module):
    """Deterministic actions, the tanh of what comes in, as normals with a deviation that is chosen."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, x: Tensor) -> Tensor:
        mean = torch.tanh(x)
        return torch.cat([mean, torch.full_like(mean, self.std).log()], -1)
