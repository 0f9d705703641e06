"""Q-learning with tables: a backward sweep over each episode, epsilon falling linearly from 1 over nine tenths of the history."""

from __future__ import annotations

import numpy as np

from kickstarting.ad.sources.episodes import Episode
from kickstarting.ad.tasks import Batch

RATE, DISCOUNT = 0.5, 0.95
LAST_EPSILON, FALL = 0.02, 0.9


class QLearning:
    """One table for each row of the batch."""

    def __init__(self, batch: Batch, actions: int, episodes: int, seed: int) -> None:
        self._batch, self._rows, self._actions = batch, np.arange(len(batch.tasks)), actions
        self._q = np.zeros((len(batch.tasks), batch.states, actions), np.float32)
        self._rng = np.random.default_rng(seed)
        self._episode, self._last = 0, max(1.0, FALL * episodes)

    def begin(self) -> None: ...

    def act(self) -> np.ndarray:
        q = self._q[self._rows, self._batch.state()]
        q = q + 1e-6 * self._rng.random(q.shape, np.float32)  # ties by lot
        epsilon = max(LAST_EPSILON, 1 - (1 - LAST_EPSILON) * self._episode / self._last)
        anything = self._rng.integers(self._actions, size=len(q))
        return np.where(self._rng.random(len(q)) < epsilon, anything, q.argmax(1))

    def see(self, rewards: np.ndarray) -> None: ...

    def learn(self, episode: Episode) -> None:
        self._episode += 1
        following = np.zeros(len(self._rows), np.float32)
        for t in reversed(range(episode.rewards.shape[1])):
            state, action = episode.states[:, t], episode.actions[:, t]
            old = self._q[self._rows, state, action]
            self._q[self._rows, state, action] = old + RATE * (episode.rewards[:, t] + DISCOUNT * following - old)
            following = self._q[self._rows, state].max(1)
