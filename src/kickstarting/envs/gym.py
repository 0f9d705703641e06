"""Any Gymnasium environment, through `gymnasium.make_vec`, in this process (sync) or one process each (async)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from kickstarting.algo.parsing import nearest
from kickstarting.envs.observations import Observations
from kickstarting.envs.protocol import TimeStep, first_step


class GymnasiumEnv:
    """A Gymnasium vector environment.

    Sync and async vectors are made to reset on the next step. A vector environment of its own that can only reset on the
    same step (metadata `autoreset_mode` SAME_STEP) fits the contract too, at the cost of one transition per truncated
    episode: its last observation is not in the batch, so that transition is marked not valid.
    """

    def __init__(
        self,
        env_id: str,
        num_envs: int,
        *,
        seed: int,
        mode: str = "sync",
        success_ends: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        vector_kwargs = {"autoreset_mode": AutoresetMode.NEXT_STEP} if mode in ("sync", "async") else {}
        try:
            self._env = gymnasium.make_vec(env_id, num_envs, mode, vector_kwargs=vector_kwargs, **(options or {}))
        except (gymnasium.error.UnregisteredEnv, gymnasium.error.VersionNotFound) as error:
            raise ValueError(f"Gymnasium has no environment {env_id!r}; {nearest(env_id, gymnasium.registry)}") from error
        except (gymnasium.error.Error, ImportError) as error:  # a package that is missing, an id that is none
            raise ValueError(f"Gymnasium cannot make {env_id!r}: {error}") from error
        self.num_envs = num_envs
        self.action_space = self._env.single_action_space
        self._observe = Observations(self._env.single_observation_space, num_envs)
        self.observation_space = self._observe.space
        reset_mode = self._env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        if reset_mode == AutoresetMode.DISABLED:
            raise ValueError(f"{env_id!r} never resets itself (autoreset_mode DISABLED); make it with NEXT_STEP or SAME_STEP")
        self._same_step = reset_mode == AutoresetMode.SAME_STEP
        self._seed = seed
        self._success_ends = success_ends
        self._done = np.zeros(num_envs, bool)
        self._actions: np.ndarray | None = None

    def reset(self) -> TimeStep:
        observations, _ = self._env.reset(seed=self._seed)
        self._done = np.zeros(self.num_envs, bool)
        return first_step(self._observe(observations, ~self._done), self.num_envs)

    def send(self, actions: np.ndarray) -> None:
        space = self.action_space
        self._actions = np.clip(actions, space.low, space.high) if isinstance(space, spaces.Box) else actions
        if isinstance(self._env, gymnasium.vector.AsyncVectorEnv):
            self._env.step_async(self._actions)

    def recv(self) -> TimeStep:
        if isinstance(self._env, gymnasium.vector.AsyncVectorEnv):
            observations, rewards, terminated, truncated, _ = self._env.step_wait()
        else:
            assert self._actions is not None, "recv without send"
            observations, rewards, terminated, truncated, _ = self._env.step(self._actions)
        rewards = np.asarray(rewards, np.float32)
        if self._success_ends:
            terminated = terminated | (truncated & (rewards > 0))
        truncated = truncated & ~terminated
        done = terminated | truncated
        is_first, valid = (done, ~truncated) if self._same_step else (self._done, ~self._done)
        self._done = done
        return TimeStep(self._observe(observations, is_first), rewards, terminated, truncated, is_first, valid)

    def close(self) -> None:
        self._env.close()
