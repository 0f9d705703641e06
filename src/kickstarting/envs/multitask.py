"""The tasks of a suite as one vector environment: all are stepped at once, each column belongs to one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from kickstarting.envs.gym import GymnasiumEnv
from kickstarting.envs.pool import EnvPoolEnv
from kickstarting.envs.protocol import TimeStep, VectorEnv
from kickstarting.spaces import action_mask, join_actions, join_observations, make_distribution, task_of_column

GYMNASIUM_MODES = {"gymnasium": "sync", "gymnasium-async": "async", "gymnasium-vector": "vector_entry_point"}
"""`gymnasium.make_vec`'s vectorization_mode by name of the backend."""


@runtime_checkable
class TaskSpec(Protocol):
    """What it takes to make the environments of a task (`suites.Task` has it)."""

    @property
    def name(self) -> str: ...
    @property
    def env_id(self) -> str: ...
    @property
    def backend(self) -> str: ...
    @property
    def metric(self) -> str: ...
    @property
    def options(self) -> Mapping[str, Any]: ...


def make_task_env(task: TaskSpec, num_envs: int, *, seed: int, num_threads: int = 1) -> VectorEnv:
    """The environments of one task. Raises ValueError if the backend or the environment is unknown."""
    success_ends = task.metric == "success"
    if task.backend == "envpool":
        return EnvPoolEnv(
            task.env_id, num_envs, seed=seed, num_threads=num_threads, success_ends=success_ends, options=task.options
        )
    if task.backend not in GYMNASIUM_MODES:
        raise ValueError(f"task {task.name!r} has backend {task.backend!r}; known: envpool, {', '.join(GYMNASIUM_MODES)}")
    return GymnasiumEnv(
        task.env_id, num_envs, seed=seed, mode=GYMNASIUM_MODES[task.backend], success_ends=success_ends, options=task.options
    )


class MultiTaskEnv:
    """All tasks side by side. `send` reaches every pool before the first `recv`, so that they step concurrently.

    Tasks may have fewer actions than the largest; `action_mask` [B, A] says which exist, None if all do everywhere.
    num_actions: at least so many in the joint space, as in the suite of which these tasks are a part; discrete actions only.
    `groups` of columns, each with its share of every task, can be stepped one beside the other by `send` and `recv`.
    """

    def __init__(
        self,
        tasks: Sequence[TaskSpec],
        envs_per_task: int,
        *,
        seed: int,
        num_threads: int = 1,
        groups: int = 1,
        num_actions: int = 0,
    ):
        self.task_of_column = task_of_column(len(tasks), envs_per_task, groups)
        each = envs_per_task // groups
        pools = [task for _ in range(groups) for task in tasks]
        seeds = np.random.SeedSequence(seed).generate_state(len(pools)) % 2**30
        self.parts = [make_task_env(task, each, seed=int(s), num_threads=num_threads) for task, s in zip(pools, seeds, strict=True)]
        self.num_envs = envs_per_task * len(tasks)
        self.groups = [slice(g * each * len(tasks), (g + 1) * each * len(tasks)) for g in range(groups)]
        self._tasks, self._each = len(tasks), each
        names, first = [task.name for task in tasks], self.parts[: len(tasks)]
        self.observation_space = join_observations(names, [part.observation_space for part in first])
        self.action_space, counts = join_actions(names, [part.action_space for part in first], num_actions)
        self.action_mask = action_mask(counts, self.action_space, self.task_of_column)
        self.distribution = make_distribution(self.action_space)

    def reset(self) -> TimeStep:
        return _concatenate([part.reset() for part in self.parts])

    def step(self, actions: np.ndarray) -> TimeStep:
        """Of all groups together."""
        for group, columns in enumerate(self.groups):
            self.send(actions[columns], group)
        return _concatenate([self.recv(group) for group in range(len(self.groups))])

    def send(self, actions: np.ndarray, group: int) -> None:
        """Let a group of columns step; returns at once."""
        for i, part in enumerate(self._parts_of(group)):
            part.send(actions[i * self._each : (i + 1) * self._each])

    def recv(self, group: int) -> TimeStep:
        """What the last `send` to a group came to."""
        return _concatenate([part.recv() for part in self._parts_of(group)])

    def _parts_of(self, group: int) -> list[VectorEnv]:
        return self.parts[group * self._tasks : (group + 1) * self._tasks]

    def close(self) -> None:
        for part in self.parts:
            part.close()


def _concatenate(steps: list[TimeStep]) -> TimeStep:
    if len(steps) == 1:
        return steps[0]
    observations = {k: np.concatenate([s.observations[k] for s in steps]) for k in steps[0].observations}
    return TimeStep(observations, *(np.concatenate(field) for field in list(zip(*steps, strict=True))[1:]))
