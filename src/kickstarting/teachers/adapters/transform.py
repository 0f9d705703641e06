"""What the adapters of observations have in common: from a space, what comes out of it and how, and a teacher behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import gymnasium
import torch
from gymnasium import spaces
from torch import Tensor

from kickstarting.ranges import Range
from kickstarting.teachers.protocol import Label, Teacher, across_episodes
from kickstarting.types import Inputs, State

Observations = dict[str, Tensor]
SIDE = Range(1, 10**5)
"""Of an image, in pixels or cells."""


@dataclass(frozen=True)
class Transform:
    """Observations [T, B, ...] of one space as those of another."""

    space: spaces.Dict
    """What comes out."""
    observe: Callable[[Observations, Tensor, State], tuple[Observations, State]]
    """Observations, `is_first` [T, B] and state to observations and state. All that goes in stays as it is."""
    sources: Mapping[str, Sequence[str]]
    """Of what comes out, by name, the names of what it is made of."""
    initial_state: Callable[[int], State] = field(default=lambda batch: ())


Adapter = Callable[[spaces.Dict], Transform]
"""An adapter of observations, with its arguments. Raises ValueError for a space that it cannot be used on."""


class Observed:
    """A teacher behind a transform. Its state is that of the transform, then the teacher's."""

    def __init__(self, teacher: Teacher, transform: Transform, space: spaces.Dict) -> None:
        """space: of what goes in."""
        self._inner, self._transform = teacher, transform
        self.ref, self.device, self.action_space = teacher.ref, teacher.device, teacher.action_space
        self.across_episodes = across_episodes(teacher)
        names = {source for name in teacher.observation_space.spaces for source in transform.sources.get(name, ())}
        self.observation_space = spaces.Dict({name: part for name, part in space.items() if name in names})
        self._own = len(transform.initial_state(0))

    def initial_state(self, batch: int) -> State:
        own = tuple(x.to(self.device) for x in self._transform.initial_state(batch))
        return own + self._inner.initial_state(batch)

    @torch.no_grad()
    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        observations, own = self._transform.observe(inputs.observations, inputs.is_first, state[: self._own])
        label, inner = self._inner.label(replace(inputs, observations=observations), state[self._own :])
        return label, own + inner


def behind(teacher: Teacher, adapters: Sequence[Adapter], space: spaces.Dict) -> Teacher:
    """A teacher behind adapters of observations, the one that reads `space` first."""
    for transform, before in reversed(chain(adapters, space)):
        teacher = Observed(teacher, transform, before)
    return teacher


def chain(adapters: Sequence[Adapter], space: spaces.Dict) -> list[tuple[Transform, spaces.Dict]]:
    """The transforms, one behind the other, each with the space before it."""
    transforms = []
    for adapter in adapters:
        transforms.append((adapter(space), space))
        space = transforms[-1][0].space
    return transforms


def each(space: spaces.Dict, name: str, becomes: gymnasium.Space, function: Callable[[Tensor], Tensor]) -> Transform:
    """A transform of one observation, step by step; all others pass."""
    parts = {**space.spaces, name: becomes}
    return Transform(
        spaces.Dict(parts), lambda x, _, state: ({**x, name: function(x[name])}, state), {part: (part,) for part in parts}
    )


def chosen(adapter: str, space: spaces.Dict, key: str, fits: Callable[[gymnasium.Space], bool], what: str) -> str:
    """The name of the observation that an adapter is for: `key`, or else `observation`, or the only one that fits.

    Raises ValueError, with what is there, if none does, or several do.
    """
    fitting = [name for name, part in space.items() if fits(part)]
    there = ", ".join(f"{name} {part}" for name, part in space.items()) or "nothing"
    if key and key not in fitting:
        raise ValueError(f"adapter {adapter} needs {what}; {key!r} is none, and there is {there}")
    if not fitting:
        raise ValueError(f"adapter {adapter} needs {what}; there is {there}")
    if not key and len(fitting) > 1 and "observation" not in fitting:
        raise ValueError(f"adapter {adapter} could be for {' or '.join(fitting)}; write key=NAME into its parentheses")
    return key or ("observation" if "observation" in fitting else fitting[0])


def resized(space: spaces.Box, shape: tuple[int, ...]) -> spaces.Box:
    """A space of the same kind, type and bounds, as far as one number says them, with another shape."""
    return type(space)(space.low.min(), space.high.max(), shape, space.dtype.type)


def is_image(space: gymnasium.Space) -> bool:
    return isinstance(space, spaces.Box) and len(space.shape) == 3


def is_box(space: gymnasium.Space) -> bool:
    return isinstance(space, spaces.Box)
