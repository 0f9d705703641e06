"""Which teachers are asked together, since one call for many columns is faster than many calls for few."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from kickstarting.teachers.protocol import Label, Teacher
from kickstarting.types import Inputs, State


@runtime_checkable
class Batchable(Teacher, Protocol):
    """A teacher that can be asked together with others of its kind."""

    batch_key: Hashable | None
    """Teachers whose keys are equal, and not None, fit together."""
    most_together: int
    """More of them are slower than two batches."""

    def together(self, others: Sequence[Batchable]) -> Teacher:
        """This one and others as one teacher, whose columns are theirs side by side, as many for each."""
        ...


class Assignment:
    """A teacher and the columns that it teaches."""

    def __init__(self, teacher: Teacher, columns: Tensor, name: str = "") -> None:
        self.teacher = teacher
        self.name = name or teacher.ref
        self.columns = columns
        """[b] int64, of the B columns of the environments."""
        self.slots = torch.zeros_like(columns)
        """[b] which of its columns' labels it gives: 0, or behind those of the teachers before it."""
        self._state: State | None = None

    @property
    def state(self) -> State:
        """The recurrent state that the last unroll left."""
        return self.teacher.initial_state(len(self.columns)) if self._state is None else self._state

    @state.setter
    def state(self, state: State) -> None:
        self._state = state

    @property
    def follows(self) -> bool:
        """Whether it has a state that an unroll left."""
        return self._state is not None

    def forget(self) -> None:
        """Drop the recurrent state: the columns start anew, or were not followed for a while."""
        self._state = None


class Batch:
    """Assignments that are asked in one call: of one teacher, or of teachers that fit together."""

    def __init__(self, assignments: Sequence[Assignment]) -> None:
        self.assignments = assignments
        self._asked: Sequence[Assignment] = []

    @torch.no_grad()
    def label(self, active: Sequence[Assignment], inputs: Inputs) -> Label:
        """What those of its assignments that are active say of their columns, side by side. inputs: [T, B], of all columns."""
        if active != self._asked:
            self._asked, teachers = active, [assignment.teacher for assignment in active]
            self._teacher, self._columns = teachers[0], torch.cat([assignment.columns for assignment in active])
            if isinstance(self._teacher, Batchable) and any(teacher is not self._teacher for teacher in teachers):
                self._teacher = self._teacher.together(teachers[1:])  # type: ignore[arg-type]  # their keys are equal
        if len(self._columns) < inputs.is_first.shape[1] or len(active) > 1:
            inputs = inputs[:, self._columns]
        state = tuple(torch.cat(parts) for parts in zip(*(assignment.state for assignment in active), strict=True))
        label, state = self._teacher.label(inputs, state)
        widths = [len(assignment.columns) for assignment in active]
        split = list(zip(*(x.split(widths) for x in state), strict=True)) or [()] * len(active)
        for assignment, own in zip(active, split, strict=True):
            assignment.state = tuple(own)
        return label


def make_batches(assignments: Sequence[Assignment]) -> list[Batch]:
    """The batches that are fastest: one for each teacher of several patterns; of teachers that fit together and have equally
    many columns, as many as are fast; the others one by one."""
    teachers = [assignment.teacher for assignment in assignments]
    groups: list[list[Assignment]] = []
    for assignment in assignments:
        alone = sum(teacher is assignment.teacher for teacher in teachers) == 1
        for group in groups:
            same = group[0].teacher is assignment.teacher
            if same or (alone and _fits(group, assignment)):
                group.append(assignment)
                break
        else:
            groups.append([assignment])
    return [Batch(group) for group in groups]


def _fits(group: Sequence[Assignment], other: Assignment) -> bool:
    first, teacher = group[0], other.teacher
    if not isinstance(first.teacher, Batchable) or not isinstance(teacher, Batchable) or teacher.batch_key is None:
        return False
    several_patterns = len(group) > 1 and group[1].teacher is first.teacher
    return (
        first.teacher.batch_key == teacher.batch_key
        and len(first.columns) == len(other.columns)
        and len(group) < teacher.most_together
        and not several_patterns
    )
