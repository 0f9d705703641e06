"""Gymnasium environments in one process each."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv

from kickstarting.envs.gym import GymnasiumEnv, make_one, said_of
from kickstarting.envs.protocol import EnvironmentFault
from kickstarting.spaces import Declared

CLOSE_SECONDS = 5.0
"""In which a process must end before it is killed."""


class GymnasiumAsyncEnv(GymnasiumEnv):
    """A Gymnasium vector environment with a process for each environment."""

    mode = "async"

    def send(self, actions: np.ndarray) -> None:
        super().send(actions)
        self._ask(lambda: self._env.step_async(self._actions))

    def close(self) -> None:
        for pipe in self._env.parent_pipes:
            try:
                pipe.send(("close", None))
            except (OSError, AttributeError):  # died, or closed by Gymnasium after an error
                continue
        until = time.monotonic() + CLOSE_SECONDS
        for process in self._env.processes:
            process.join(max(0.0, until - time.monotonic()))
        self.abandon()

    def abandon(self) -> None:
        super().abandon()
        for process in self._env.processes:
            process.kill()
            process.join(CLOSE_SECONDS)
        for pipe in self._env.parent_pipes:
            if pipe is not None:
                pipe.close()

    def _answer(self) -> tuple[Any, ...]:
        return self._env.step_wait()

    def _ask(self, function: Callable[[], Any]) -> Any:
        try:
            return super()._ask(function)
        except EnvironmentFault as fault:
            if isinstance(fault.__cause__, EOFError | OSError):
                raise self._died() from fault.__cause__
            raise

    def _died(self) -> EnvironmentFault:
        """The fault of the first process that has died."""
        until = time.monotonic() + CLOSE_SECONDS
        while time.monotonic() < until:
            for column, process in enumerate(self._env.processes):
                if (code := process.exitcode) is not None:
                    said = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
                    remedy = "its own message, if any, is above; SIGKILL is mostly the system's, out of memory"
                    return EnvironmentFault(f"its process died with {said}", remedy, column=column)
            time.sleep(0.01)
        return EnvironmentFault("its process has closed its connection", "run it with backend gymnasium to see why")

    def _make(self, env_id: str, num_envs: int, options: dict[str, Any], timeout: float) -> Any:
        with closing(make_one(env_id, options, 0)) as env:
            self.said_of, shared = said_of(env), _can_be_shared(env.observation_space)
        make = partial(make_one, env_id, options, limit=timeout, parent=os.getpid())
        return _Async([partial(make, column=column) for column in range(num_envs)], shared_memory=shared)

    def _look(self, env_id: str, options: dict[str, Any]) -> tuple[dict[str, type[Declared]], int | None]:
        return self.said_of


class _Async(AsyncVectorEnv):
    """Raises the fault of a process itself, with its column and traceback, where Gymnasium prints it and raises a copy."""

    def _raise_if_errors(self, successes: Iterable[bool]) -> None:
        if all(successes):
            return
        column, kind, error, trace = self.error_queue.get()
        if isinstance(error, EnvironmentFault):
            raise error
        fault = EnvironmentFault(f"it raised {kind.__name__}: {error}", "its traceback shows where", column=column)
        fault.add_note(trace)
        raise fault


def _can_be_shared(space: gymnasium.Space) -> bool:
    """Whether Gymnasium can put observations into memory that processes share: not texts, and no space that it does not know."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return all(map(_can_be_shared, space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces))
    return isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary)
