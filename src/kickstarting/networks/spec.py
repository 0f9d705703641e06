"""What rebuilds a network: its name, its options, and the spaces it reads and acts in, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from kickstarting.algo.distributions import Distribution
from kickstarting.networks import build_network


@dataclass(frozen=True)
class NetworkSpec:
    """A network's name and options (see `build_network`) with its spaces."""

    name: str
    options: dict[str, Any]
    observation_space: spaces.Dict
    action_space: gymnasium.Space

    def build(self, distribution: Distribution) -> Any:
        """A fresh network for these spaces."""
        return build_network(self.name, self.observation_space, distribution, self.options)

    def to_json(self) -> dict[str, Any]:
        observations = {name: describe_space(space) for name, space in self.observation_space.items()}
        return {
            "name": self.name,
            "options": self.options,
            "observation_space": observations,
            "action_space": describe_space(self.action_space),
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> NetworkSpec:
        observations = spaces.Dict({name: _read_space(s) for name, s in data["observation_space"].items()})
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in data["options"].items()}
        return NetworkSpec(data["name"], options, observations, _read_space(data["action_space"]))


def describe_space(space: gymnasium.Space) -> dict[str, Any]:
    """A space as JSON. Bounds of a Box are left out: they never decide whether a network fits."""
    if isinstance(space, spaces.Discrete):
        return {"discrete": int(space.n)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"multi_discrete": [int(n) for n in space.nvec.flatten()]}
    return {"shape": list(space.shape or ()), "dtype": str(space.dtype)}


def _read_space(data: dict[str, Any]) -> gymnasium.Space:
    if "discrete" in data:
        return spaces.Discrete(data["discrete"])
    if "multi_discrete" in data:
        return spaces.MultiDiscrete(data["multi_discrete"])
    dtype = np.dtype(data["dtype"])
    low, high = (0, 255) if dtype == np.uint8 else (-np.inf, np.inf) if dtype.kind == "f" else (-(2**15), 2**15 - 1)
    return spaces.Box(low, high, tuple(data["shape"]), dtype.type)
