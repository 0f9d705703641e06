"""What a vector of environments offers, whatever made it; every adapter passes the same contract test."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import gymnasium
import numpy as np

from kickstarting.faults import Fault


class EnvironmentFault(Fault):
    """An environment did what it must not do: it raised, hung, died, or said what nobody can learn from.

    The message says where that was, as far as known. The traceback of another process, or the stack of a thread that hangs, is in
    `__notes__`.
    """

    def __init__(self, what: str, remedy: str = "", *, column: int | None = None, step: int | None = None) -> None:
        super().__init__(what, remedy)
        self.task = ""
        self.column, self.step = column, step

    @property
    def whose(self) -> str:
        where = [f"task {self.task!r}"] if self.task else []
        where += [f"{name} {value}" for name in ("column", "step") if (value := getattr(self, name)) is not None]
        return f"environment{' of ' * bool(where)}{', '.join(where)}"


class TimeStep(NamedTuple):
    """One step of B environments; see the time diagram of `types.py`."""

    observations: dict[str, np.ndarray]
    """x_{t+1} by name, each [B, ...]."""
    rewards: np.ndarray
    """r_t, float32 [B]; 0 where not valid."""
    terminated: np.ndarray
    """Bool [B]: the episode ended and nothing follows."""
    truncated: np.ndarray
    """Bool [B]: the episode was cut; x_{t+1} is its true last observation."""
    is_first: np.ndarray
    """Bool [B]: x_{t+1} is the first observation of an episode."""
    valid: np.ndarray
    """Bool [B]: the transition belongs to an episode. False on the step in which an environment resets itself."""
    scored: np.ndarray
    """What the episode's return counts of r_t, float32 [B]: the reward before the environment clipped it."""
    over: np.ndarray
    """Bool [B]: the episode whose return is counted ended. Where a lost life ends an episode, that is the whole game."""


@runtime_checkable
class VectorEnv(Protocol):
    """B environments stepped together. `send` returns at once, so that several can be stepped side by side.

    An episode's last observation is returned with `terminated` or `truncated`; the next step ignores its action and
    returns the first observation of the next episode, with `is_first` and without `valid`. Raises EnvironmentFault.
    """

    num_envs: int
    observation_space: gymnasium.spaces.Dict
    """Of one environment; each part of a declared kind (`spaces.py`): Pixels, Grid, Text, Vector or Discrete."""
    action_space: gymnasium.Space
    """Of a policy for one environment: Discrete, MultiDiscrete or Scaled, flat and counted from 0 (`envs/actions.py`)."""
    frame_skip: int | None
    """Simulator frames of one step, for which the library repeats the action; None if it does not say."""

    def reset(self) -> TimeStep: ...
    def send(self, actions: np.ndarray) -> None: ...
    def recv(self) -> TimeStep: ...
    def close(self) -> None: ...
    def abandon(self) -> None:
        """Let go of environments that do not answer, without waiting for them."""
        ...


@runtime_checkable
class Rendered(Protocol):
    """Environments that can draw themselves, if they were made with the option `render_mode`."""

    def render(self) -> np.ndarray | None:
        """The first of them, uint8 [H, W, 3]; None if it does not."""
        ...


@runtime_checkable
class Restarted(Protocol):
    """Environments whose processes are started anew when they die."""

    restarts: int
    """How often that was."""


def first_step(observations: dict[str, np.ndarray], num_envs: int) -> TimeStep:
    """What `reset` returns: first observations, and no transition that led there."""
    no = np.zeros(num_envs, bool)
    nothing = np.zeros(num_envs, np.float32)
    return TimeStep(observations, nothing, no, no, ~no, no, nothing, no)


def is_success(last_rewards: Any) -> Any:
    """Whether an episode that ended with this reward was a success; of an array, one by one."""
    return last_rewards > 0


def read_ends(
    rewards: np.ndarray, terminated: np.ndarray, truncated: np.ndarray, success_ends: bool
) -> tuple[np.ndarray, np.ndarray]:
    """`terminated` and `truncated` of which one at most is set, from what a library says.

    success_ends: a success on the very last allowed step is a termination, though libraries call it truncated.
    """
    if success_ends:
        terminated = terminated | (truncated & is_success(rewards))
    return terminated, truncated & ~terminated
