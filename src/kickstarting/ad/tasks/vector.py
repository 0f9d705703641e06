"""Families of tasks as Gymnasium vector environments, which reset on the next step."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from kickstarting.ad.tasks.family import PARTS, Drawn


class TaskVectorEnv(gymnasium.vector.VectorEnv):
    """One task per environment: of a part of the family's split, by turns, or `tasks` themselves.

    Observations are pictures where the family draws them, else its few numbers. Episodes end by truncation, after the family's
    number of steps, all at once.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "autoreset_mode": AutoresetMode.NEXT_STEP
    }

    def __init__(
        self, num_envs: int = 1, *, family: str, part: str = "train", split_seed: int = 0, tasks: Any = None, **_: Any
    ) -> None:
        from kickstarting.ad.tasks import find_family  # which registers this class

        if part not in PARTS:
            raise ValueError(f"part is {part!r}; known: {', '.join(PARTS)}")
        self.family = find_family(family)
        known = getattr(self.family.split(split_seed), part) if tasks is None else np.asarray(tasks)
        if known.ndim != 2 or not len(known):
            raise ValueError(f"tasks have shape {known.shape}; give a list of tasks, each a list of numbers")
        self.num_envs = num_envs
        self.tasks = known[np.arange(num_envs) % len(known)]
        family_ = self.family
        self._view = family_.view if isinstance(family_, Drawn) else None
        picture = gymnasium.spaces.Box(0, 255, family_.picture, np.uint8) if isinstance(family_, Drawn) else None
        self.single_observation_space = picture or family_.space
        self.single_action_space = gymnasium.spaces.Discrete(self.family.actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._batch = self.family.batch(self.tasks, 0)
        self._steps = 0

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        if seed is not None or self._steps == 0:
            self._batch = self.family.batch(self.tasks, 0 if seed is None else int(np.asarray(seed).flat[0]))
        self._steps = 0
        return self._shown(self._batch.reset()), {}

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        no = np.zeros(self.num_envs, bool)
        if self._steps == self.family.horizon:
            self._steps = 0
            return self._shown(self._batch.reset()), np.zeros(self.num_envs, np.float32), no, no, {}
        self._steps += 1
        observations, rewards = self._batch.step(np.asarray(actions))
        return self._shown(observations), rewards, no, np.full(self.num_envs, self._steps == self.family.horizon), {}

    def _shown(self, observations: np.ndarray) -> np.ndarray:
        return self._view(observations) if self._view else observations.astype(np.int64)
