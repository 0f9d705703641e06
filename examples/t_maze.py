"""An environment of your own: a T-maze that only an agent with a memory solves (Bakker 2001).

The first observation says left or right. Then comes a corridor in which all observations are alike. At its end the agent
must turn the way it was told: +1, else -0.1. A policy without memory gets 0.45 on average, one with memory 1.

    PYTHONPATH=examples kickstart train gymnasium:t_maze:TMaze-v0 --frames 300k --network-option lstm=64
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

FORWARD, LEFT, RIGHT = range(3)


class TMaze(gymnasium.Env):
    """Observation: (told left, told right, at the junction). Walking on at the junction and turning before it cost a step."""

    observation_space = spaces.Box(0.0, 1.0, (3,), np.float32)
    action_space = spaces.Discrete(3)

    def __init__(self, length: int = 10) -> None:
        self.length = length

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._goal = int(self.np_random.choice([LEFT, RIGHT]))
        self._position = 0
        return self._observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        at_junction = self._position == self.length
        turned = at_junction and action != FORWARD
        if not at_junction and action == FORWARD:
            self._position += 1
        reward = 0.0 if not turned else 1.0 if action == self._goal else -0.1
        return self._observe(), reward, turned, False, {}

    def _observe(self) -> np.ndarray:
        start = self._position == 0
        return np.array([start and self._goal == LEFT, start and self._goal == RIGHT, self._position == self.length], np.float32)


# gymnasium takes any class; its annotation asks for one that takes every keyword
gymnasium.register("TMaze-v0", TMaze, max_episode_steps=60)  # pyright: ignore[reportArgumentType]
