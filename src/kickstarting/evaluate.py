"""Evaluation: a fixed number of whole episodes of every task with frozen weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from kickstarting.actor import Actor, Episode
from kickstarting.config import Config
from kickstarting.envs import MultiTaskEnv
from kickstarting.networks import Network
from kickstarting.suites import Suite, load_suite
from kickstarting.teachers import Teachers, build_teachers, check_spaces, load_policy
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
    device = next(network.parameters()).device.type if isinstance(network, torch.nn.Module) else "cpu"
    actor = Actor(env, network, UNROLL_LENGTH, seed=seed, greedy=greedy, device=device)
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
    if teachers.teachers and unknown:
        size = teachers.teachers[0].policy.distribution.size
        by_chance = evaluate(_Uniform(size), replace(suite, tasks=unknown), num_actions=size, **options)
        random = {r.task: (r.score, r.score_error) for r in by_chance}
    for teacher in teachers.teachers:
        tasks = np.unique(task_of_column[teacher.columns.numpy()])
        taught = replace(suite, tasks=tuple(suite.tasks[i] for i in tasks))
        results = evaluate(teacher.network, taught, num_actions=teacher.policy.distribution.size, **options)
        chance = {r.task: random.get(r.task, (LEAST_TEACHER_SCORE, 0.0)) for r in results}
        scores[teacher.name] = {
            "score": float(np.mean([r.score for r in results])),
            "tasks": {r.task: r.score for r in results},
            "errors": {r.task: r.score_error for r in results},
            "no_better_than_random": [
                r.task for r in results if not r.score - chance[r.task][0] > np.hypot(r.score_error, chance[r.task][1])
            ],
            "episodes": TEACHER_EPISODES,
        }
    return scores


def teachers_alone(config: Config) -> dict[str, dict[str, Any]]:
    """The scores of a configuration's teachers, as `measure_teachers` gives them: what a run keeps and hands to `train`.

    Raises ValueError if there is no such suite, or a teacher does not fit it.
    """
    suite = load_suite(config.suite)
    env = MultiTaskEnv(suite.tasks, config.envs_per_task, seed=0)  # for its spaces, and who teaches which column
    env.close()
    teachers = build_teachers(config.teachers, [task.name for task in suite.tasks], env)
    return measure_teachers(teachers, suite, env.task_of_column, config.seed)


def evaluate_ref(ref: str, suite_name: str, **options) -> list[TaskResult]:
    """Evaluate a run directory, zoo:NAME, or `random` on a suite by name; options as for `evaluate`.

    Raises ValueError if the policy reads or acts in other spaces than the suite has.
    """
    suite = load_suite(suite_name)
    env = MultiTaskEnv(suite.tasks, 1, seed=0)
    env.close()
    if ref == "random":
        return evaluate(_Uniform(env.distribution.size), suite, **options)
    policy = load_policy(ref)
    check_spaces(policy, env)
    return evaluate(policy.network, suite, **options)


class _Uniform:
    """The uniformly random policy, as a network."""

    def __init__(self, size: int) -> None:
        self.size = size

    def initial_state(self, batch: int) -> tuple[()]:
        return ()

    def __call__(self, inputs: Inputs, state: tuple) -> tuple[Output, tuple]:
        shape = inputs.is_first.shape
        return Output(torch.zeros(*shape, self.size), torch.zeros(shape)), state
