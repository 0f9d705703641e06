"""Between continuous policies that are clipped at their bounds and squashed ones: each as the other's that has its moments."""

from __future__ import annotations

from collections.abc import Callable

import gymnasium
import torch
from torch import Tensor

from kickstarting.algo.distributions import LOG_STD
from kickstarting.algo.moments import parameters, squashed_gaussian, unsquashed_gaussian
from kickstarting.spaces import Scaled, Squashed, unsquashed
from kickstarting.teachers.protocol import Kind, Label, Teacher
from kickstarting.types import Inputs, State


def in_law_of(teacher: Teacher, action_space: gymnasium.Space) -> Teacher:
    """A teacher of continuous actions for a student of the other kind; others as they are."""
    theirs, squashes = teacher.action_space, isinstance(action_space, Squashed)
    if isinstance(theirs, Squashed) and not squashes:
        return _Converted(teacher, squashed_gaussian, unsquashed(theirs))
    if isinstance(theirs, Scaled) and not isinstance(theirs, Squashed) and squashes and theirs.shape == action_space.shape:
        return _Converted(teacher, unsquashed_gaussian, action_space)
    return teacher


class _Converted:
    """A teacher whose policy is said by the mean and variance that it has on the student's side of the tanh.

    By these a cross-entropy to the student's normal is exact (`algo/moments.py`). Actions stay what they are.
    """

    def __init__(
        self, teacher: Teacher, moments: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], space: gymnasium.Space
    ) -> None:
        self._inner, self._moments = teacher, moments
        self.ref, self.device = teacher.ref, teacher.device
        self.observation_space = teacher.observation_space
        self.action_space = space

    def initial_state(self, batch: int) -> State:
        return self._inner.initial_state(batch)

    @torch.no_grad()
    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        label, state = self._inner.label(inputs, state)
        if label.kind != Kind.PARAMETERS:
            return label, state
        return label._replace(policy=self._converted(label.policy)), state

    def _converted(self, policy: Tensor) -> Tensor:
        mean, log_std = policy.chunk(2, -1)
        std = log_std.clamp(*LOG_STD).exp().masked_fill(log_std == -torch.inf, 0.0)
        return parameters(*self._moments(mean, std))
