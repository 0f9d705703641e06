"""Kinds of observations, action spaces that tasks share, texts as tokens, and spaces as JSON.

An adapter of `envs/` declares what an observation is by the class of its space: `Pixels`, `Grid`, `Text`, `Vector`, or
gymnasium's own `Discrete`, which networks read one-hot. Networks go by the class, never by a shape or a name. An environment
of your own declares a kind in the same way: write `Grid(0, 10, (7, 7, 3), np.uint8)` for `Box(0, 10, (7, 7, 3), np.uint8)`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
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


def join_observations(names: Sequence[str], observed: Sequence[spaces.Dict]) -> spaces.Dict:
    """What all tasks of a suite observe, by the tasks' names. Raises ValueError if they differ, in kind or in size."""
    for name, space in zip(names, observed, strict=True):
        if space != observed[0]:
            raise ValueError(
                f"task {name!r} observes {space}, task {names[0]!r} {observed[0]}; "
                "the tasks that are trained together must share their observations, so train them apart, as SUITE:TASK"
            )
    return observed[0]


def without(observed: spaces.Dict, names: Sequence[str]) -> spaces.Dict:
    """What is left of observations without some. Raises ValueError if one is not there, or none are left."""
    for name in names:
        if name not in observed.spaces:
            raise ValueError(f"privileged observation {name!r} is not there; {nearest(name, observed.spaces)}")
    left = {name: space for name, space in observed.items() if name not in names}
    if not left:
        raise ValueError(f"all observations, {', '.join(observed.spaces)}, are privileged; leave the student one")
    return spaces.Dict(left)


def join_actions(
    names: Sequence[str], acted: Sequence[gymnasium.Space], num_actions: int = 0
) -> tuple[gymnasium.Space, tuple[int, ...] | None]:
    """The action space in which one policy acts for all tasks, and, of discrete ones, how many of its actions each task has.

    num_actions: at least so many in the joint space, discrete only. Raises ValueError if the spaces have none in common.
    """
    counts = tuple(int(space.n) for space in acted if isinstance(space, spaces.Discrete))
    if len(counts) == len(acted):
        return spaces.Discrete(max(*counts, num_actions)), counts
    for name, space in zip(names, acted, strict=True):
        if space != acted[0]:
            raise ValueError(
                f"task {name!r} acts in {space}, task {names[0]!r} in {acted[0]}; "
                "only discrete action spaces of different size can be trained together, so train them apart, as SUITE:TASK"
            )
    return next((space for space in acted if not getattr(space, "as_is", True)), acted[0]), None


def task_of_column(tasks: int, envs_per_task: int, groups: int = 1) -> np.ndarray:
    """The task of each column, int [B]: task by task within each group. Raises ValueError if groups cannot be equal."""
    if envs_per_task % groups:
        raise ValueError(f"{envs_per_task} environments of a task cannot be split into {groups} equal groups")
    return np.tile(np.repeat(np.arange(tasks), envs_per_task // groups), groups)


def action_mask(num_actions: tuple[int, ...] | None, joint: gymnasium.Space, tasks: np.ndarray) -> torch.Tensor | None:
    """Which actions of the joint space exist in each column, bool [B, A]; None if all do everywhere.

    num_actions: of each task, as `join_actions` gives them. tasks: the task of each column, [B].
    """
    if num_actions is None or not isinstance(joint, spaces.Discrete) or set(num_actions) == {int(joint.n)}:
        return None
    return torch.arange(int(joint.n)) < torch.tensor(num_actions)[torch.from_numpy(tasks)][:, None]


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


def describe_space(space: gymnasium.Space) -> dict[str, Any]:
    """A space as JSON. Bounds of a Box are left out, for they never decide whether a network fits; and the kind of a flat vector,
    which is that of every flat Box. `units` of actions says that they are in those of the policy: version 0.1 knew the
    environment's only, and clipped."""
    if isinstance(space, spaces.Discrete):
        return {"discrete": int(space.n)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"multi_discrete": [int(n) for n in space.nvec.flatten()]}
    shape = space.shape or ()
    if isinstance(space, Scaled):
        squashed = {"squashed": True} if isinstance(space, Squashed) else {}
        return {"units": "policy", **squashed, "shape": list(shape), "dtype": str(space.dtype)}
    declared = isinstance(space, Declared) and not (isinstance(space, Vector) and len(shape) <= 1)
    return ({"kind": kind_of("", space)} if declared else {}) | {"shape": list(shape), "dtype": str(space.dtype)}


def read_space(data: Mapping[str, Any]) -> gymnasium.Space:
    """The space that `describe_space` described."""
    if "discrete" in data:
        return spaces.Discrete(data["discrete"])
    if "multi_discrete" in data:
        return spaces.MultiDiscrete(data["multi_discrete"])
    if "units" in data:
        bound = np.full(data["shape"], 1.0 if data.get("squashed") else np.inf, np.float32)
        return (Squashed if data.get("squashed") else Scaled)(-bound, bound, as_is=False)
    dtype = np.dtype(data["dtype"])
    low, high = (0, 255) if dtype == np.uint8 else (-np.inf, np.inf) if dtype.kind == "f" else (-(2**15), 2**15 - 1)
    return (KINDS[data["kind"]] if "kind" in data else spaces.Box)(low, high, tuple(data["shape"]), dtype.type)


def read_observations(data: Mapping[str, Mapping[str, Any]]) -> spaces.Dict:
    """An observation space from the description of each part. Checkpoints of version 0.1 name no kinds; theirs are what its
    networks took for granted."""
    return spaces.Dict({name: read_space(part if "discrete" in part else _with_kind(name, part)) for name, part in data.items()})


def _with_kind(name: str, part: Mapping[str, Any]) -> Mapping[str, Any]:
    shape = part["shape"]
    if name == "mission" and part["dtype"] == "int16":
        kind = "text"
    elif len(shape) == 3:
        kind = "grid" if shape[0] < 16 and shape[2] == 3 else "pixels"
    else:
        kind = "vector"
    return {"kind": kind, **part}


def check_units(described: Mapping[str, Any], space: gymnasium.Space) -> None:
    """Raise ValueError if a policy with this action space, as `describe_space` wrote it, acts in an environment's own units, as all
    did in version 0.1, and one for `space` must not."""
    if isinstance(space, Scaled) and "units" not in described and not space.as_is:
        raise ValueError("this run began with version 0.1, whose actions were in the environment's units; train it anew")
