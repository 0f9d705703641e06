"""Every library's observations in one form: a dict of float32, uint8 images [H, W, C], integers, and mission tokens."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from kickstarting.networks.language import BUCKETS, MAX_WORDS, tokenise


class Observations:
    """Normalises the spaces and the batches of one vector environment.

    A text observation is tokenised once per episode. An observation that is no dict gets the name `observation`.
    """

    def __init__(self, space: gymnasium.Space, num_envs: int, text: tuple[str, ...] = ("mission",)) -> None:
        self._named = isinstance(space, spaces.Dict)
        parts = dict(space.spaces) if isinstance(space, spaces.Dict) else {"observation": space}
        self._text = {k for k, s in parts.items() if isinstance(s, spaces.Text) or k in text}
        self._channels_first = {k for k, s in parts.items() if _is_channels_first(s)}
        self._tokens = {k: np.full((num_envs, MAX_WORDS), -1, np.int16) for k in self._text}
        self.space = spaces.Dict({k: self._normalise(k, s) for k, s in parts.items()})
        self._dtypes = [(k, np.dtype(s.dtype)) for k, s in self.space.items()]

    def _normalise(self, name: str, space: gymnasium.Space) -> gymnasium.Space:
        if name in self._text:
            return spaces.Box(-1, BUCKETS - 1, (MAX_WORDS,), np.int16)
        if isinstance(space, spaces.Discrete):
            return spaces.Discrete(space.n)
        if not isinstance(space, spaces.Box) or space.shape is None:
            raise ValueError(f"observation {name!r} is {space}; only Box, Discrete and Text can be read, so wrap the environment")
        if name in self._channels_first:
            c, h, w = space.shape
            return spaces.Box(0, 255, (h, w, c), np.uint8)
        if space.dtype == np.uint8 and len(space.shape) == 3:
            return spaces.Box(0, 255, space.shape, np.uint8)
        return spaces.Box(-np.inf, np.inf, space.shape, np.float32)

    def __call__(self, raw: Any, is_first: np.ndarray) -> dict[str, np.ndarray]:
        """A batch of raw observations. is_first: bool [B], the rows whose text may have changed."""
        parts = raw if self._named else {"observation": raw}
        result = {}
        for name, dtype in self._dtypes:
            x = parts[name]
            if name in self._text:
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


def _text(x: Any) -> str:
    return x if isinstance(x, str) else bytes(x).split(b"\0", 1)[0].decode()


def _is_channels_first(space: gymnasium.Space) -> bool:
    """Image stacks come as [C, H, W] from EnvPool and from Gymnasium's frame stacking."""
    shape = space.shape or ()
    return space.dtype == np.uint8 and len(shape) == 3 and shape[0] <= 16 < shape[1]
