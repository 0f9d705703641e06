"""Adapters of observations as numbers: scale, normalise, one_hot, flatten; and of their names: select, rename."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from kickstarting.algo.parsing import nearest
from kickstarting.ranges import Range
from kickstarting.spaces import Vector
from kickstarting.teachers.adapters.normaliser import Normaliser, read_normalisers
from kickstarting.teachers.adapters.transform import Adapter, Transform, chosen, each, is_box

NUMBER = Range(-1e30, 1e30)


def scale(factor: Annotated[float, NUMBER], offset: Annotated[float, NUMBER] = 0.0, *, key: str = "") -> Adapter:
    """factor * x + offset, float32: scale(1/255) for bytes, scale(1) for bytes as they are."""

    def adapter(space: spaces.Dict) -> Transform:
        name = chosen("scale", space, key, is_box, "numbers")
        return each(space, name, _floats(space[name]), lambda x: x.float() * factor + offset)

    return adapter


def normalise(file: Path, *, clip: Annotated[float | None, Range(0, 1e30, low_open=True)] = None, key: str = "") -> Adapter:
    """(x - mean) / divisor, then clipped, with the mean and variance in a file (see `adapters/normaliser.py`). Statistics without
    a name are for one observation; those with names for these."""

    def adapter(space: spaces.Dict) -> Transform:
        return normalised(read_normalisers(file, clip), space, key, str(file))

    return adapter


def normalised(statistics: dict[str, Normaliser], space: spaces.Dict, key: str = "", file: str = "") -> Transform:
    """Observations as their normalisers make them; one that is called "" is for one observation without a name. Raises ValueError
    if an observation is not there, or of another shape."""
    transform = Transform(space, lambda x, _, state: (x, state), {name: (name,) for name in space.spaces})
    done = {}
    for named, normaliser in statistics.items():
        name = named or chosen("normalise", space, key, is_box, "numbers")
        if name not in space.spaces:
            raise ValueError(f"{file} has statistics of {name!r}, which is not there; {nearest(name, space.spaces)}")
        if (shape := space[name].shape) != normaliser.shape:
            raise ValueError(f"{file} has statistics of shape {normaliser.shape}, observation {name!r} has {shape}; use others")
        done[name] = normaliser
    if not done:
        return transform
    parts = {name: _floats(part) if name in done else part for name, part in space.items()}
    return Transform(
        spaces.Dict(parts),
        lambda x, _, state: ({**x, **{name: normaliser(x[name]) for name, normaliser in done.items()}}, state),
        transform.sources,
    )


def one_hot(*, key: str = "") -> Adapter:
    """A Discrete observation as a vector."""

    def adapter(space: spaces.Dict) -> Transform:
        name = chosen("one_hot", space, key, lambda part: isinstance(part, spaces.Discrete), "a Discrete observation")
        return each(space, name, _flat(space[name]), lambda x: _flattened(x, space[name]))

    return adapter


def flatten(*names: str) -> Adapter:
    """An observation as one vector float32; several, in this order, one behind the other, as `observation`. Discrete ones are
    one-hot."""

    def adapter(space: spaces.Dict) -> Transform:
        some = names or (chosen("flatten", space, "", lambda part: bool(part.shape), "numbers"),)
        _check_names("flatten", some, space)
        into = some[0] if len(some) == 1 else "observation"
        kept = {name: part for name, part in space.items() if name not in some}
        length = sum(int(np.prod(_flat(space[name]).shape)) for name in some)
        parts = [(name, space[name]) for name in some]
        return Transform(
            spaces.Dict({**kept, into: Vector(-np.inf, np.inf, (length,), np.float32)}),
            lambda x, _, state: (
                {
                    **{name: x[name] for name in kept},
                    into: torch.cat([_flattened(x[name], part) for name, part in parts], -1),
                },
                state,
            ),
            {**{name: (name,) for name in kept}, into: some},
        )

    return adapter


def select(*names: str) -> Adapter:
    """Only these observations."""

    def adapter(space: spaces.Dict) -> Transform:
        _check_names("select", names, space)
        return Transform(
            spaces.Dict({name: space[name] for name in names}),
            lambda x, _, state: ({name: x[name] for name in names}, state),
            {name: (name,) for name in names},
        )

    return adapter


def rename(**names: str) -> Adapter:
    """Observations under other names, NEW=OLD: rename(observation=image)."""

    def adapter(space: spaces.Dict) -> Transform:
        _check_names("rename", tuple(names.values()), space)
        sources = {name: name for name in space.spaces if name not in names.values()} | names
        return Transform(
            spaces.Dict({new: space[old] for new, old in sources.items()}),
            lambda x, _, state: ({new: x[old] for new, old in sources.items()}, state),
            {new: (old,) for new, old in sources.items()},
        )

    return adapter


def _check_names(adapter: str, names: tuple[str, ...], space: spaces.Dict) -> None:
    if not names:
        raise ValueError(f"adapter {adapter} needs names of observations; there are {', '.join(space.spaces)}")
    for name in names:
        if name not in space.spaces:
            raise ValueError(f"adapter {adapter}: there is no observation {name!r}; {nearest(name, space.spaces)}")


def _floats(space: gymnasium.Space) -> spaces.Box:
    return (type(space) if isinstance(space, spaces.Box) else spaces.Box)(-np.inf, np.inf, space.shape, np.float32)


def _flat(space: gymnasium.Space) -> spaces.Box:
    length = int(space.n) if isinstance(space, spaces.Discrete) else int(np.prod(space.shape or ()))
    return Vector(-np.inf, np.inf, (length,), np.float32)


def _flattened(x: Tensor, space: gymnasium.Space) -> Tensor:
    if isinstance(space, spaces.Discrete):
        return (x[..., None] == torch.arange(int(space.n), device=x.device)).float()
    return x.flatten(2).float()
