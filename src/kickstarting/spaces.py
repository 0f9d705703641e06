"""Kinds of observations and of continuous actions, texts as tokens, and the policy's distribution for an action space.

An adapter of `envs/` declares what an observation is by the class of its space: `Pixels`, `Grid`, `Text`, `Vector`, or
gymnasium's own `Discrete`, which networks read one-hot. Networks go by the class, never by a shape or a name. An environment
of your own declares a kind in the same way: write `Grid(0, 10, (7, 7, 3), np.uint8)` for `Box(0, 10, (7, 7, 3), np.uint8)`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import gymnasium
import numpy as np
from gymnasium import spaces

from kickstarting.algo.distributions import Categorical, DiagonalGaussian, Distribution, MultiCategorical
from kickstarting.algo.parsing import nearest
from kickstarting.algo.squashed import SquashedGaussian

BUCKETS = 1000
MAX_WORDS = 40
"""Longer texts are cut; the longest mission of BabyAI's BossLevel has 39 words."""
MOST_CHOICES = 100_000
"""Of a policy's discrete actions, or of an observation that is read one-hot."""
_SALT = b"kickstarting-0:"


class Declared(spaces.Box):
    """A Box that says of what kind its arrays are; made like a Box, equal only to a space of its own kind."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and super().__eq__(other)

    def __repr__(self) -> str:
        return type(self).__name__ + super().__repr__().removeprefix("Box")


class Pixels(Declared):
    """An image, a stack of images in its channels, or planes [H, W, C]: uint8 up to 255, or float32 of the size of 1."""


class Grid(Declared):
    """Cells of (object, colour, state) as MiniGrid numbers them, uint8 [H, W, 3]: below 11, 6 and 4."""


class Text(Declared):
    """Token ids int16 [MAX_WORDS] as `tokenise` makes them. An environment may also give UTF-8, uint8 [bytes] with zeros behind."""


class Vector(Declared):
    """Numbers without a layout that a network could use, float32 of any shape."""


class Scaled(spaces.Box):
    """Continuous actions float32 [n] in units of the policy: [-1, 1] wherever the environment has two bounds, to which its
    adapter scales (`envs/actions.py`); elsewhere, and throughout if `as_is`, these are the environment's own units."""

    def __init__(self, low: np.ndarray, high: np.ndarray, *, as_is: bool) -> None:
        super().__init__(low, high, low.shape, np.float32)
        self.as_is = as_is


class Squashed(Scaled):
    """The same for a policy that is the tanh of a normal, whose actions lie between its bounds: all of [-1, 1]."""


def squash(space: gymnasium.Space) -> Squashed:
    """Raises ValueError for actions that are not continuous, or lack a bound."""
    if not isinstance(space, spaces.Box) or (np.abs(space.low) != 1).any() or (np.abs(space.high) != 1).any():
        raise ValueError(
            f"squash_actions is for continuous actions with two bounds each, and the policy acts in {space}; leave it out"
        )
    return Squashed(space.low, space.high, as_is=getattr(space, "as_is", False))


def unsquashed(space: gymnasium.Space) -> gymnasium.Space:
    """The same actions for a policy that is clipped at its bounds."""
    return Scaled(space.low, space.high, as_is=space.as_is) if isinstance(space, Squashed) else space


class Shaped(spaces.Box):
    """What a program from elsewhere says of an observation that it reads: its shape. Which numbers stand there, and of which kind,
    it leaves to whoever feeds it."""

    @staticmethod
    def of(shape: tuple[int, ...]) -> Shaped:
        return Shaped(-np.inf, np.inf, shape, np.float32)


KINDS: dict[str, type[Declared]] = {"pixels": Pixels, "grid": Grid, "text": Text, "vector": Vector}


def kind_of(name: str, space: gymnasium.Space) -> str:
    """What a network shall read an observation as: a name in KINDS, or `one-hot`. A flat Box without a kind is a vector.

    Raises ValueError for every other space whose kind is not declared.
    """
    if isinstance(space, spaces.Discrete):
        return "one-hot"
    for kind, declared in KINDS.items():
        if isinstance(space, declared):
            return kind
    if isinstance(space, spaces.Box) and len(space.shape) <= 1:
        return "vector"
    raise ValueError(
        f"observation {name!r} is {space}, of no declared kind; "
        f"use Discrete or one of kickstarting.spaces: {', '.join(c.__name__ for c in KINDS.values())}"
    )


def tokens() -> Text:
    """The space of a text's token ids."""
    return Text(-1, BUCKETS - 1, (MAX_WORDS,), np.int16)


def tokenise(text: str) -> np.ndarray:
    """Token ids int16 [MAX_WORDS]: a hash of each word into BUCKETS, -1 behind the last word."""
    ids = np.full(MAX_WORDS, -1, np.int16)
    words = text.lower().replace(",", " ").split()[:MAX_WORDS]
    ids[: len(words)] = [zlib.crc32(_SALT + word.encode()) % BUCKETS for word in words]
    return ids


def without(observed: spaces.Dict, names: Sequence[str]) -> spaces.Dict:
    """What is left of observations without some. Raises ValueError if one is not there, or none are left."""
    for name in names:
        if name not in observed.spaces:
            raise ValueError(f"privileged observation {name!r} is not there; {nearest(name, observed.spaces)}")
    left = {name: space for name, space in observed.items() if name not in names}
    if not left:
        raise ValueError(f"all observations, {', '.join(observed.spaces)}, are privileged; leave the student one")
    return spaces.Dict(left)


def _choices(space: spaces.Discrete | spaces.MultiDiscrete) -> int:
    return int(space.n) if isinstance(space, spaces.Discrete) else sum(int(n) for n in space.nvec.flatten())


def make_distribution(space: gymnasium.Space) -> Distribution:
    """The policy's distribution for an action space. Raises ValueError for spaces that have none."""
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete) and (size := _choices(space)) > MOST_CHOICES:
        raise ValueError(f"action space {space} has {size:,} choices, more than {MOST_CHOICES:,}; wrap the environment in a Box")
    if isinstance(space, spaces.Discrete):
        return Categorical(int(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return MultiCategorical(tuple(int(n) for n in space.nvec.flatten()))
    if isinstance(space, Squashed):
        return SquashedGaussian(space.shape[0])
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return DiagonalGaussian(space.shape[0])
    raise ValueError(f"no policy for action space {space}; Discrete, MultiDiscrete and flat Box are known")
