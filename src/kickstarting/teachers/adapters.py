"""Named adapters between a student's environments and a teacher that was made for others.

An adapter is a teacher around a teacher: it turns what the student's environments give into what the inner one reads, and
what that says into the student's actions. A pipeline of them is written NAME+NAME, the student's side first, and saved with
the run.

    identity    nothing: the teacher reads and acts as the student's environments do
    mask        discrete actions agree as far as both sides have them: the teacher gives those that it does not know no
                probability, and what it would do beyond the student's actions is left out
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import gymnasium
import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn import functional as F

from kickstarting.algo.distributions import IMPOSSIBLE
from kickstarting.algo.parsing import nearest
from kickstarting.spaces import Scaled, Shaped, describe_space
from kickstarting.teachers.protocol import Kind, Label, Teacher
from kickstarting.types import Inputs, State


class Masked:
    """A teacher of other discrete actions: number n means the same on both sides, as far as both have it."""

    def __init__(self, teacher: Teacher, action_space: gymnasium.Space) -> None:
        ours, theirs = action_space, teacher.action_space
        if not isinstance(ours, spaces.Discrete) or not isinstance(theirs, spaces.Discrete):
            raise ValueError(
                f"adapter mask needs discrete actions; teacher {teacher.ref} acts in {theirs}, the student in {ours}; leave it out"
            )
        self._inner, self._theirs, self._ours = teacher, int(theirs.n), int(ours.n)
        self.ref, self.device = teacher.ref, teacher.device
        self.observation_space, self.action_space = teacher.observation_space, action_space

    def initial_state(self, batch: int) -> State:
        return self._inner.initial_state(batch)

    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        actions = inputs.last_actions
        inputs = replace(inputs, last_actions=actions.masked_fill(actions >= self._theirs, -1))
        label, state = self._inner.label(inputs, state)
        if label.kind == Kind.ACTIONS:
            known = label.policy < self._ours
            return label._replace(
                policy=label.policy.clamp(max=self._ours - 1), known=known if label.known is None else known & label.known
            ), state
        return label._replace(policy=self._resized(label.policy, label.kind)), state

    def _resized(self, policy: Tensor, kind: Kind) -> Tensor:
        missing, kept = max(0, self._ours - self._theirs), policy[..., : self._ours]
        if kind == Kind.PARAMETERS:
            return F.pad(kept, (0, missing), value=IMPOSSIBLE)
        return F.pad(kept / kept.sum(-1, keepdim=True).clamp(min=torch.finfo(kept.dtype).tiny), (0, missing))


ADAPTERS: Mapping[str, Callable[[Teacher, gymnasium.Space], Teacher]] = {
    "identity": lambda teacher, action_space: teacher,
    "mask": Masked,
}


def parse_adapters(text: str) -> tuple[str, ...]:
    """The names in NAME+NAME. Raises ValueError, with the nearest names, for one that is unknown."""
    names = tuple(name for name in text.split("+") if name)
    for name in names:
        if name not in ADAPTERS:
            raise ValueError(f"unknown adapter {name!r}; {nearest(name, ADAPTERS)}")
    return names


def adapt(teacher: Teacher, adapters: Sequence[str], observation_space: spaces.Dict, action_space: gymnasium.Space) -> Teacher:
    """A teacher as the student's environments see it. Raises ValueError, naming both sides, if it does not fit them."""
    for name in reversed(adapters):
        teacher = ADAPTERS[name](teacher, action_space)
    check_spaces(teacher, observation_space, action_space)
    return teacher


def check_spaces(teacher: Teacher, observation_space: spaces.Dict, action_space: gymnasium.Space) -> None:
    """Raise ValueError, naming both sides, if a teacher cannot read or act in these spaces."""
    theirs, ours = describe_space(teacher.action_space), describe_space(action_space)
    if isinstance(action_space, Scaled) and theirs == {key: ours[key] for key in ours if key != "units"}:
        if not action_space.as_is:
            raise ValueError(
                f"teacher {teacher.ref} was saved by version 0.1 and acts in the units of the environments that it was trained in, "
                "the student in [-1, 1], which is scaled to the environment's bounds; train the teacher again"
            )
    elif theirs != ours:
        discrete = "discrete" in theirs and "discrete" in ours
        remedy = "; if the actions mean the same as far as both have them, give --teacher-adapters mask" if discrete else ""
        raise ValueError(f"teacher {teacher.ref} acts in {theirs}, the student in {ours}; they must share the action space{remedy}")
    for name, space in teacher.observation_space.items():
        theirs = describe_space(space)
        ours = describe_space(observation_space[name]) if name in observation_space.spaces else "no such observation"
        if isinstance(space, Shaped) and name in observation_space.spaces and space.shape == observation_space[name].shape:
            continue
        if theirs != ours:
            raise ValueError(
                f"teacher {teacher.ref} reads {name!r} as {theirs}, the student's environments have {ours}; "
                "choose a suite with the teacher's observations"
            )
