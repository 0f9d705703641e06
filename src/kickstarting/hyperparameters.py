"""What the schedules say at a moment of the run: learning rate, entropy cost, and lambda of every teacher and task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kickstarting.algo.schedules import Evidence, Progress, Schedule
from kickstarting.config import Config
from kickstarting.learner import Hyperparameters
from kickstarting.learning import SCHEDULED
from kickstarting.suites import Suite
from kickstarting.teachers import Teachers
from kickstarting.teachers.checked import LEAST_SCORE


@dataclass(frozen=True)
class Scheduled:
    """All that changes while training, as schedules."""

    alphas: tuple[Schedule, ...]
    """Of each teacher."""
    shares: tuple[float, ...]
    """rho of each teacher."""
    hyperparameters: Mapping[str, Schedule]
    """By the names of the learner's `Hyperparameters`."""

    @staticmethod
    def of(config: Config) -> Scheduled:
        """What a configuration says. Raises ValueError as `Config.parsed` and `TeachingConfig.schedules` do."""
        teaching = config.teaching
        shares = teaching.teacher_shares or (1.0,) * len(teaching.teachers)
        alphas = tuple(teaching.schedules(config.total_frames))
        return Scheduled(alphas, shares, {name: config.parsed(name) for name in SCHEDULED})


class HyperparameterSchedules:
    """lambda_i = alpha * rho_i (Schmitt et al. 2018, section 4.2), alpha by schedule.

    Two kinds set alpha for each task, by scores. Under `progress` it falls to 0 as the student's score, normalised by random
    and reference, goes from random to the teacher's. Under `evidence` it falls while the student is as good as the teacher.
    Under both, a teacher that is no better than random on a task is not heard there.

    teacher_scores: as `measure_teachers` gives them, by name; needed by these two kinds only.
    """

    def __init__(
        self,
        scheduled: Scheduled,
        teachers: Teachers,
        suite: Suite,
        task_of_column: np.ndarray,
        teacher_scores: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._scheduled = scheduled
        self._teachers = teachers
        self._task_of_column = task_of_column
        self._held = np.zeros((len(teachers.assignments), len(suite.tasks)))  # frames in which the student was as good
        self._frames = 0
        self._goals: list[np.ndarray] = []  # each teacher's scores, [tasks]
        self._able: list[np.ndarray] = []  # where it is better than random
        following = [part for alpha in scheduled.alphas for part in alpha.parts if part.uses_progress]
        progress = next((part for part in following if isinstance(part, Progress)), None)
        if progress and any(task.random is None or task.reference is None for task in suite.tasks):
            raise ValueError(f"schedule {progress.spec!r} needs a random and a reference score of every task of {suite.name}")
        for teacher in teachers.assignments if following else ():
            measured, names = (teacher_scores or {})[teacher.name], [task.name for task in suite.tasks]
            goals = np.array([measured["tasks"].get(name, 0.0) for name in names])
            useless = measured.get("no_better_than_random", [n for n, x in zip(names, goals, strict=True) if x <= LEAST_SCORE])
            self._goals.append(goals)
            self._able.append(np.array([name not in useless for name in names]))

    def at(self, frames: int, scores: np.ndarray) -> tuple[Hyperparameters, list[np.ndarray]]:
        """Hyperparameters, and lambda [B] of each teacher. scores: the student's on each task, [tasks], NaN where unknown."""
        lambdas = []
        for i, (share, schedule) in enumerate(zip(self._scheduled.shares, self._scheduled.alphas, strict=True)):
            alpha = schedule.at(frames, self._progress(i, schedule.now(frames), frames, scores))
            lambdas.append(share * np.broadcast_to(alpha, scores.shape)[self._task_of_column])
        self._frames = frames
        values = {name: float(schedule.at(frames)) for name, schedule in self._scheduled.hyperparameters.items()}
        return Hyperparameters(**values), lambdas

    def _progress(self, i: int, schedule: Schedule, frames: int, scores: np.ndarray) -> np.ndarray | float:
        """How far the student has come towards teacher i, or away from it, on each task; 1 where the teacher is no good."""
        if not isinstance(schedule, Progress | Evidence):
            return 0.0
        goals = self._goals[i]
        if isinstance(schedule, Progress):
            progress = np.nan_to_num(scores, nan=0.0) / np.maximum(goals, LEAST_SCORE)
        else:
            self._held[i] += (frames - self._frames) * (scores >= goals)  # False where NaN
            progress = self._held[i] / schedule.release
        return np.where(self._able[i], progress, 1.0)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"held": self._held.tolist(), "frames": self._frames}

    def load(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self._held, self._frames = np.array(state["held"]).reshape(self._held.shape), state["frames"]

    def metrics(self, hyperparameters: Hyperparameters, lambdas: list[np.ndarray]) -> dict[str, float | None]:
        """Learning rate and costs, and each teacher's mean lambda over the columns that it teaches."""
        result: dict[str, float | None] = asdict(hyperparameters)
        for teacher, weight in zip(self._teachers.assignments, lambdas, strict=True):
            result[f"lambda/{teacher.name}"] = float(weight[teacher.columns.numpy()].mean())
        return result
