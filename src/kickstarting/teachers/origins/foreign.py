"""What policies of other libraries have in common: their environments' spaces against ours, and their actions in our units."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from kickstarting.algo.moments import clipped_gaussian, parameters
from kickstarting.envs.actions import Actions
from kickstarting.envs.observations import Observations

OBSERVATION = "observation"
"""The name of what is no dict."""


def parts_of(space: gymnasium.Space) -> dict[str, gymnasium.Space]:
    """By name, in the order of the peer."""
    return dict(space.spaces) if isinstance(space, spaces.Dict) else {OBSERVATION: space}


def reads(space: gymnasium.Space) -> spaces.Dict:
    """The observation space of an environment elsewhere as environments here give it, of no declared kind: images and cells
    [H, W, C], bytes as bytes; choices one-hot, all else float32."""
    ours = Observations(space, 1).space
    return spaces.Dict({name: _undeclared(ours[name], part) for name, part in parts_of(space).items()})


def is_image(space: gymnasium.Space) -> bool:
    """Bytes in three dimensions that use their range."""
    is_bytes = isinstance(space, spaces.Box) and len(space.shape) == 3 and space.dtype == np.uint8
    return is_bytes and bool((space.low == 0).all() and (space.high == 255).all())  # type: ignore[attr-defined]


class AsTheirs:
    """Observations [N, ...] as environments here give them, as those of the other library did: float32 of its layout and units;
    Discrete ones stay numbers."""

    def __init__(self, space: gymnasium.Space) -> None:
        given, ours = reads(space), Observations(space, 1)
        self._told = {name: _telling(part, given[name], _range(part, ours, name)) for name, part in parts_of(space).items()}

    def __call__(self, observations: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: tell(observations[name]) for name, tell in self._told.items()}


class Units:
    """Continuous actions of a Box, flat, in units of our policies: [-1, 1] wherever it has two bounds."""

    def __init__(self, box: spaces.Box) -> None:
        ours = Actions(box).space
        low, high = ours.low, ours.high  # type: ignore[attr-defined]
        scaled = (low == -1) & (high == 1)
        with np.errstate(invalid="ignore"):
            half = np.where(scaled, (box.high - box.low).reshape(-1) / 2, 1.0)
            middle = np.where(scaled, (box.high + box.low).reshape(-1) / 2, 0.0)
        self.space = ours
        self._low, self._high, self._half, self._middle = (
            torch.from_numpy(x.astype(np.float64)) for x in (low, high, half, middle)
        )

    def actions(self, x: Tensor) -> Tensor:
        """[..., D] of the Box's units."""
        return ((x - self._middle.to(x.device)) / self._half.to(x.device)).float()

    def clipped(self, x: Tensor) -> Tensor:
        """The same, as the environment clips them."""
        return self.actions(x).clamp(self._low.to(x), self._high.to(x))

    def normal(self, mean: Tensor, std: Tensor) -> Tensor:
        """Parameters of the normal with the moments of one with this mean and deviation that the environment clips."""
        low, high, half, middle = (x.to(mean.device) for x in (self._low, self._high, self._half, self._middle))
        return parameters(*clipped_gaussian((mean - middle) / half, std / half, low, high))

    def unclipped(self, mean: Tensor, log_std: Tensor) -> Tensor:
        """Parameters of a normal in the Box's units, as it is before the environment clips it. The gradient reaches both."""
        return torch.cat([self.actions(mean), log_std - self._half.log().to(log_std)], -1)


def _undeclared(ours: gymnasium.Space, theirs: gymnasium.Space) -> gymnasium.Space:
    if not isinstance(ours, spaces.Box):
        return ours
    shape = ours.shape
    if is_image(theirs) and theirs.shape and np.argmin(theirs.shape) == 0:  # whatever the sizes, channels are fewest
        shape = (*theirs.shape[1:], theirs.shape[0])
    if len(shape) == 3 and theirs.dtype == np.uint8:
        return spaces.Box(0, 255, shape, np.uint8)
    return spaces.Box(-np.inf, np.inf, shape, np.float32)


def _telling(theirs: gymnasium.Space, ours: gymnasium.Space, scale: tuple[float, float]) -> Callable[[Tensor], Tensor]:
    if isinstance(theirs, spaces.Discrete):
        return lambda x: x
    shape = theirs.shape if isinstance(theirs, spaces.Box) else ours.shape
    turned = isinstance(theirs, spaces.Box) and len(theirs.shape) == 3 and ours.shape != theirs.shape
    factor, offset = scale

    def tell(x: Tensor) -> Tensor:
        x = (x.movedim(-1, 1) if turned else x).float()
        x = x if scale == (1.0, 0.0) else x * factor + offset
        return x.reshape(len(x), *(shape or ()))

    return tell


def _range(space: gymnasium.Space, ours: Observations, name: str) -> tuple[float, float]:
    """Factor and offset that undo what `Observations` makes of images that are no bytes: shares of their range."""
    if not isinstance(space, spaces.Box) or len(space.shape) != 3 or space.dtype == np.uint8:
        return 1.0, 0.0
    low, high = float(space.low.min()), float(space.high.max())
    if not np.isfinite([low, high]).all() or low == high:
        return 1.0, 0.0
    ends = np.full((1, *space.shape), low, space.dtype), np.full((1, *space.shape), high, space.dtype)
    a, b = (float(ours({name: x} if name != OBSERVATION else x, np.ones(1, bool))[name].flat[0]) for x in ends)
    return (high - low) / (b - a), low - a * (high - low) / (b - a)
