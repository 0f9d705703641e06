"""Every library's observations in one form, each of a declared kind: numbers float32, images [H, W, C], texts as tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from kickstarting.spaces import MAX_WORDS, Declared, Grid, Pixels, Text, Vector, tokenise, tokens


class Observations:
    """Normalises the spaces and the batches of one vector environment.

    An observation that is no dict gets the name `observation`. A text is tokenised once per episode.

    known: kinds that the adapter knows from its library, by name of the observation. Else a space's own class decides
    (`kickstarting.spaces`), then what is left is an image if it has three dimensions, a vector if not.

    Raises ValueError if an observation cannot be read, or not as the kind that it is said to be.
    """

    def __init__(self, space: gymnasium.Space, num_envs: int, known: Mapping[str, type[Declared]] | None = None) -> None:
        self._named = isinstance(space, gymnasium.spaces.Dict)
        parts = dict(space.spaces) if isinstance(space, gymnasium.spaces.Dict) else {"observation": space}
        kinds = {name: (known or {}).get(name) or _kind(part) for name, part in parts.items()}
        self.space = gymnasium.spaces.Dict({name: _normalised(name, part, kinds[name]) for name, part in parts.items()})
        texts = {name for name, kind in kinds.items() if kind is Text and parts[name].dtype != self.space[name].dtype}
        self._tokens = {name: np.full((num_envs, MAX_WORDS), -1, np.int16) for name in texts}
        self._channels_first = {name for name, part in parts.items() if kinds[name] is Pixels and _is_channels_first(part)}
        self._dtypes = [(name, np.dtype(part.dtype)) for name, part in self.space.items()]

    def __call__(self, raw: Any, is_first: np.ndarray) -> dict[str, np.ndarray]:
        """A batch of raw observations. is_first: bool [B], the rows whose text may have changed."""
        parts = raw if self._named else {"observation": raw}
        result = {}
        for name, dtype in self._dtypes:
            x = parts[name]
            if name in self._tokens:
                rows = np.flatnonzero(is_first)
                if rows.size:
                    self._tokens[name] = self._tokens[name].copy()
                    for row in rows:
                        self._tokens[name][row] = tokenise(_text(x[row]))
                x = self._tokens[name]
            elif name in self._channels_first:
                x = np.moveaxis(x, 1, -1)
            else:
                x = x.astype(dtype, copy=False)
            result[name] = x
        return result


def _kind(space: gymnasium.Space) -> type[Declared] | None:
    """None for spaces that have no kind of their own: Discrete, and those that cannot be read."""
    if isinstance(space, Declared):
        return type(space)
    if isinstance(space, gymnasium.spaces.Text):
        return Text
    if isinstance(space, gymnasium.spaces.Box):
        return Pixels if len(space.shape) == 3 else Vector
    return None


def _normalised(name: str, space: gymnasium.Space, kind: type[Declared] | None) -> gymnasium.Space:
    shape, dtype = space.shape or (), space.dtype
    if isinstance(space, gymnasium.spaces.Discrete):
        return gymnasium.spaces.Discrete(space.n)
    if kind is None:
        raise ValueError(f"observation {name!r} is {space}; only Box, Discrete and Text can be read, so wrap the environment")
    if kind is Text:
        characters = not isinstance(space, gymnasium.spaces.Box)
        if not (characters or (len(shape) == 1 and dtype == np.uint8) or (shape == (MAX_WORDS,) and dtype == np.int16)):
            raise ValueError(f"observation {name!r} is {space}; a text is gymnasium's Text, bytes uint8 [N], or {tokens()}")
        return tokens()
    if kind is Grid:
        if not (len(shape) == 3 and shape[2] == 3 and dtype == np.uint8):
            raise ValueError(f"observation {name!r} is {space}; a Grid is uint8 [H, W, 3], so declare another kind")
        return Grid(0, 255, shape, np.uint8)
    if kind is Pixels:
        if len(shape) != 3:
            raise ValueError(f"observation {name!r} is {space}; Pixels are [H, W, C], so declare another kind")
        if dtype == np.uint8:
            return Pixels(0, 255, (*shape[1:], shape[0]) if _is_channels_first(space) else shape, np.uint8)
    return kind(-np.inf, np.inf, shape, np.float32)


def _text(x: Any) -> str:
    return x if isinstance(x, str) else bytes(x).split(b"\0", 1)[0].decode()


def _is_channels_first(space: gymnasium.Space) -> bool:
    """Image stacks come as [C, H, W] from EnvPool and from Gymnasium's frame stacking."""
    shape = space.shape or ()
    return space.dtype == np.uint8 and len(shape) == 3 and shape[0] <= 16 < shape[1]
