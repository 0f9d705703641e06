"""A curriculum of noise: an expert whose share of random actions falls from all to none over nine tenths of the history.

No learner is needed (AD-epsilon, Zisman et al. 2024, arXiv:2312.12275).
"""

from __future__ import annotations

import numpy as np

from kickstarting.ad.sources.episodes import Episode
from kickstarting.ad.tasks import Batch

FALL = 0.9


class NoiseCurriculum:
    """The expert of each row's task, ever less disturbed."""

    def __init__(self, batch: Batch, actions: int, episodes: int, seed: int) -> None:
        self._batch, self._actions = batch, actions
        self._rng = np.random.default_rng(seed)
        self._episode, self._last = 0, max(1.0, FALL * episodes)

    def begin(self) -> None: ...

    def act(self) -> np.ndarray:
        n = len(self._batch.tasks)
        random = self._rng.random(n) < 1 - self._episode / self._last
        return np.where(random, self._rng.integers(self._actions, size=n), self._batch.expert())

    def see(self, rewards: np.ndarray) -> None: ...

    def learn(self, episode: Episode) -> None:
        self._episode += 1


class Expert(NoiseCurriculum):
    """The optimal policy throughout: what expert distillation learns from, and the measure of a family's optimum."""

    def act(self) -> np.ndarray:
        return self._batch.expert()


class Random(NoiseCurriculum):
    """Any action."""

    def act(self) -> np.ndarray:
        return self._rng.integers(self._actions, size=len(self._batch.tasks))
