"""Networks by name: the papers' small and large agents, chosen by what they observe, and a user's own classes."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import gymnasium
from torch import nn

from kickstarting.algo.distributions import Distribution
from kickstarting.algo.parsing import nearest
from kickstarting.networks.agent import Agent, Network, count_parameters
from kickstarting.networks.mlp import ActorCriticMLP
from kickstarting.ranges import check, hints_of, shown
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
MLP = "mlp"
"""`ActorCriticMLP`, of one size unless its options say another."""


ROBOT_STD = 0.37
"""Deviation of a new policy over continuous actions, of half the range. With 1, every third action lies beyond a bound."""


def build_network(
    name: str, observation_space: gymnasium.spaces.Dict, distribution: Distribution, options: Mapping[str, Any] | None = None
) -> Any:
    """An `nn.Module` that is also a `Network`.

    name: `small`, `large`, `mlp`, or `package.module:Class`; options override the preset or are the class's keyword arguments.

    Raises ValueError with the nearest names if the name or an option is unknown, and with the reason if it cannot be built.
    """
    options = dict(options or {})
    check_network(name, options)
    if ":" in name:
        return _built(name, _import(name), observation_space, distribution, options)
    if name == MLP:
        return _built(name, ActorCriticMLP, observation_space, distribution, options)
    return _built(name, Agent, observation_space, distribution, {**PRESETS[_preset(observation_space)][name], **options})


def usual_options(
    name: str, observation_space: gymnasium.spaces.Dict, action_space: gymnasium.Space, given: Mapping[str, Any]
) -> dict[str, Any]:
    """What a new run takes for options of `small` and `large` that nobody gave (decisions 33, 35 and 37).

    With continuous actions vectors are normalised, since their units are anyone's, and deviations do not depend on what is
    observed, and are no wider at first than the range has room for. No LSTM where all images come stacked, with more than three
    channels, so that what moves is seen. With an LSTM on images no LayerNorm in front of it, to which the still part of a picture
    is everything.
    """
    kinds = {key: kind_of(key, space) for key, space in observation_space.items()}
    images = [observation_space[key] for key, kind in kinds.items() if kind == "pixels"]
    if name not in PRESETS["pixels"]:
        return {}
    if not images:
        robot = isinstance(action_space, gymnasium.spaces.Box) and set(kinds.values()) == {"vector"}
        usual = {"normalise_observations": True, "state_independent_std": True} if robot else {}
        noise = {"initial_std": ROBOT_STD} if robot and given.get("state_independent_std", True) else {}
        return {option: value for option, value in (usual | noise).items() if option not in given}
    if "lstm" not in given and all((space.shape or (0,))[-1] > 3 for space in images):
        return {"lstm": 0}
    return {} if given.get("lstm") == 0 or "normalise" in given else {"normalise": False}


def check_network(name: str, options: Mapping[str, Any]) -> None:
    """Raise ValueError for a name that is none, and for what its options cannot be, as far as no observation is known."""
    if ":" in name:
        return  # a user's own class knows its options
    if name not in (known := (*PRESETS["grid"], MLP)):
        raise ValueError(f"unknown network {shown(name)}; {nearest(name, known)} Your own is written package.module:Class.")
    hints = hints_of((ActorCriticMLP if name == MLP else Agent).__init__)
    hints = {option: hint for option, hint in hints.items() if option not in ("observation_space", "distribution")}
    for option, value in options.items():
        if option not in hints:
            raise ValueError(f"network {name!r} has no option {shown(option)}; {nearest(option, sorted(hints))}")
        check(f"network option {option}", value, hints[option])


def _built(name: str, make: Any, observation_space: Any, distribution: Distribution, options: Mapping[str, Any]) -> Any:
    try:
        network = make(observation_space, distribution, **options)
    except Exception as error:  # whatever a user's own class raises, or torch for want of memory
        if make in (Agent, ActorCriticMLP) and isinstance(error, ValueError):
            raise
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ValueError(f"network {name!r} cannot be made with {shown(dict(options))}: {why}") from error
    if not (isinstance(network, nn.Module) and isinstance(network, Network)):
        raise ValueError(f"network {name!r} is {shown(network)}; it must be a torch.nn.Module with initial_state and forward")
    return network


def _preset(observation_space: gymnasium.spaces.Dict) -> str:
    kinds = {kind_of(name, space) for name, space in observation_space.items()}
    return "pixels" if "pixels" in kinds else "grid" if "grid" in kinds else "vector"


def _import(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever the module raises when it is executed
        why = " ".join(str(error).split())
        raise ValueError(f"network {name!r} cannot be imported: {why}; it must be package.module:Class") from error


__all__ = ["PRESETS", "Network", "build_network", "count_parameters", "usual_options"]
