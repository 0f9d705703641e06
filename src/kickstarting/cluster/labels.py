"""Labels for batches whose columns are not always the same actors': every actor's teachers remember what they saw of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from kickstarting.cluster.slots import Slots, waves
from kickstarting.teachers import Teachers
from kickstarting.teachers.batching import Assignment
from kickstarting.types import Labels, State, Trajectory


class LabelsByActor:
    """Teachers of one actor's columns, for batches in which several actors stand side by side, some of them more than once.

    All columns are asked at once as far as possible: an actor's second unroll in a batch needs what its first one left. Where
    teachers with a memory have missed something of an episode, their labels have no weight until the next one begins.
    """

    def __init__(self, teachers: Teachers, slots: Slots) -> None:
        self._one = self._asked = teachers
        self._slots = slots
        self._wide = {1: teachers}
        self._states: dict[int, list[State | None]] = {}  # by actor, of each teacher
        self._follow: dict[int, Tensor] = {}  # by actor, bool [b]: columns whose episode was seen from its beginning
        self._remember = any(assignment.teacher.initial_state(1) for assignment in teachers.assignments)

    def forget(self) -> None:
        self._states.clear()
        self._follow.clear()

    def missed(self, actors: Iterable[int]) -> None:
        """Unrolls of these were never seen."""
        for actor in actors:
            self._states.pop(actor, None)
            self._follow.pop(actor, None)

    def label(self, trajectory: Trajectory, lambdas: Sequence[np.ndarray]) -> Trajectory:
        """As `Teachers.label`, with the columns in the learner's order; lambdas are those of one actor's columns, which are alike
        in all."""
        slots = self._slots
        self.missed(slots.gaps)
        slots.gaps.clear()
        labels = self.labels(slots.sources, trajectory, lambdas)
        return slots.by_task(replace(trajectory, labels=labels) if labels else trajectory)

    def labels(self, sources: Sequence[int], trajectory: Trajectory, lambdas: Sequence[np.ndarray]) -> Labels | None:
        """Of the unrolls of some actors, side by side; None if no teacher has weight."""
        found: dict[int, Labels] = {}
        for wave in waves(sources):
            part = trajectory if len(wave) == len(sources) else self._slots.some(trajectory, wave)
            actors = [sources[slot] for slot in wave]
            labels = self._ask(actors, part, lambdas).labels
            heard = self._heard(actors, part) if self._remember else None
            if labels is None:
                continue
            if heard is not None:
                values = None if labels.value_weights is None else labels.value_weights * heard
                labels = replace(labels, weights=labels.weights * heard, value_weights=values)
            found |= {slot: labels.columns(self._slots.columns(place)) for place, slot in enumerate(wave)}
        return Labels.side_by_side([found[slot] for slot in range(len(sources))]) if found else None

    def metrics(self) -> dict[str, float | None]:
        return self._asked.metrics()

    def _ask(self, actors: Sequence[int], trajectory: Trajectory, lambdas: Sequence[np.ndarray]) -> Trajectory:
        """Of actors that stand in the trajectory once each."""
        if len(actors) not in self._wide:
            self._wide[len(actors)] = widened(self._one, len(actors))
        self._asked = self._wide[len(actors)]
        for i, assignment in enumerate(self._asked.assignments):
            known = [self._states[actor][i] if actor in self._states else None for actor in actors]
            if any(state is not None for state in known):
                fresh = assignment.teacher.initial_state(len(assignment.columns) // len(actors))
                parts = [fresh if state is None else state for state in known]
                assignment.state = tuple(torch.cat(own) for own in zip(*parts, strict=True))
            else:
                assignment.forget()
        labelled = self._asked.label(trajectory, [np.tile(own, len(actors)) for own in lambdas])
        for i, assignment in enumerate(self._asked.assignments):
            self._keep(i, actors, assignment)
        return labelled

    def _keep(self, i: int, actors: Sequence[int], assignment: Assignment) -> None:
        """What a teacher remembers now of each actor; of all of them nothing, once it is not asked any more."""
        split = [x.chunk(len(actors)) for x in assignment.state] if assignment.follows else []
        for place, actor in enumerate(actors):
            states = self._states.setdefault(actor, [None] * len(self._one.assignments))
            states[i] = tuple(parts[place] for parts in split) if assignment.follows else None
        if not assignment.follows:
            for states in self._states.values():
                states[i] = None

    def _heard(self, actors: Sequence[int], trajectory: Trajectory) -> Tensor | None:
        """Where an episode was seen from its beginning, bool [T, B]; None if everywhere."""
        begun = trajectory.inputs.is_first[:-1]
        nothing = torch.zeros(self._slots.width, dtype=torch.bool, device=begun.device)
        before = torch.cat([self._follow.get(actor, nothing) for actor in actors])
        heard = before | (begun.cumsum(0) > 0)
        for place, actor in enumerate(actors):
            self._follow[actor] = heard[-1, self._slots.columns(place)]
        return None if bool(heard.all()) else heard


def widened(teachers: Teachers, actors: int) -> Teachers:
    """The same teachers for the columns of so many actors side by side."""
    width = teachers.num_envs
    assignments = [
        Assignment(one.teacher, torch.cat([one.columns + place * width for place in range(actors)]), one.name)
        for one in teachers.assignments
    ]
    return Teachers(assignments, width * actors, teachers.distribution, teachers.action_space)
