"""Teachers around a teacher that is checked: one that counts what it reads, one that takes its memory away."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from gymnasium import spaces

from kickstarting.teachers.checked import Range
from kickstarting.teachers.ensemble import Ensemble
from kickstarting.teachers.protocol import Label, Teacher, across_episodes
from kickstarting.types import Inputs, State


def around(teacher: Teacher, wrap: Callable[[Teacher], Teacher]) -> Teacher:
    """A teacher with something around it, or around each of its members, which get adapters of their own."""
    return teacher.map(wrap) if isinstance(teacher, Ensemble) else wrap(teacher)


class Forgetful:
    """A teacher whose state is wiped before every call."""

    def __init__(self, teacher: Teacher) -> None:
        self._inner = teacher
        self.ref, self.device = teacher.ref, teacher.device
        self.observation_space, self.action_space = teacher.observation_space, teacher.action_space

    def initial_state(self, batch: int) -> State:
        return ()

    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        return self._inner.label(inputs, self._inner.initial_state(inputs.is_first.shape[1]))[0], ()


class Probe:
    """A teacher that keeps count of what it reads, behind all adapters."""

    def __init__(self, teacher: Teacher) -> None:
        self._inner = teacher
        self.ref, self.device = teacher.ref, teacher.device
        self.across_episodes = across_episodes(teacher)
        self.observation_space, self.action_space = teacher.observation_space, teacher.action_space
        self._count = 0
        self._sums: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self._bounds: dict[str, tuple[float, float]] = {}
        self._outside: dict[str, int] = {}

    def initial_state(self, batch: int) -> State:
        return self._inner.initial_state(batch)

    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        self._count += inputs.is_first.numel()
        for name, space in self.observation_space.items():
            if isinstance(space, spaces.Box):
                self._note(name, space, inputs.observations[name].flatten(0, 1).double())
        return self._inner.label(inputs, state)

    def _note(self, name: str, space: spaces.Box, x: torch.Tensor) -> None:
        total, squares = self._sums.get(name, (0.0, 0.0))
        self._sums[name] = total + x.sum(0), squares + x.square().sum(0)
        low, high = self._bounds.get(name, (math.inf, -math.inf))
        self._bounds[name] = min(low, float(x.min())), max(high, float(x.max()))
        least, most = (torch.from_numpy(bound.astype(float)).to(x.device) for bound in (space.low, space.high))
        slack = 1e-6 * (1 + x.abs())
        outside = ((x < least - slack) | (x > most + slack)).sum()
        self._outside[name] = self._outside.get(name, 0) + int(outside)

    def moments(self) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """By observation the mean over time, and the standard deviation."""
        found = {}
        for name, (total, squares) in self._sums.items():
            mean = total / self._count
            found[name] = mean.float(), (squares / self._count - mean.square()).clamp(min=0).sqrt().float()
        return found

    def ranges(self) -> dict[str, Range]:
        found = {}
        for name, (low, high) in self._bounds.items():
            numbers, squares = self._count * self._sums[name][1].numel(), self._sums[name][1].sum()
            vector = len(self.observation_space[name].shape or ()) <= 1
            found[name] = Range(low, high, math.sqrt(float(squares) / numbers), self._outside[name] / numbers, vector)
        return found
