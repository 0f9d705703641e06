"""Pickles read as data: numbers, arrays, containers, and what objects hold. No code of the file runs, and nothing is imported.

A pickle is a program that calls what it names. Here it can name numpy's arrays and numbers, which are made, and a list of classes
whose objects become a `Held`: their attributes, without their class. Everything else is refused by name.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

_MADE: Mapping[str, Callable[..., Any]] = {
    "collections.OrderedDict": OrderedDict,
    "numpy.dtype": np.dtype,
    "numpy.ndarray": np.ndarray,
    "numpy.core.multiarray._reconstruct": np.zeros(1).__reduce__()[0],  # type: ignore[dict-item]
    "numpy.core.multiarray.scalar": np.float64(0).__reduce__()[0],  # type: ignore[dict-item]
    "numpy.core.numeric._frombuffer": lambda buffer, dtype, shape, order: np.frombuffer(buffer, dtype).reshape(shape, order=order),
    "_codecs.encode": lambda text, encoding: text.encode("latin1"),
}
"""What a pickle may call, by full name; numpy's own modules moved with its version 2."""
_HELD = (
    "gymnasium.spaces.",
    "gym.spaces.",
    "numpy.random.",
    "stable_baselines3.common.vec_env.vec_normalize.VecNormalize",
    "stable_baselines3.common.running_mean_std.RunningMeanStd",
)
"""Beginnings of the full names of classes whose objects are held: spaces, their random generators, statistics."""
_NAMED = (
    "torch.nn.modules.activation.",
    "torch.optim.",
    "stable_baselines3.common.torch_layers.",
    "stable_baselines3.common.sb2_compat.",
)
"""The same of classes that are only named, as an activation function is."""


class Held:
    """The attributes of an object, and the name of its class."""

    name = ""

    def __new__(cls, *args: object, **kwargs: object) -> Held:
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):  # those with __slots__ come as a pair
            if isinstance(part, Mapping):  # what random generators have else is not of interest
                self.__dict__.update(part)


class Refused(ValueError):
    """A pickle names something that is neither data nor known."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it names {name}, whose code would run")
        self.name = name


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}".replace("numpy._core.", "numpy.core.")
        if full in _MADE:
            return _MADE[full]
        if full.startswith((*_HELD, *_NAMED)):
            return type(name, (Held,), {"name": full})
        raise Refused(full)


def read_pickle(data: bytes) -> Any:
    """What a pickle holds. Raises Refused for one that names code, and ValueError for one that is damaged."""
    try:
        return _Reader(io.BytesIO(data)).load()
    except Refused:
        raise
    except Exception as error:  # whatever damage makes of a pickle's opcodes
        raise ValueError(f"it is damaged: {type(error).__name__}: {' '.join(str(error).split())}") from error


def space_of(held: Any) -> gymnasium.Space:
    """The space that a pickle held. Raises ValueError for what is none."""
    kind = type(held).__name__
    try:
        if kind == "Box":
            low, high = np.asarray(held.low), np.asarray(held.high)
            return spaces.Box(low, high, low.shape, np.dtype(held.dtype).type)
        if kind == "Discrete":
            return spaces.Discrete(int(held.n), start=int(getattr(held, "start", 0)))
        if kind == "MultiDiscrete":
            nvec = np.asarray(held.nvec)
            return spaces.MultiDiscrete(nvec, start=np.asarray(getattr(held, "start", np.zeros_like(nvec))))
        if kind == "MultiBinary":
            return spaces.MultiBinary(held.n if isinstance(held.n, int) else [int(n) for n in np.asarray(held.n).reshape(-1)])
        if kind in ("Dict", "Tuple"):
            inner = held.spaces
            if kind == "Tuple":
                return spaces.Tuple([space_of(part) for part in inner])
            return spaces.Dict(OrderedDict((str(name), space_of(part)) for name, part in inner.items()))
    except (AttributeError, TypeError, ValueError, AssertionError) as error:
        raise ValueError(f"its space {kind} cannot be read: {error}") from error
    raise ValueError(f"it holds {kind}, which is no space that is known here")
