"""Images of a Gymnasium environment as a network wants them: one part of what is observed, small, grey, stacked."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from kickstarting.algo.parsing import nearest
from kickstarting.envs.preprocessing import Preprocessing
from kickstarting.spaces import Pixels

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Shares of red, green and blue in grey (ITU-R BT.601), as ALE and OpenCV have them."""


class Images(gymnasium.Wrapper):
    """Observes uint8 [rows, columns, channels * frame_stack] instead of an image [H, W, C], alone or in a Dict.

    Images shrink to the mean of equal shares of rows and columns. An image that is black throughout at the end of an episode is
    none, as ViZDoom gives it: the one before stands in its place.

    Raises ValueError if there is no such image, or one that is too small.
    """

    def __init__(self, env: gymnasium.Env, preprocessing: Preprocessing) -> None:
        super().__init__(env)
        self._name = preprocessing.observation
        space = _part(env.observation_space, self._name)
        if not (isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) in (2, 3)):
            what = f"observation {self._name!r}" if self._name else "the observation"
            raise ValueError(f"{what} is {space}, no image of bytes [H, W, C]; preprocessing observation names the one to keep")
        rows, columns = space.shape[:2]
        size = preprocessing.shape or (rows, columns)
        if size[0] > rows or size[1] > columns:
            raise ValueError(f"preprocessing size is {size[0]} x {size[1]}, more than the {rows} x {columns} of the image")
        self._rows, self._columns = (np.arange(n) * whole // n for n, whole in zip(size, (rows, columns), strict=True))
        self._counts = np.outer(np.diff(self._rows, append=rows), np.diff(self._columns, append=columns)).astype(np.float32)
        self._shrinks, self._stack = size != (rows, columns), preprocessing.frame_stack or 1
        channels = 1 if len(space.shape) == 2 else space.shape[2]
        self._grey = bool(preprocessing.grey_scale) and channels == 3
        self._frames: list[np.ndarray] = []
        self.observation_space = Pixels(0, 255, (*size, (1 if self._grey else channels) * self._stack), np.uint8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._frames = [self._image(observation)] * self._stack
        return self._stacked(), info

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        image = self._image(observation)
        if not ((terminated or truncated) and not image.any()):
            self._frames = [*self._frames[1:], image]
        return self._stacked(), reward, terminated, truncated, info

    def _image(self, observation: Any) -> np.ndarray:
        x = np.asarray(observation if self._name is None else observation[self._name])
        x = x[..., None] if x.ndim == 2 else x
        if self._shrinks:
            x = np.add.reduceat(x, self._rows, axis=0, dtype=np.uint32)
            x = np.add.reduceat(x, self._columns, axis=1) / self._counts[..., None]
        if self._grey:
            x = x.astype(np.float32) @ LUMA[:, None]
        return x.astype(np.uint8) if x.dtype == np.uint8 else np.rint(x).astype(np.uint8)

    def _stacked(self) -> np.ndarray:
        return self._frames[0] if self._stack == 1 else np.concatenate(self._frames, axis=-1)


def _part(space: gymnasium.Space, name: str | None) -> gymnasium.Space:
    if name is None:
        return space
    parts = space.spaces if isinstance(space, spaces.Dict) else {}
    if name not in parts:
        hint = nearest(name, parts) if parts else "it is no Dict, so leave it out"
        raise ValueError(f"preprocessing observation is {name!r}, which the environment does not observe; {hint}")
    return parts[name]
