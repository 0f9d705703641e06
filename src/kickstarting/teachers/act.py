"""Teachers that act: in a share of the episodes a teacher chooses the actions in the student's place.

The actor then records the teacher's probabilities as those of the behaviour, so V-trace corrects for them as for any other
policy mu that is not the student's (DAgger, Ross et al. 2011, where the student is only distilled).
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from kickstarting.algo.schedules import Schedule
from kickstarting.envs import MultiTaskEnv
from kickstarting.machine import run_network
from kickstarting.teachers.label import Teachers
from kickstarting.teachers.network import AsNetwork
from kickstarting.types import Inputs

STUDENT = -1


class ActingTeachers:
    """Who acts in which column, drawn at the first observation of every episode: a teacher with the scheduled probability,
    uniformly one of those that teach the column, else the student.

    The first column of every task is always left to the student, and so are columns without a teacher. Episodes of teachers
    do not count in the student's score, which is therefore known even at probability 1.

    frames: where the run stands; frames_per_step: what one step of one column adds, on average over the tasks. Counted here,
    so that an actor that works ahead of the learner sees the same schedule. Same seed and episodes, same draws.
    """

    def __init__(
        self, teachers: Teachers, env: MultiTaskEnv, probability: Schedule, *, frames: int, frames_per_step: float, seed: int
    ) -> None:
        self._acting = np.full(env.num_envs, STUDENT)  # [B] index of the teacher that acts, or STUDENT
        self._probability = probability
        self._frames, self._frames_per_step = float(frames), frames_per_step
        self._generator = np.random.default_rng(seed)
        # Copies, with states of their own: another thread may be labelling, and a network may cache
        copies = [copy.deepcopy(assignment.teacher) for assignment in teachers.assignments]
        self._networks = [AsNetwork(teacher, teachers.distribution, teachers.action_space) for teacher in copies]
        self._states = [tuple(x.clone() for x in network.initial_state(env.num_envs)) for network in self._networks]
        left_to_student = set(np.unique(env.task_of_column, return_index=True)[1].tolist())
        self._candidates: list[list[int]] = [[] for _ in range(env.num_envs)]
        for i, assignment in enumerate(teachers.assignments):
            for column in set(assignment.columns.tolist()) - left_to_student:
                self._candidates[column].append(i)
        self._acted, self._steps = 0, 0

    def __call__(self, logits: Tensor, inputs: Inputs, columns: slice) -> Tensor:
        """The student's logits [b, A] with those of the teachers in the rows where one acts.

        inputs: [1, b], of these columns; each teacher's recurrent state follows the episodes that it acts in.
        """
        for column in np.flatnonzero(inputs.is_first[0].cpu().numpy()) + columns.start:
            self._acting[column] = self._draw(column)
        acting = self._acting[columns]
        for i in np.unique(acting[acting != STUDENT]):
            rows = torch.from_numpy(np.flatnonzero(acting == i)).to(logits.device)
            state = tuple(x[columns][rows] for x in self._states[i])
            output, state = run_network(self._networks[i], inputs[:, rows], state)
            for x, after in zip(self._states[i], state, strict=True):
                x[columns][rows] = after
            logits = logits.index_copy(0, rows, output.logits[0])
        self._frames += len(acting) * self._frames_per_step
        self._acted += int((acting != STUDENT).sum())
        self._steps += len(acting)
        return logits

    def acts(self, column: int) -> bool:
        """Whether a teacher acts in the column's episode, not the student."""
        return bool(self._acting[column] != STUDENT)

    def metrics(self) -> dict[str, float | None]:
        """The share of the steps since the last call in which a teacher acted."""
        share = self._acted / max(1, self._steps)
        self._acted = self._steps = 0
        return {"teacher_acts": share}

    def _draw(self, column: int) -> int:
        candidates = self._candidates[column]
        if not candidates or self._generator.random() >= self._probability.at(int(self._frames)):
            return STUDENT
        return candidates[self._generator.integers(len(candidates))]
