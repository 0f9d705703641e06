"""The tasks of a suite as one vector environment: all are stepped at once, each column belongs to one task."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from kickstarting.algo.distributions import Distribution
from kickstarting.envs.backends import TaskSpec, make_task_env
from kickstarting.envs.protocol import TimeStep, VectorEnv
from kickstarting.spaces import action_mask, join_actions, join_observations, make_distribution, task_of_column


@dataclass(frozen=True)
class TaskSpaces:
    """What the tasks of a suite observe and do: all that a policy is made for."""

    observation_space: spaces.Dict
    """Of every task."""
    action_space: gymnasium.Space
    """In which one policy acts for all tasks."""
    num_actions: tuple[int, ...] | None
    """How many of the policy's discrete actions each task has; None for other actions."""
    num_tasks: int

    @property
    def distribution(self) -> Distribution:
        """The policy's. Raises ValueError for action spaces that have none."""
        return make_distribution(self.action_space)

    def task_of_column(self, envs_per_task: int, groups: int = 1) -> np.ndarray:
        """As `MultiTaskEnv.task_of_column`, int [B]. Raises ValueError if the environments cannot be split into equal groups."""
        return task_of_column(self.num_tasks, envs_per_task, groups)

    def action_mask(self, envs_per_task: int, groups: int = 1) -> torch.Tensor | None:
        """As `MultiTaskEnv.action_mask`, bool [B, A] or None."""
        return action_mask(self.num_actions, self.action_space, self.task_of_column(envs_per_task, groups))


def describe(tasks: Sequence[TaskSpec], num_actions: int = 0) -> TaskSpaces:
    """The spaces of tasks, of which one environment each is opened and closed, once per process.

    num_actions: at least so many in the joint space, as for `MultiTaskEnv`.

    Raises ValueError if a backend or an environment is unknown, or the tasks do not fit together.
    """
    return _join(tasks, [_look(task) for task in tasks], num_actions)


def _look(task: TaskSpec) -> tuple[spaces.Dict, gymnasium.Space]:
    key = (task.backend, task.env_id, repr(sorted(task.options.items())))
    if key not in _SEEN:
        with closing(make_task_env(task, 1, seed=0)) as env:
            _SEEN[key] = env.observation_space, env.action_space
    return _SEEN[key]


_SEEN: dict[tuple[str, str, str], tuple[spaces.Dict, gymnasium.Space]] = {}


def _join(tasks: Sequence[TaskSpec], seen: Sequence[tuple[spaces.Dict, gymnasium.Space]], num_actions: int) -> TaskSpaces:
    names, (observed, acted) = [task.name for task in tasks], zip(*seen, strict=True)
    return TaskSpaces(join_observations(names, observed), *join_actions(names, acted, num_actions), len(tasks))


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
        self.spaces = _join(tasks, [(part.observation_space, part.action_space) for part in self.parts[: len(tasks)]], num_actions)
        self.observation_space, self.action_space = self.spaces.observation_space, self.spaces.action_space
        self.action_mask = self.spaces.action_mask(envs_per_task, groups)
        self.distribution = self.spaces.distribution

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
