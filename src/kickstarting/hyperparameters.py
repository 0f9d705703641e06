"""What the schedules say at a moment of the run: learning rate, entropy cost, and lambda of every teacher and task."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from kickstarting.config import SCHEDULED, Config
from kickstarting.evaluate import evaluate
from kickstarting.learner import Hyperparameters
from kickstarting.suites import Suite
from kickstarting.teachers import Teachers

LEAST_TEACHER_SCORE = 1.0
"""A teacher that scores no more than this (of 100) above random has nothing to say under a progress schedule."""


class HyperparameterSchedules:
    """lambda_i = alpha * rho_i (Schmitt et al. 2018, section 4.2), alpha by schedule.

    Under `progress`, alpha is set for each task: it falls to 0 as the student's score goes from random to the teacher's.
    Scores are normalised by random and reference, so negative and sparse returns do not matter. A teacher whose own score
    is not known is measured first, on 32 episodes of each task.
    """

    def __init__(self, config: Config, teachers: Teachers, suite: Suite, task_of_column: np.ndarray) -> None:
        self._scheduled = {name: config.parsed(name) for name in SCHEDULED}
        self._alphas = config.teacher_schedules()
        self._teachers = teachers
        self._shares = config.teacher_shares or (1.0,) * len(teachers.teachers)
        self._task_of_column = task_of_column
        self._teacher_scores: list[np.ndarray] = []
        for teacher in teachers.teachers if any(alpha.uses_progress for alpha in self._alphas) else ():
            policy = teacher.policy
            if any(task.reference is None for task in suite.tasks):
                raise ValueError(f"schedule {config.schedule!r} needs a random and a reference score of every task of {suite.name}")
            known = policy.task_scores
            if any(task.name not in known for task in suite.tasks):
                results = evaluate(policy.network, suite, episodes=32, seed=config.seed)
                known = {result.task: result.score for result in results}
            self._teacher_scores.append(np.array([known[task.name] for task in suite.tasks]))

    def at(self, frames: int, task_scores: np.ndarray) -> tuple[Hyperparameters, list[np.ndarray]]:
        """Hyperparameters, and lambda [B] of each teacher. task_scores: the student's, [tasks], NaN where unknown."""
        lambdas = []
        for i, (share, schedule) in enumerate(zip(self._shares, self._alphas, strict=True)):
            if schedule.uses_progress:
                goal = self._teacher_scores[i]
                progress = np.nan_to_num(task_scores, nan=0.0) / np.maximum(goal, LEAST_TEACHER_SCORE)
                progress = np.where(goal > LEAST_TEACHER_SCORE, progress, 1.0)
                alpha = schedule.at(frames, progress)
            else:
                alpha = np.full(len(task_scores), schedule.at(frames))
            lambdas.append(share * np.asarray(alpha)[self._task_of_column])
        return Hyperparameters(**{name: float(schedule.at(frames)) for name, schedule in self._scheduled.items()}), lambdas

    def metrics(self, hyperparameters: Hyperparameters, lambdas: list[np.ndarray]) -> dict[str, float | None]:
        """Learning rate and costs, and each teacher's mean lambda over the columns that it teaches."""
        result: dict[str, float | None] = asdict(hyperparameters)
        for teacher, weight in zip(self._teachers.teachers, lambdas, strict=True):
            result[f"lambda/{teacher.name}"] = float(weight[teacher.columns].mean())
        return result
