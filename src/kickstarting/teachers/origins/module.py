"""`module:PACKAGE.MODULE:CLASS?weights=FILE`: a class of the user's, or a function that makes one, and the weights of a state_dict.

CLASS is called with what it asks for: nothing; `envs` or `env`, which have the spaces under Gymnasium's names, as CleanRL's
agents want; or `observation_space` and `action_space`. The spaces are those of `env=ID`, or the module's own attributes
`observation_space` and `action_space`. What it says is read as `module_calls.py` tells.

Whoever writes the name has the module imported, and its code run.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import safetensors.torch
import torch
from torch import Tensor, nn

from kickstarting.algo.parsing import nearest
from kickstarting.ranges import Range
from kickstarting.runs.files import read_bytes
from kickstarting.teachers.origins.module_calls import METHODS, ModuleTeacher

OPTIONS: Mapping[str, str] = {
    "weights": "a file with the state_dict: .safetensors, or what torch.save wrote",
    "env": "id of the Gymnasium environment whose spaces it has; its module's own attributes unless given",
    "method": f"what is called: {', '.join(METHODS)}; the first of these that it has unless given",
    "temperature": "by which scores of discrete actions are divided before the softmax, for Q-values: 1 unless given",
    "std": "deviation of continuous actions that come without one, of half their range: 0.1 unless given",
}
PATHS = ("weights",)
REMEDY = "give what torch.save(agent.state_dict(), FILE) wrote"
TEMPERATURE, STD = Range(1e-6, 1e6), Range(0.01, 1)
NESTED = ("model_weights", "state_dict", "model_state_dict", "model", "actor", "policy")
"""Where trainers keep a state_dict inside another dict."""


def load(name: str, ref: str, device: str = "cpu", options: Mapping[str, str] | None = None) -> ModuleTeacher:
    """Raises ValueError, with the reason, if the class cannot be imported, made, filled with the weights, or asked."""
    given, make = options or {}, _imported(name, ref)
    spaces = _spaces_of(given["env"], ref) if "env" in given else None
    module = _made(make, spaces, ref)
    observed, acted = spaces or (getattr(module, "observation_space", None), getattr(module, "action_space", None))
    if not (isinstance(observed, gymnasium.Space) and isinstance(acted, gymnasium.Space)):
        raise ValueError(
            f"teacher {ref} does not say what it reads and how it acts; write env=ID behind it, or give {name} the attributes "
            "observation_space and action_space"
        )
    if "weights" in given:
        _fill(module, read_weights(Path(given["weights"])), ref)
    return ModuleTeacher(
        module.requires_grad_(False).eval().to(device),
        observed,
        acted,
        ref,
        method=given.get("method", ""),
        temperature=_number(ref, given, "temperature", 1.0, TEMPERATURE),
        std=_number(ref, given, "std", 0.1, STD),
    )


def digest(name: str, options: Mapping[str, str] | None = None) -> str:
    """Of weights, name and options; what the class does may change with its package."""
    given = dict(options or {})
    sha256 = hashlib.sha256(name.encode())
    if weights := given.pop("weights", ""):
        sha256.update(read_bytes(Path(weights), remedy=REMEDY))
    sha256.update(repr(sorted(given.items())).encode())
    return sha256.hexdigest()


def recognises(path: Path) -> bool:
    """Never: a class is no path."""
    return False


def modules(name: str, options: Mapping[str, str]) -> list[str]:
    """What is imported to load it, as package.module:Name."""
    return [name, *([options["env"]] if "env" in options else [])]


def read_weights(file: Path) -> dict[str, Tensor]:
    """A state_dict, without the names that compilers and data parallelism put before it; of a tuple, as CleanRL saves actors and
    critics, the first. Raises ValueError if the file holds none that can be read as data."""
    try:
        if file.suffix == ".safetensors":
            held: Any = safetensors.torch.load(read_bytes(file, remedy=REMEDY))
        else:
            read_bytes(file, remedy=REMEDY)  # which knows what may be read, and says so
            held = torch.load(file, map_location="cpu", weights_only=True)
    except ValueError:
        raise
    except Exception as error:  # whatever damage makes of it, or a pickle of more than weights
        raise ValueError(f"{file} holds no weights that can be read as data: {_line(error)[:160]}; {REMEDY}") from error
    held = held[0] if isinstance(held, tuple | list) and held else held
    for key in NESTED:
        if isinstance(held, dict) and isinstance(held.get(key), dict):
            held = held[key]
    if not isinstance(held, dict) or not held or not all(isinstance(x, Tensor) for x in held.values()):
        raise ValueError(f"{file} holds no state_dict; {REMEDY}")
    return {key.removeprefix("_orig_mod.").removeprefix("module."): x for key, x in held.items()}


def _imported(name: str, ref: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except AttributeError as error:
        known = [x for x in vars(importlib.import_module(module)) if not x.startswith("_")]
        raise ValueError(f"teacher {ref}: module {module} has no {attribute!r}; {nearest(attribute, known)}") from error
    except Exception as error:  # whatever the module raises when it is executed
        raise ValueError(f"teacher {ref} cannot be imported: {_line(error)}; it must be module:PACKAGE.MODULE:CLASS") from error


def _spaces_of(env_id: str, ref: str) -> tuple[gymnasium.Space, gymnasium.Space]:
    try:
        env = gymnasium.make(env_id)
        env.close()
    except Exception as error:  # whatever a package raises
        raise ValueError(f"teacher {ref}: env {env_id!r} cannot be made: {_line(error)}") from error
    return env.observation_space, env.action_space


def _made(make: Any, spaces: tuple[gymnasium.Space, gymnasium.Space] | None, ref: str) -> nn.Module:
    try:
        wanted = [p.name for p in inspect.signature(make).parameters.values() if p.default is p.empty and p.kind not in (2, 4)]
    except (TypeError, ValueError) as error:
        raise ValueError(f"teacher {ref} is {make!r}; it must be a class or a function") from error
    known: dict[str, Any] = {}
    if spaces:
        observed, acted = spaces
        env = SimpleNamespace(
            single_observation_space=observed, single_action_space=acted, observation_space=observed, action_space=acted
        )
        known = {"envs": env, "env": env, "observation_space": observed, "action_space": acted}
    if missing := [name for name in wanted if name not in known]:
        remedy = "a function without parameters that makes it"
        remedy = remedy if spaces else f"&env=ID, or {remedy}"
        raise ValueError(f"teacher {ref} is made with {', '.join(missing)}, which nobody gives here; write {remedy}")
    try:
        module = make(**{name: known[name] for name in wanted})
    except Exception as error:  # whatever the class raises
        raise ValueError(f"teacher {ref} cannot be made: {type(error).__name__}: {_line(error)}") from error
    if not isinstance(module, nn.Module):
        raise ValueError(f"teacher {ref} makes a {type(module).__name__}; it must be a torch.nn.Module")
    return module


def _fill(module: nn.Module, weights: Mapping[str, Tensor], ref: str) -> None:
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"teacher {ref}: these are not its weights: {_line(error)[:300]}") from error


def _number(ref: str, options: Mapping[str, str], name: str, default: float, allowed: Range) -> float:
    try:
        number = float(options.get(name, default))
    except ValueError:
        raise ValueError(f"teacher {ref}: {name} is {options[name]!r}; it must be a number, and {allowed}") from None
    allowed.check(f"teacher {ref}: {name}", number)
    return number


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
