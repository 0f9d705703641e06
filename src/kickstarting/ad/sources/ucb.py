"""UCB1 for bandits: the arm whose mean plus sqrt(2 ln t / pulls) is highest; every arm once before that."""

from __future__ import annotations

import numpy as np

from kickstarting.ad.sources.episodes import Episode
from kickstarting.ad.tasks import Batch


class UCB:
    """Raises ValueError for a family with more than one state."""

    def __init__(self, batch: Batch, actions: int, episodes: int, seed: int) -> None:
        if batch.states != 1:
            raise ValueError(f"ucb is for bandits, and this family has {batch.states} states; choose another --source")
        shape = len(batch.tasks), actions
        self._pulls, self._won = np.zeros(shape), np.zeros(shape)
        self._rng = np.random.default_rng(seed)

    def begin(self) -> None: ...

    def act(self) -> np.ndarray:
        pulls = np.maximum(self._pulls, 1)
        bound = self._won / pulls + np.sqrt(2 * np.log(np.maximum(self._pulls.sum(1, keepdims=True), 1)) / pulls)
        untried = self._pulls == 0
        return np.where(untried, 1e9 + 1e6 * self._rng.random(bound.shape), bound).argmax(1)

    def see(self, rewards: np.ndarray) -> None: ...

    def learn(self, episode: Episode) -> None:
        rows = np.arange(len(self._pulls))
        for t in range(episode.actions.shape[1]):
            self._pulls[rows, episode.actions[:, t]] += 1
            self._won[rows, episode.actions[:, t]] += episode.rewards[:, t]
