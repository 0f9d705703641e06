"""What rebuilds a network: its name, its options, and the spaces it reads and acts in, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
from gymnasium import spaces

from kickstarting.algo.distributions import Distribution
from kickstarting.networks import build_network
from kickstarting.space_json import describe_space, read_observations, read_space
from kickstarting.trust import check_trusted, module_in

VERSION = 2
UNNORMALISED: dict[str, Any] = {"normalise": False}
"""What the package's own networks were in version 1."""


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
            "version": VERSION,
            "name": self.name,
            "options": self.options,
            "observation_space": observations,
            "action_space": describe_space(self.action_space),
        }

    @staticmethod
    def from_json(data: dict[str, Any], file: object) -> NetworkSpec:
        """Raises ValueError if the file that says so names a class of a module that is not trusted."""
        check_trusted(data["name"], file)
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in data["options"].items()}
        if data.get("version", 1) < 2 and not module_in(data["name"]):
            options = {**UNNORMALISED, **options}
        observations = read_observations(data["observation_space"])
        return NetworkSpec(data["name"], options, observations, read_space(data["action_space"]))
