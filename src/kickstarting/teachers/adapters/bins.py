"""The adapter `bins`: continuous actions on one side, the same in even steps on the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from kickstarting.algo.distributions import IMPOSSIBLE, LOG_STD
from kickstarting.algo.moments import parameters
from kickstarting.ranges import Range
from kickstarting.teachers.adapters.actions import ActionAdapter
from kickstarting.teachers.protocol import Kind, Label, Teacher, across_episodes
from kickstarting.types import Inputs, State


def bins(number: Annotated[int, Range(2, 10**4)]) -> ActionAdapter:
    """Each dimension of a continuous action as one of so many values, evenly from -1 to 1. Whichever side is discrete has them: a
    teacher's become their mean and deviation, a student's the probability of what is nearest to each."""

    def adapter(teacher: Teacher, action_space: gymnasium.Space) -> Teacher:
        ours, theirs = action_space, teacher.action_space
        if isinstance(ours, spaces.Box) and _is_discrete(theirs, number, ours.shape[0]):
            return _Binned(teacher, number, ours)
        if isinstance(theirs, spaces.Box) and _is_discrete(ours, number, theirs.shape[0]):
            return _Binning(teacher, number, ours)
        raise ValueError(
            f"adapter bins({number}) needs a Box on one side and {number} values for each of its dimensions on the other; teacher "
            f"{teacher.ref} acts in {theirs}, the student in {ours}"
        )

    return adapter


class _Bins:
    """A teacher whose actions, or whose student's, are values in even steps."""

    def __init__(self, teacher: Teacher, number: int, action_space: gymnasium.Space) -> None:
        self._inner, self._number = teacher, number
        self.ref, self.device = teacher.ref, teacher.device
        self.across_episodes = across_episodes(teacher)
        self.observation_space, self.action_space = teacher.observation_space, action_space
        self._values = torch.linspace(-1.0, 1.0, number)

    def initial_state(self, batch: int) -> State:
        return self._inner.initial_state(batch)

    def _nearest(self, actions: Tensor) -> Tensor:
        return ((actions.clamp(-1, 1) + 1) / 2 * (self._number - 1)).round().long()


class _Binned(_Bins):
    """A teacher of values in even steps, for a student of continuous actions."""

    @torch.no_grad()
    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        alone = isinstance(self._inner.action_space, spaces.Discrete)
        last = self._nearest(inputs.last_actions).masked_fill(inputs.is_first[..., None], -1)
        label, state = self._inner.label(replace(inputs, last_actions=last[..., 0] if alone else last), state)
        values = self._values.to(label.policy.device)
        if label.kind == Kind.ACTIONS:
            chosen = values[label.policy.clamp(min=0)]
            return label._replace(policy=chosen[..., None] if alone else chosen), state
        split = label.policy.unflatten(-1, (-1, self._number))  # [T, B, D, number]
        p = split.softmax(-1) if label.kind == Kind.PARAMETERS else split
        mean = p @ values
        variance = (p * (values - mean[..., None]).square()).sum(-1)
        return label._replace(policy=parameters(mean, variance), kind=Kind.PARAMETERS), state


class _Binning(_Bins):
    """A teacher of continuous actions, for a student of values in even steps."""

    @torch.no_grad()
    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        alone = isinstance(self.action_space, spaces.Discrete)
        last = inputs.last_actions[..., None] if alone else inputs.last_actions
        told = torch.where(last >= 0, self._values.to(last.device)[last.clamp(min=0)], 0.0)
        label, state = self._inner.label(replace(inputs, last_actions=told), state)
        if label.kind == Kind.ACTIONS:
            chosen = self._nearest(label.policy)
            return label._replace(policy=chosen[..., 0] if alone else chosen), state
        mean, log_std = label.policy.chunk(2, -1)
        edges = (self._values[1:] + self._values[:-1]).to(mean.device) / 2
        below = torch.special.ndtr((edges - mean[..., None]) / log_std.clamp(*LOG_STD).exp()[..., None])
        ends = torch.zeros_like(below[..., :1])
        p = torch.diff(torch.cat([ends, below, ends + 1], -1)).clamp_(min=0)
        return label._replace(policy=p.log().clamp(min=IMPOSSIBLE).flatten(-2), kind=Kind.PARAMETERS), state


def _is_discrete(space: gymnasium.Space, number: int, dimensions: int) -> bool:
    if isinstance(space, spaces.Discrete):
        return dimensions == 1 and int(space.n) == number
    return isinstance(space, spaces.MultiDiscrete) and np.array_equal(space.nvec, [number] * dimensions)
