"""Adapters of discrete actions: an action map, written down or by number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import gymnasium
import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn import functional as F

from kickstarting.algo.distributions import IMPOSSIBLE
from kickstarting.ranges import shown
from kickstarting.teachers.protocol import Kind, Label, Teacher, across_episodes
from kickstarting.types import Inputs, State

ActionAdapter = Callable[[Teacher, gymnasium.Space], Teacher]
"""A teacher and the student's action space to a teacher that acts there. Raises ValueError, naming both sides, if it cannot."""


def mask() -> ActionAdapter:
    """Action n means the same on both sides, as far as both have it: the teacher gives those that it does not know no probability,
    and what it would do beyond the student's actions is left out."""

    def adapter(teacher: Teacher, action_space: gymnasium.Space) -> Teacher:
        ours, theirs = _counts("mask", teacher, action_space)
        return Mapped(teacher, [(i,) if i < theirs else () for i in range(ours)])

    return adapter


def actions(*meant: str) -> ActionAdapter:
    """For each of the student's actions, the number of the teacher's that it is: actions(0,2,1).

    `-` is one that the teacher does not have. What several of the teacher's do, as 1/3, has the sum of their probabilities; what
    is named twice is shared evenly.
    """
    read = [() if text == "-" else tuple(_number(text, part) for part in text.split("/")) for text in meant]

    def adapter(teacher: Teacher, action_space: gymnasium.Space) -> Teacher:
        _, theirs = _counts("actions", teacher, action_space)
        if not any(read) or any(j >= theirs for own in read for j in own):
            raise ValueError(
                f"adapter actions({','.join(meant)}) names actions that teacher {teacher.ref} does not have, or none; it has 0 to "
                f"{theirs - 1}"
            )
        return Mapped(teacher, read)

    return adapter


class Mapped:
    """A teacher of other discrete actions, of which each of the student's is some."""

    def __init__(self, teacher: Teacher, meant: Sequence[Sequence[int]]) -> None:
        """meant: for each of the student's actions, the teacher's."""
        self._inner, theirs = teacher, int(teacher.action_space.n)  # type: ignore[attr-defined]
        self.ref, self.device = teacher.ref, teacher.device
        self.across_episodes = across_episodes(teacher)
        self.observation_space = teacher.observation_space
        self.action_space: gymnasium.Space = spaces.Discrete(len(meant))
        shares = torch.zeros(theirs, len(meant))  # of each of the teacher's actions, how much each of the student's has
        for i, own in enumerate(meant):
            shares[list(own), i] = 1.0
        taken = shares.sum(1, keepdim=True)
        self._shares, self._has = shares / taken.clamp(min=1), taken[:, 0] > 0
        # Where actions only change places, logits do: no precision is lost, and none are normalised
        self._places = torch.tensor([own[0] if own else theirs for own in meant])
        self._only_moved = max(map(len, meant)) <= 1 and bool((taken <= 1).all())
        self._theirs = torch.tensor([own[0] if own else -1 for own in meant])
        self._ours = shares.argmax(1)

    def initial_state(self, batch: int) -> State:
        return self._inner.initial_state(batch)

    @torch.no_grad()
    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        last = inputs.last_actions
        told = torch.where(last >= 0, self._theirs.to(last)[last.clamp(min=0)], -1)
        label, state = self._inner.label(replace(inputs, last_actions=told), state)
        if label.kind == Kind.ACTIONS:
            chosen = label.policy.clamp(0, len(self._has) - 1)
            return _knowing(label._replace(policy=self._ours.to(chosen)[chosen]), self._has.to(chosen.device)[chosen]), state
        if label.kind == Kind.PARAMETERS and self._only_moved:
            logits = F.pad(label.policy, (0, 1), value=IMPOSSIBLE)[..., self._places.to(label.policy.device)]
            return label._replace(policy=logits), state
        logits = label.policy.log_softmax(-1) if label.kind == Kind.PARAMETERS else label.policy.log()
        return self._shared(label, logits), state

    def _shared(self, label: Label, log_probs: Tensor) -> Label:
        """With the probabilities of all that an action means together. Where what is left is nothing, there is no opinion."""
        probabilities = log_probs.exp() @ self._shares.to(log_probs)
        total = probabilities.sum(-1, keepdim=True)
        policy = probabilities / total.clamp(min=torch.finfo(total.dtype).tiny)
        if label.kind == Kind.PARAMETERS:
            policy = policy.log().clamp(min=IMPOSSIBLE)
        return _knowing(label._replace(policy=policy), total[..., 0] > 0)


def _knowing(label: Label, where: Tensor) -> Label:
    return label._replace(known=where if label.known is None else where & label.known)


def _counts(adapter: str, teacher: Teacher, action_space: gymnasium.Space) -> tuple[int, int]:
    """How many actions the student has, and the teacher."""
    ours, theirs = action_space, teacher.action_space
    if not isinstance(ours, spaces.Discrete) or not isinstance(theirs, spaces.Discrete):
        raise ValueError(
            f"adapter {adapter} needs discrete actions; teacher {teacher.ref} acts in {theirs}, the student in {ours}; leave it out"
        )
    return int(ours.n), int(theirs.n)


def _number(text: str, part: str) -> int:
    if not part.isdecimal():
        raise ValueError(f"adapter actions has {shown(text)}; each of the student's actions is a number, several as 1/3, or -")
    return int(part)
