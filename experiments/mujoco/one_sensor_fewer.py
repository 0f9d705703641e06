"""HalfCheetah for a student that does not feel how fast it runs, and for a teacher that does.

    PYTHONPATH=experiments/mujoco kickstart train gymnasium:one_sensor_fewer:HalfCheetahUnsped-v0 --privileged state \\
        --teacher runs/mujoco/HalfCheetah-v4/ours-300k-1000 --teacher-adapters "rename(observation=state)"
"""

from __future__ import annotations

from typing import Any

import envpool
import gymnasium
import numpy as np
from gymnasium import spaces

Seen = dict[str, np.ndarray]
FORWARD_SPEED = 8
"""Which of the 17 numbers: the speed along the track, which is what the reward pays."""


class HalfCheetahUnsped(gymnasium.Env):
    """Observations: `sensed`, 16 numbers, without the forward speed; `state`, all 17."""

    def __init__(self) -> None:
        self._env: Any = None
        self.action_space = spaces.Box(-1.0, 1.0, (6,), np.float32)
        sizes = {"sensed": 16, "state": 17}
        self.observation_space = spaces.Dict(
            {name: spaces.Box(-np.inf, np.inf, (size,), np.float32) for name, size in sizes.items()}
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None or self._env is None:  # EnvPool takes a seed when it is made
            self._env = envpool.make_gymnasium("HalfCheetah-v4", num_envs=1, num_threads=1, seed=seed or 0)
        return self._seen(self._env.reset()[0]), {}

    def step(self, action: np.ndarray) -> tuple[Seen, float, bool, bool, dict[str, Any]]:
        state, reward, terminated, truncated, _ = self._env.step(np.asarray(action, np.float64)[None])
        return self._seen(state), float(reward[0]), bool(terminated[0]), bool(truncated[0]), {}

    def _seen(self, state: np.ndarray) -> Seen:
        row = state[0].astype(np.float32)
        return {"sensed": np.delete(row, FORWARD_SPEED), "state": row}


# gymnasium takes any class; its annotation asks for one that takes every keyword
gymnasium.register("HalfCheetahUnsped-v0", HalfCheetahUnsped, max_episode_steps=1000)  # pyright: ignore[reportArgumentType]
