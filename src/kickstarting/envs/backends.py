"""Environment libraries by name. Another one is a file with its adapter and a line in the table, and passes the contract test."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol, runtime_checkable

from kickstarting.envs.dmlab import LabEnv
from kickstarting.envs.gym import GymnasiumEnv, GymnasiumVectorEnv
from kickstarting.envs.gym_async import GymnasiumAsyncEnv
from kickstarting.envs.pool import EnvPoolEnv
from kickstarting.envs.preprocessing import Preprocessing
from kickstarting.envs.protocol import VectorEnv


class Backend(Protocol):
    """An adapter's class. Making one raises ValueError if the library has no such environment."""

    def __call__(
        self,
        env_id: str,
        num_envs: int,
        *,
        seed: int,
        num_threads: int = 1,
        success_ends: bool = False,
        options: Mapping[str, Any] | None = None,
        timeout: float = 0.0,
    ) -> VectorEnv: ...

    def ids(self) -> Collection[str]:
        """The environments that are known by a name alone."""
        ...

    def frame_skip_of(self, env_id: str, options: Mapping[str, Any]) -> int | None:
        """`VectorEnv.frame_skip`, as far as it is known without making an environment."""
        ...

    def arguments(self, env_id: str, preprocessing: Preprocessing) -> dict[str, Any]:
        """The options that bring a preprocessing about. Raises ValueError if the library cannot do it."""
        ...


BACKENDS: dict[str, Backend] = {
    "envpool": EnvPoolEnv,
    "gymnasium": GymnasiumEnv,
    "gymnasium-async": GymnasiumAsyncEnv,
    "gymnasium-vector": GymnasiumVectorEnv,
    "deepmind-lab": LabEnv,
}
"""The first that knows an environment makes it, if nobody says which."""


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
    def action_repeat(self) -> int: ...
    @property
    def options(self) -> Mapping[str, Any]: ...


def make_task_env(task: TaskSpec, num_envs: int, *, seed: int, num_threads: int = 1, timeout: float = 0.0) -> VectorEnv:
    """The environments of one task. timeout: seconds for an answer of environments in processes of their own.

    Raises ValueError if the backend or the environment is unknown, or counts other frames than the task.
    """
    if task.backend not in BACKENDS:
        raise ValueError(f"task {task.name!r} has backend {task.backend!r}; known: {', '.join(BACKENDS)}")
    ends: dict[str, Any] = {"success_ends": task.metric == "success", "options": task.options, "timeout": timeout}
    env = BACKENDS[task.backend](task.env_id, num_envs, seed=seed, num_threads=num_threads, **ends)
    try:
        check_frames(task, env.frame_skip)
    except ValueError:
        env.close()
        raise
    return env


def check_frames(task: TaskSpec, frame_skip: int | None) -> None:
    """Raise ValueError if a task says otherwise than its backend how many frames a step takes; None: the backend is silent."""
    if frame_skip not in (None, task.action_repeat):
        raise ValueError(
            f"task {task.name!r} has action_repeat {task.action_repeat}, but {task.env_id} of {task.backend} takes {frame_skip} "
            f"frames a step; write action_repeat = {frame_skip} in the suite's file, or change the frame skip in the task's options"
        )
