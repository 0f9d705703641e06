"""Every library's observations in one form, each of a declared kind: numbers float32, images [H, W, C], texts as tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from kickstarting.spaces import MAX_WORDS, MOST_CHOICES, Declared, Grid, Pixels, Text, Vector, tokenise, tokens

Read = Callable[[Any, np.ndarray], np.ndarray]
"""A batch of one raw observation, and bool [B], the rows whose text may have changed, to the batch in its one form."""

LEAST_SIDE = 8
"""Rows and columns from which on bytes in two dimensions are a grey image, not a table."""


class Observations:
    """Normalises the spaces and the batches of one vector environment.

    An observation that is no dict gets the name `observation`; of a Dict or Tuple inside another, the names are joined by "/".
    A text is tokenised once per episode.

    known: kinds that the adapter knows from its library, by name of the observation. Else a space's own class decides
    (`kickstarting.spaces`), then what is left is an image if it has three dimensions, or two of bytes; a vector if not.

    Raises ValueError if an observation cannot be read, or not as the kind that it is said to be.
    """

    def __init__(self, space: gymnasium.Space, num_envs: int, known: Mapping[str, type[Declared]] | None = None) -> None:
        parts = flatten(space)
        self._paths = {name: path for name, (path, _) in parts.items()}
        self._reads: dict[str, Read] = {}
        normalised = {}
        for name, (_, part) in parts.items():
            normalised[name], self._reads[name] = _reading(name, part, (known or {}).get(name) or _kind(part), num_envs)
        self.space = spaces.Dict(normalised)

    def __call__(self, raw: Any, is_first: np.ndarray) -> dict[str, np.ndarray]:
        """A batch of raw observations. is_first: bool [B], the rows whose text may have changed."""
        result = {}
        for name, read in self._reads.items():
            x = raw
            for key in self._paths[name]:
                x = x[key]
            result[name] = read(x, is_first)
        return result


def flatten(space: gymnasium.Space) -> dict[str, tuple[tuple[Any, ...], gymnasium.Space]]:
    """The parts of an observation: by name, the keys that lead to a part, and its space. Raises ValueError if names collide."""
    found: dict[str, tuple[tuple[Any, ...], gymnasium.Space]] = {}

    def walk(path: tuple[Any, ...], inner: gymnasium.Space) -> None:
        if isinstance(inner, spaces.Dict | spaces.Tuple):
            for key, part in inner.spaces.items() if isinstance(inner, spaces.Dict) else enumerate(inner.spaces):
                walk((*path, key), part)
        else:
            name = "/".join(map(str, path)) if path else "observation"
            if name in found:
                raise ValueError(f"two observations are called {name!r}: {found[name][0]} and {path}; rename one")
            found[name] = path, inner

    walk((), space)
    if not found:
        raise ValueError(f"the observation space {space} is empty; there is nothing to read")
    return found


def _kind(space: gymnasium.Space) -> type[Declared] | None:
    """None for spaces that have no kind of their own: Discrete, and those that cannot be read."""
    if isinstance(space, Declared):
        return type(space)
    if isinstance(space, spaces.Text):
        return Text
    if isinstance(space, spaces.MultiDiscrete):
        return Vector
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        shape = space.shape
        grey = len(shape) == 2 and space.dtype == np.uint8 and min(shape) >= LEAST_SIDE and _bounds(space) == (0, 255)
        return Pixels if len(shape) == 3 or grey else Vector
    return None


def _reading(name: str, space: gymnasium.Space, kind: type[Declared] | None, num_envs: int) -> tuple[gymnasium.Space, Read]:
    """The space of an observation in its one form, and how it comes to that."""
    shape, dtype = space.shape or (), space.dtype
    if isinstance(space, spaces.Discrete):
        if space.n > MOST_CHOICES:
            raise ValueError(f"observation {name!r} is {space}, too many to be read one-hot; wrap the environment in a Box")
        first = int(space.start)
        return spaces.Discrete(int(space.n)), lambda x, _: x.astype(np.int64, copy=False) - first if first else _cast(x, np.int64)
    if kind is None:
        raise ValueError(
            f"observation {name!r} is {space}; Box, Discrete, MultiDiscrete, MultiBinary and Text can be read, "
            "and Dict and Tuple of these, so wrap the environment"
        )
    if kind is Text:
        return _reading_text(name, space, num_envs)
    if kind is Grid:
        if not (len(shape) == 3 and shape[2] == 3 and dtype == np.uint8):
            raise ValueError(f"observation {name!r} is {space}; a Grid is uint8 [H, W, 3], so declare another kind")
        return Grid(0, 255, shape, np.uint8), lambda x, _: x
    if kind is Pixels:
        if len(shape) not in (2, 3) or 0 in shape:
            raise ValueError(f"observation {name!r} is {space}; Pixels are [H, W, C] or [H, W], so declare another kind")
        return _reading_pixels(space)
    if isinstance(space, spaces.MultiDiscrete):
        return _reading_choices(name, space)
    return kind(-np.inf, np.inf, shape, np.float32), lambda x, _: _cast(x, np.float32)


def _reading_text(name: str, space: gymnasium.Space, num_envs: int) -> tuple[gymnasium.Space, Read]:
    shape, dtype = space.shape or (), space.dtype
    if (shape, dtype) == ((MAX_WORDS,), np.int16):
        return tokens(), lambda x, _: x
    if isinstance(space, spaces.Box) and not (len(shape) == 1 and dtype == np.uint8):
        raise ValueError(f"observation {name!r} is {space}; a text is gymnasium's Text, bytes uint8 [N], or {tokens()}")
    last = np.full((num_envs, MAX_WORDS), -1, np.int16)

    def read(x: Any, is_first: np.ndarray) -> np.ndarray:
        nonlocal last
        rows = np.flatnonzero(is_first)
        if rows.size:
            last = last.copy()
            for row in rows:
                last[row] = tokenise(_text(x[row]))
        return last

    return tokens(), read


def _reading_pixels(space: gymnasium.Space) -> tuple[gymnasium.Space, Read]:
    """Bytes up to 255 stay what they are. Everything else becomes float32, and where the space says its bounds of the size of 1:
    as it is within [-1, 1], else as shares of the range."""
    shape = tuple(space.shape or ())
    low, high = _bounds(space)
    whole_bytes = space.dtype == np.uint8 and high == 255
    scaled = not whole_bytes and -np.inf < low < high < np.inf and not -1 <= low < high <= 1 and high - low < 2**32
    turned, grey = _is_channels_first(shape), len(shape) == 2

    def read(x: np.ndarray, _: np.ndarray) -> np.ndarray:
        x = np.moveaxis(x, 1, -1) if turned else x[..., None] if grey else x
        x = x if whole_bytes else _cast(x, np.float32)
        return (x - np.float32(low)) / np.float32(high - low) if scaled else x

    shape = (*shape[1:], *shape[:1]) if turned else (*shape, 1)[:3]
    return (Pixels(0, 255, shape, np.uint8) if whole_bytes else Pixels(-np.inf, np.inf, shape, np.float32)), read


def _reading_choices(name: str, space: spaces.MultiDiscrete) -> tuple[gymnasium.Space, Read]:
    """One-hot by component, one behind the other."""
    counts, first = space.nvec.flatten().astype(np.int64), np.asarray(getattr(space, "start", 0)).flatten().astype(np.int64)
    if counts.sum() > MOST_CHOICES:
        raise ValueError(f"observation {name!r} has {counts.sum():,} choices, too many to be read one-hot; wrap it in a Box")
    component, value = np.repeat(np.arange(len(counts)), counts), np.concatenate([np.arange(n) for n in counts])
    value = value + np.broadcast_to(first, counts.shape)[component]
    return Vector(0, 1, (len(value),), np.float32), lambda x, _: (x.reshape(len(x), -1)[:, component] == value).astype(np.float32)


def _cast(x: np.ndarray, dtype: type) -> np.ndarray:
    if x.dtype == dtype:
        return x
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, which is checked
        return x.astype(dtype)


def _bounds(space: gymnasium.Space) -> tuple[float, float]:
    return (float(space.low.min()), float(space.high.max())) if isinstance(space, spaces.Box) else (0.0, 1.0)


def _text(x: Any) -> str:
    return x if isinstance(x, str) else bytes(x).split(b"\0", 1)[0].decode(errors="replace")


def _is_channels_first(shape: tuple[int, ...]) -> bool:
    """Image stacks come as [C, H, W] from EnvPool and from Gymnasium's frame stacking.

    Of three lengths, the first is that of channels if it is the least, at most 16, and the others are equal, or no small number
    of pixels, or it is 3 or 4. [H, W, C] with 3 channels and a square never are turned.
    """
    if len(shape) != 3:
        return False
    a, b, c = shape
    return a <= 16 and a < min(b, c) and c != 3 and (b == c or min(b, c) > 16 or a in (1, 3, 4))
