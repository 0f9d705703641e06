"""Other layouts that a teacher may have been trained on: what people mix up when they move one between programs.

Channels in another order, rows and columns exchanged, frames stacked the other way round, images on another scale, numbers
normalised, actions numbered differently. Only what is few is listed, so that each can be tried by playing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, permutations

import gymnasium
import torch
from gymnasium import spaces
from torch import Tensor

from kickstarting.spaces import Grid, Text
from kickstarting.teachers.protocol import Kind, Label, Teacher, across_episodes
from kickstarting.types import Inputs, State

Read = Callable[[Tensor], Tensor]
FEW_ACTIONS, SOME_ACTIONS = 4, 8
"""Up to which all orders of the actions are tried, and every exchange of two."""
FRAMES = (2, 3, 4, 8)
"""How many frames a flat vector may be a stack of."""


@dataclass(frozen=True)
class Layout:
    """One change of what a teacher reads, or of what its actions mean."""

    name: str
    """In words, behind `with`."""
    observation: str = ""
    read: Read | None = None
    actions: tuple[int, ...] = ()
    """Which action of ours each of its own is."""
    signs: tuple[int, ...] = ()
    """Of continuous actions, in that order."""


class Rearranged:
    """A teacher in another layout."""

    def __init__(self, teacher: Teacher, layout: Layout) -> None:
        self._inner, self._layout = teacher, layout
        self.ref, self.device = teacher.ref, teacher.device
        self.across_episodes = across_episodes(teacher)
        self.observation_space, self.action_space = teacher.observation_space, teacher.action_space

    def initial_state(self, batch: int) -> State:
        return self._inner.initial_state(batch)

    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        layout = self._layout
        if layout.read is not None:
            changed = {layout.observation: layout.read(inputs.observations[layout.observation])}
            inputs = replace(inputs, observations={**inputs.observations, **changed})
        if layout.actions:
            inputs = replace(inputs, last_actions=self._theirs(inputs.last_actions))
        label, state = self._inner.label(inputs, state)
        return label._replace(policy=self._ours(label.policy, label.kind)) if layout.actions else label, state

    def _ours(self, policy: Tensor, kind: Kind) -> Tensor:
        order = torch.tensor(self._layout.actions, device=policy.device)
        if not isinstance(self.action_space, spaces.Box):
            return order[policy] if kind == Kind.ACTIONS else policy[..., order.argsort()]
        signs = torch.tensor(self._layout.signs, device=policy.device)
        mean, rest = policy[..., : len(order)], policy[..., len(order) :]
        mean = (mean * signs)[..., order.argsort()]
        return torch.cat([mean, rest[..., order.argsort()]], -1) if kind == Kind.PARAMETERS else mean

    def _theirs(self, actions: Tensor) -> Tensor:
        order = torch.tensor(self._layout.actions, device=actions.device)
        if isinstance(self.action_space, spaces.Box):
            return actions[..., order] * torch.tensor(self._layout.signs, device=actions.device)
        return torch.where(actions < 0, actions, order.argsort()[actions.clamp(min=0)])


def layouts(teacher: Teacher, moments: Mapping[str, tuple[Tensor, Tensor]]) -> Iterator[Layout]:
    """Those that fit a teacher's spaces. moments: mean and standard deviation, over time, of what it read of each observation."""
    for name, space in teacher.observation_space.items():
        if not isinstance(space, spaces.Box) or isinstance(space, Text) or space.dtype is None:
            continue
        if len(space.shape) == 3:
            yield from _of_image(name, space)
        else:
            yield from _of_vector(name, space)
        if name in moments and (space.dtype.kind == "f" or (len(space.shape) == 3 and not isinstance(space, Grid))):
            yield Layout(f"{name!r} normalised by its mean and deviation here", name, _normalising(*moments[name]))
    yield from _of_actions(teacher.action_space)


def _of_image(name: str, space: spaces.Box) -> Iterator[Layout]:
    """Channels come last, or first where the teacher's library has them there."""
    axis = -3 if space.shape[0] < min(space.shape[1:]) else -1
    channels, (height, width) = space.shape[axis], space.shape[1:] if axis == -3 else space.shape[:2]
    orders = permutations(range(channels)) if channels <= 3 else [tuple(reversed(range(channels)))]
    for order in orders:
        if order != tuple(range(channels)):
            yield Layout(f"the channels of {name!r} in the order {_listed(order)}", name, _picking(order, axis))
    if height == width:
        first, second = (-2, -1) if axis == -3 else (-3, -2)
        yield Layout(f"rows and columns of {name!r} exchanged", name, lambda x: x.transpose(first, second))
        if axis == -1 and channels not in (1, height):
            yield Layout(f"{name!r} with its channels first in memory", name, _channels_first)
    if not isinstance(space, Grid):
        if space.dtype is not None and space.dtype.kind != "f":
            yield Layout(f"{name!r} as numbers from 0 to 1", name, lambda x: x.float() / 255)
            yield Layout(f"{name!r} as numbers from 0 to 255", name, lambda x: x.float())
        else:
            yield Layout(f"{name!r} times 255", name, lambda x: x * 255.0)
            yield Layout(f"{name!r} divided by 255", name, lambda x: x / 255.0)


def _of_vector(name: str, space: spaces.Box) -> Iterator[Layout]:
    if len(space.shape) == 2 and 1 < space.shape[0] <= 16:
        order = tuple(reversed(range(space.shape[0])))
        yield Layout(f"the frames of {name!r} from the newest to the oldest", name, _picking(order, -2))
    elif len(space.shape) == 1:
        size = space.shape[0]
        for frames in FRAMES:
            if size % frames == 0 and size >= frames:
                order = torch.arange(size).view(frames, -1).flip(0).flatten()
                yield Layout(f"{name!r} as {frames} frames in the reverse order", name, _picking(tuple(order.tolist()), -1))


def _of_actions(space: gymnasium.Space) -> Iterator[Layout]:
    if isinstance(space, spaces.Box):
        size = space.shape[0]
        orders = list(permutations(range(size))) if size <= 3 else []
        for order in orders:
            if order != tuple(range(size)):
                yield Layout(f"its actions in the order {_listed(order)}", actions=order, signs=(1,) * size)
        for flipped in [(i,) for i in range(size)] + [tuple(range(size))] * (size > 1):
            signs = tuple(-1 if i in flipped else 1 for i in range(size))
            which = f"action {flipped[0]}" if size > 1 and len(flipped) == 1 else "its actions"
            yield Layout(f"{which} with the opposite sign", actions=tuple(range(size)), signs=signs)
    elif isinstance(space, spaces.Discrete) and 1 < space.n <= SOME_ACTIONS:
        size = int(space.n)
        same = tuple(range(size))
        exchanges = [tuple(j if k == i else i if k == j else k for k in same) for i, j in combinations(same, 2)]
        for order in permutations(same) if size <= FEW_ACTIONS else exchanges:
            if order != same:
                yield Layout(f"its actions 0 to {size - 1} taken as {_listed(order)}", actions=order)


def _listed(order: tuple[int, ...]) -> str:
    return ", ".join(map(str, order))


def _picking(order: tuple[int, ...], dimension: int) -> Read:
    return lambda x: x.index_select(dimension, torch.tensor(order, device=x.device))


def _channels_first(x: Tensor) -> Tensor:
    """The bytes of [C, H, W] where [H, W, C] is expected, as a reshape instead of a transpose leaves them."""
    return x.movedim(-1, -3).reshape(x.shape)


def _normalising(mean: Tensor, deviation: Tensor) -> Read:
    return lambda x: (x.float() - mean.to(x.device)) / deviation.to(x.device).clamp(min=1e-6)
