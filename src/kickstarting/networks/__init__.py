"""Networks by name: the papers' small and large agents, chosen by what they observe, and a user's own classes."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import gymnasium

from kickstarting.algo.distributions import Distribution
from kickstarting.algo.parsing import nearest
from kickstarting.networks.agent import Agent, Network, count_parameters
from kickstarting.ranges import check, hints_of
from kickstarting.spaces import kind_of

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "pixels": {"small": {}, "large": {"deep": True}},
    "grid": {
        "small": {"hidden": 128, "lstm": 128, "channels": (16, 32), "language": 32},
        "large": {"hidden": 256, "lstm": 256, "channels": (32, 64, 64)},
    },
    "vector": {"small": {"hidden": 64, "lstm": 0}, "large": {"hidden": 256, "lstm": 0}},
}
"""Options of `Agent` by kind of observation and size."""


def build_network(
    name: str, observation_space: gymnasium.spaces.Dict, distribution: Distribution, options: Mapping[str, Any] | None = None
) -> Any:
    """An `nn.Module` that is also a `Network`.

    name: `small`, `large`, or `package.module:Class`; options override the preset or are the class's keyword arguments.

    Raises ValueError with the nearest names if the name or an option is unknown.
    """
    options = dict(options or {})
    if ":" in name:
        try:
            return _import(name)(observation_space, distribution, **options)
        except (TypeError, ValueError, RuntimeError, AttributeError, LookupError) as error:
            raise ValueError(f"network {name!r} cannot be made with {options}: {error}") from error
    presets = PRESETS[_preset(observation_space)]
    if name not in presets:
        raise ValueError(f"unknown network {name!r}; {nearest(name, presets)} Your own is written package.module:Class.")
    known = Agent.__init__.__annotations__.keys() - {"observation_space", "distribution", "return"}
    for option, value in options.items():
        if option not in known:
            raise ValueError(f"network {name!r} has no option {option!r}; {nearest(option, sorted(known))}")
        check(f"network option {option}", value, hints_of(Agent.__init__)[option])
    return Agent(observation_space, distribution, **{**presets[name], **options})


def _preset(observation_space: gymnasium.spaces.Dict) -> str:
    kinds = {kind_of(name, space) for name, space in observation_space.items()}
    return "pixels" if "pixels" in kinds else "grid" if "grid" in kinds else "vector"


def _import(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"network {name!r} cannot be imported: {error}; it must be package.module:Class") from error


__all__ = ["PRESETS", "Network", "build_network", "count_parameters"]
