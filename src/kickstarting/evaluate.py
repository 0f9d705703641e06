"""Evaluation: a fixed number of whole episodes of every task with frozen weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from kickstarting.actor import Actor, Episode
from kickstarting.envs import MultiTaskEnv, describe
from kickstarting.networks import Network
from kickstarting.suites import Suite, load_suite
from kickstarting.teachers import AsNetwork, Teachers, adapt, load_teacher
from kickstarting.types import Inputs, Output

UNROLL_LENGTH = 16


@dataclass(frozen=True)
class TaskResult:
    """Mean over the episodes of one task."""

    task: str
    episodes: int
    mean_return: float
    success: float
    score: float
    score_error: float
    """Its standard error."""
    length: float


def evaluate(
    network: Network,
    suite: Suite,
    *,
    episodes: int,
    seed: int,
    greedy: bool = False,
    envs_per_task: int = 16,
    num_actions: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[TaskResult]:
    """Run `episodes` episodes of each task (rounded up to a multiple of the environments) and average.

    Every environment contributes the same number of episodes, its first ones, so that short episodes do not count more.
    num_actions: of the network, where the suite is a part of a larger one. progress: called with episodes done and wanted.
    """
    envs_per_task = min(envs_per_task, episodes)
    each = -(-episodes // envs_per_task)
    env = MultiTaskEnv(suite.tasks, envs_per_task, seed=seed, num_actions=num_actions)
    actor = Actor(env, network, UNROLL_LENGTH, seed=seed, greedy=greedy, device=_device_of(network))
    kept: list[list[Episode]] = [[] for _ in range(env.num_envs)]
    try:
        while any(len(episodes_of) < each for episodes_of in kept):
            actor.unroll()
            for episode in actor.drain_episodes():
                kept[episode.column] = [*kept[episode.column], episode][:each]
            if progress:
                progress(sum(map(len, kept)), each * env.num_envs)
    finally:
        env.close()
    results = []
    for i, task in enumerate(suite.tasks):
        ended = [episode for column in np.flatnonzero(env.task_of_column == i) for episode in kept[column]]
        mean_return, success, length = np.mean([(e.episode_return, e.success, e.length) for e in ended], axis=0)
        metrics = [task.metric_of(e.episode_return, e.success) for e in ended]
        score, error = task.score(float(np.mean(metrics))), task.score_error(metrics)
        results.append(TaskResult(task.name, len(ended), float(mean_return), float(success), score, error, float(length)))
    return results


TEACHER_EPISODES = 64
LEAST_TEACHER_SCORE = 1.0
"""What a teacher must reach (of 100) above random on a task, besides its standard error, to be better than it."""


def measure_teachers(teachers: Teachers, suite: Suite, task_of_column: np.ndarray, seed: int) -> dict[str, dict[str, Any]]:
    """Each teacher on the tasks that it teaches, in sampled episodes.

    By its name: the mean `score`, `tasks` (scores) and `errors` (their standard errors) by task, and `no_better_than_random`,
    the tasks on which it is not above the random policy by more than the standard error. Where the suite does not say what
    a random policy reaches, it is measured, too.
    """
    scores, random = {}, {}
    options: dict[str, Any] = {"episodes": TEACHER_EPISODES, "seed": seed}
    unknown = tuple(task for task in suite.tasks if task.random is None)
    size = teachers.distribution.size
    if teachers.assignments and unknown:
        by_chance = evaluate(_Uniform(size), replace(suite, tasks=unknown), num_actions=size, **options)
        random = {r.task: (r.score, r.score_error) for r in by_chance}
    for assignment in teachers.assignments:
        tasks = np.unique(task_of_column[assignment.columns.numpy()])
        taught = replace(suite, tasks=tuple(suite.tasks[i] for i in tasks))
        network = AsNetwork(assignment.teacher, teachers.distribution, teachers.action_space)
        results = evaluate(network, taught, num_actions=size, **options)
        chance = {r.task: random.get(r.task, (LEAST_TEACHER_SCORE, 0.0)) for r in results}
        scores[assignment.name] = {
            "score": float(np.mean([r.score for r in results])),
            "tasks": {r.task: r.score for r in results},
            "errors": {r.task: r.score_error for r in results},
            "no_better_than_random": [
                r.task for r in results if not r.score - chance[r.task][0] > np.hypot(r.score_error, chance[r.task][1])
            ],
            "episodes": TEACHER_EPISODES,
        }
    return scores


def evaluate_ref(ref: str, suite_name: str, **options) -> list[TaskResult]:
    """Evaluate a run directory, zoo:NAME, or `random` on a suite by name; options as for `evaluate`.

    Raises ValueError if the policy reads or acts in other spaces than the suite has.
    """
    suite = load_suite(suite_name)
    spaces = describe(suite.tasks)
    if ref == "random":
        return evaluate(_Uniform(spaces.distribution.size), suite, **options)
    teacher = adapt(load_teacher(ref), (), spaces.observation_space, spaces.action_space)
    return evaluate(AsNetwork(teacher, spaces.distribution, spaces.action_space), suite, **options)


def _device_of(network: Any) -> str:
    if isinstance(network, torch.nn.Module):
        return next(network.parameters()).device.type
    return getattr(network, "device", "cpu")


class _Uniform:
    """The uniformly random policy, as a network."""

    def __init__(self, size: int) -> None:
        self.size = size

    def initial_state(self, batch: int) -> tuple[()]:
        return ()

    def __call__(self, inputs: Inputs, state: tuple) -> tuple[Output, tuple]:
        shape = inputs.is_first.shape
        return Output(torch.zeros(*shape, self.size), torch.zeros(shape)), state
