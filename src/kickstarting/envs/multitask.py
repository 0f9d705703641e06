"""The tasks of a suite as one vector environment: all are stepped at once, each column belongs to one task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, TypeVar

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from kickstarting.envs.backends import TaskSpec, make_task_env
from kickstarting.envs.checks import NO_NUMBER, first_wrong, wrong
from kickstarting.envs.joint import TaskSpaces, join_actions, join_observations, task_of_column
from kickstarting.envs.protocol import EnvironmentFault, Rendered, Restarted, TimeStep, VectorEnv
from kickstarting.envs.watch import TIMEOUT, Watch

X = TypeVar("X")
APART = 5.0
"""Seconds longer that other processes are waited for: each watches itself, and can say where it stands."""


def describe(tasks: Sequence[TaskSpec], num_actions: int = 0, timeout: float = TIMEOUT) -> TaskSpaces:
    """The spaces of tasks, of which one environment each is opened, tried and closed, once per process.

    num_actions, timeout: as for `MultiTaskEnv`.

    Raises ValueError if a backend or an environment is unknown, does not work, or the tasks do not fit together.
    """
    return _join(tasks, [_look(task, timeout) for task in tasks], num_actions)


def _look(task: TaskSpec, timeout: float) -> tuple[spaces.Dict, gymnasium.Space]:
    key = (task.backend, task.env_id, repr(sorted(task.options.items())))
    if key not in _SEEN:
        try:
            with closing(MultiTaskEnv([task], 1, seed=0, timeout=timeout)) as env:
                _SEEN[key] = env.observation_space, env.action_space
                if task.backend != "envpool":  # others are written by hand, in Python: does it work at all?
                    env.reset()
                    env.step(np.zeros((1, *env.distribution.action_shape)).astype(env.action_space.dtype))
        except EnvironmentFault as fault:
            _SEEN.pop(key, None)
            raise ValueError(str(fault)) from fault
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

    timeout: seconds for every answer, 0 to wait forever (`envs/watch.py`). All methods raise EnvironmentFault, which names task
    and column.
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
        timeout: float = TIMEOUT,
    ):
        self.task_of_column = task_of_column(len(tasks), envs_per_task, groups)
        each = envs_per_task // groups
        self.num_envs = envs_per_task * len(tasks)
        self.groups = [slice(g * each * len(tasks), (g + 1) * each * len(tasks)) for g in range(groups)]
        self._tasks, self._each, self._names = len(tasks), each, [task.name for task in tasks]
        apart = any(task.backend in ("gymnasium-async", "deepmind-lab") for task in tasks)
        self._watch, self._faulty, self._steps = Watch(timeout and timeout + APART * apart), False, 0
        pools = [task for _ in range(groups) for task in tasks]
        seeds = np.random.SeedSequence(seed).generate_state(len(pools)) % 2**30
        self.parts: list[VectorEnv] = []
        options: dict[str, Any] = {"num_threads": num_threads, "timeout": timeout}
        try:
            for i, (task, s) in enumerate(zip(pools, seeds, strict=True)):
                self.parts.append(self._ask(i, make_task_env, task, each, seed=int(s), **options))
            seen = [(part.observation_space, part.action_space) for part in self.parts[: len(tasks)]]
            self.spaces = _join(tasks, seen, num_actions)
            self.distribution = self.spaces.distribution
        except BaseException:
            self._faulty = True
            self.close()
            raise
        self.observation_space, self.action_space = self.spaces.observation_space, self.spaces.action_space
        self.action_mask = self.spaces.action_mask(envs_per_task, groups)

    def reset(self) -> TimeStep:
        return _concatenate([self._ask(i, part.reset) for i, part in enumerate(self.parts)])

    def step(self, actions: np.ndarray) -> TimeStep:
        """Of all groups together."""
        for group, columns in enumerate(self.groups):
            self.send(actions[columns], group)
        return _concatenate([self.recv(group) for group in range(len(self.groups))])

    def send(self, actions: np.ndarray, group: int) -> None:
        """Let a group of columns step; returns at once."""
        self._steps += not group
        for n in range(self._tasks):
            i = group * self._tasks + n
            self._ask(i, self.parts[i].send, actions[n * self._each : (n + 1) * self._each])

    def recv(self, group: int) -> TimeStep:
        """What the last `send` to a group came to."""
        first = group * self._tasks
        return _concatenate([self._ask(i, self.parts[i].recv) for i in range(first, first + self._tasks)])

    def render(self) -> np.ndarray | None:
        """The first column as its environment draws it, uint8 [H, W, 3]; None if it does not. It draws itself if the task's options
        have a `render_mode`."""
        part = self.parts[0]
        return self._ask(0, part.render) if isinstance(part, Rendered) else None

    @property
    def restarts(self) -> int | None:
        """How many processes died and were started anew; None if no library does that."""
        counts = [part.restarts for part in self.parts if isinstance(part, Restarted)]
        return sum(counts) if counts else None

    def check(self, observations: Mapping[str, torch.Tensor], rewards: np.ndarray) -> None:
        """Raise EnvironmentFault if something of the last steps is no number: observations [T+1, B, ...], rewards [T, B]."""
        for name, space in self.observation_space.items():
            x = observations[name]
            if x.dtype == torch.uint8 or (x.is_cuda and x.is_floating_point() and bool(x.isfinite().all())):
                continue
            if (found := first_wrong(space, x.cpu().numpy())) is not None:
                self._blame(found, len(rewards), wrong(name, space, x[found].cpu().numpy()))
        if (found := first_wrong(None, rewards)) is not None:
            self._blame((found[0] + 1, found[1]), len(rewards), f"its reward is {rewards[found]}")

    def check_answers(self) -> None:
        """Raise EnvironmentFault if another thread waits for an environment that hangs."""
        self._watch.raise_fault()

    def close(self) -> None:
        """Of an environment that hangs, only its process is ended. Raises EnvironmentFault unless one was raised before."""
        had_fault, faults = self._faulty, []
        for i, part in enumerate(self.parts):
            if self._watch.fault:
                part.abandon()
                continue
            try:
                self._ask(i, part.close)
            except EnvironmentFault as fault:
                faults.append(fault)
        self._watch.close()
        self.parts = []
        if faults and not had_fault:
            raise faults[0]

    def _ask(self, i: int, function: Callable[..., X], *args: Any, **options: Any) -> X:
        """Whatever goes wrong while a part answers is its task's."""
        self._watch.task = self._names[i % self._tasks]
        try:
            with self._watch:
                return function(*args, **options)
        except EnvironmentFault as fault:
            fault.task, self._faulty = self._watch.task, True
            if fault.column is not None:
                fault.column += i * self._each
            raise

    def _blame(self, where: tuple[int, ...], T: int, what: str) -> None:
        self._faulty = True
        fault = EnvironmentFault(what, NO_NUMBER, column=where[1], step=self._steps - T + where[0])
        fault.task = self._names[self.task_of_column[where[1]]]
        raise fault


def _concatenate(steps: list[TimeStep]) -> TimeStep:
    if len(steps) == 1:
        return steps[0]
    observations = {k: np.concatenate([s.observations[k] for s in steps]) for k in steps[0].observations}
    return TimeStep(observations, *(np.concatenate(field) for field in list(zip(*steps, strict=True))[1:]))
