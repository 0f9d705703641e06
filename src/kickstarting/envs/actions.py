"""What a policy does, as a library's environment takes it: valid in its action space, whatever the policy said."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import gymnasium
import numpy as np
from gymnasium import spaces

from kickstarting.spaces import Scaled

BOUNDLESS = 1e30
"""A range as wide as this has no bounds that a policy could use: libraries write the largest float where they mean none."""


class Actions:
    """Declares in which space a policy acts for an environment's action space, and turns its actions into the environment's.

    Discrete counts from 0; MultiDiscrete is flat; MultiBinary is a MultiDiscrete of twos; a Box is flat, and every dimension
    with two bounds is in units of the policy, [-1, 1], scaled to these bounds. Dimensions without are taken as they are, and
    clipped where there is a bound. Integers get equal shares of [-1, 1] and are rounded.

    Raises ValueError for other spaces.
    """

    space: gymnasium.Space
    """Of the policy."""

    def __init__(self, space: gymnasium.Space) -> None:
        if not int(np.prod(space.shape or ())):
            raise ValueError(f"the action space {space} has no dimension; there is nothing to learn")
        if isinstance(space, spaces.Discrete):
            self.space = spaces.Discrete(int(space.n))
            self._told = _shifted(space.start, (), space.dtype)
        elif isinstance(space, spaces.MultiDiscrete):
            self.space = spaces.MultiDiscrete(space.nvec.flatten().astype(np.int64))
            self._told = _shifted(getattr(space, "start", 0), space.shape, space.dtype)
        elif isinstance(space, spaces.MultiBinary):
            self.space = spaces.MultiDiscrete(np.full(int(np.prod(space.shape)), 2))
            self._told = _shifted(0, space.shape, space.dtype)
        elif isinstance(space, spaces.Box):
            self.space, self._told = _scaled(space)
        else:
            raise ValueError(
                f"the environment acts in {space}; Discrete, MultiDiscrete, MultiBinary and Box are known, so wrap the environment"
            )

    def __call__(self, actions: np.ndarray) -> np.ndarray:
        """A batch of the policy's actions [B, ...], as the environment's."""
        return self._told(actions)


def _shifted(start: object, shape: tuple[int, ...], dtype: np.dtype | None) -> Callable[[np.ndarray], np.ndarray]:
    first = np.asarray(start).astype(np.int64)
    return lambda actions: (actions.reshape(len(actions), *shape) + first).astype(dtype)


def _scaled(box: spaces.Box) -> tuple[Scaled, Callable[[np.ndarray], np.ndarray]]:
    low, high, whole = box.low.astype(float), box.high.astype(float), box.dtype.kind != "f"
    with np.errstate(invalid="ignore"):
        half, middle = high / 2 - low / 2, high / 2 + low / 2
    bounded = box.bounded_below & box.bounded_above & (half < BOUNDLESS)
    half, middle = np.where(bounded, half + 0.5 * whole, 1.0), np.where(bounded, middle, 0.0)
    limit = np.where(bounded, 1.0, np.inf)
    lowest, highest = (np.where(np.abs(x) < BOUNDLESS, x, np.copysign(np.inf, x)) for x in (low, high))
    lowest, highest = np.where(bounded, -1.0, lowest), np.where(bounded, 1.0, highest)
    as_is = not whole and bool((half == 1.0).all() and not middle.any())
    policy = Scaled(lowest.reshape(-1).astype(np.float32), highest.reshape(-1).astype(np.float32), as_is=as_is)
    told = partial(_whole if whole else _real, box=box, half=half, middle=middle, limit=limit)
    return policy, told


def _real(actions: np.ndarray, box: spaces.Box, half: np.ndarray, middle: np.ndarray, limit: np.ndarray) -> np.ndarray:
    x = actions.reshape(len(actions), *box.shape).clip(-limit, limit) * half + middle
    with np.errstate(over="ignore"):
        return x.astype(box.dtype).clip(box.low, box.high)


def _whole(actions: np.ndarray, box: spaces.Box, half: np.ndarray, middle: np.ndarray, limit: np.ndarray) -> np.ndarray:
    x = np.rint(actions.reshape(len(actions), *box.shape).clip(-limit, limit) * half + middle)
    below, above = x <= box.low.astype(float), x >= box.high.astype(float)
    inside = np.where(below | above | np.isnan(x), 0.0, x).astype(box.dtype)  # the largest integers are no float64
    return np.where(below, box.low, np.where(above, box.high, inside)).clip(box.low, box.high)
