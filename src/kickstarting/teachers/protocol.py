"""What a teacher is: whatever can label an unroll."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable

import gymnasium
import torch
from torch import Tensor

from kickstarting.faults import Fault
from kickstarting.types import Inputs, State


class Kind(StrEnum):
    """What a label says of a policy."""

    PARAMETERS = "parameters"
    """[T, B, A] of the student's distribution: logits, or means and log standard deviations."""
    PROBABILITIES = "probabilities"
    """[T, B, A] of discrete actions."""
    ACTIONS = "actions"
    """[T, B], or [T, B, D] for actions with D components: what the teacher would do, without how sure it is."""


class Label(NamedTuple):
    """What a teacher says about each of its inputs."""

    policy: Tensor
    kind: Kind = Kind.PARAMETERS
    values: Tensor | None = None
    """[T, B] V(x_t) in units of discounted reward; None if the teacher has no critic."""
    known: Tensor | None = None
    """[T, B] bool: where it has an opinion; None if everywhere. What it says elsewhere is not read."""

    def to(self, device: torch.device) -> Label:
        """On another device."""
        values, known = (x if x is None else x.to(device) for x in (self.values, self.known))
        return Label(self.policy.to(device), self.kind, values, known)


@runtime_checkable
class Teacher(Protocol):
    """A policy that says what it would have done. It is frozen, and nobody outside `teachers/` asks what it is made of."""

    ref: str
    """What a user wrote to name it."""
    observation_space: gymnasium.spaces.Dict
    """What it reads, of everything that the environments give."""
    action_space: gymnasium.Space
    device: str

    def initial_state(self, batch: int) -> State:
        """Recurrent state of `batch` columns at the start; empty if it has no memory."""
        ...

    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        """Of [T, B] inputs, and the state behind them. It resets its state before every input that has `is_first`, unless it
        remembers `across_episodes`."""
        ...


def across_episodes(teacher: Teacher) -> bool:
    """Whether a teacher's state goes on where an episode begins, as that of a model which learns in its context. It says so by an
    attribute of this name; all others reset their state there."""
    return getattr(teacher, "across_episodes", False)


class TeacherFault(Fault):
    """A teacher did what it must not do while it taught: it raised, did not answer, or said what nobody can learn from."""

    def __init__(self, what: str, remedy: str = "", *, ref: str = "") -> None:
        super().__init__(what, remedy)
        self.ref = ref

    @property
    def whose(self) -> str:
        return f"teacher{' ' * bool(self.ref)}{self.ref}"
