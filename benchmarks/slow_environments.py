"""Environments that take a millisecond a step, as simulators do: what `benchmarks/cluster.py` and `scripts/soak.py` train on."""

from __future__ import annotations

import time
from typing import Any, cast

import gymnasium
import numpy as np


class Slow(gymnasium.Env):
    """Says a number, and rewards its sign. seconds: of a step."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (8,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, seconds: float = 0.001, length: int = 50) -> None:
        self._seconds, self._length, self._steps = seconds, length, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self._steps = 0
        return self._look(), {}

    def step(self, action):
        reward = float((self._seen[0] > 0) == bool(action))
        time.sleep(self._seconds)
        self._steps += 1
        return self._look(), reward, False, self._steps >= self._length, {}

    def _look(self) -> np.ndarray:
        self._seen = self.np_random.uniform(-1.0, 1.0, 8).astype(np.float32)
        return self._seen


gymnasium.register("Slow-v0", cast(Any, Slow))  # a class makes environments, too
