"""Posterior sampling by who knows how one moves, but not where the goals are: it walks to a place where the goal may still be, and
where it was found once, goes there. It explores like no learner does, and reaches the optimum in some episodes."""

from __future__ import annotations

import numpy as np

from kickstarting.ad.sources.episodes import Episode
from kickstarting.ad.tasks import Batch, Search

NOISE = 0.05
"""Share of random actions."""


class PosteriorSampling:
    """Raises ValueError for a family whose tasks are no places."""

    def __init__(self, batch: Batch, actions: int, episodes: int, seed: int) -> None:
        if not isinstance(batch, Search):
            raise ValueError("posterior sampling searches for places, and this family has none; choose another --source, as ucb")
        self._batch: Search = batch
        n = len(batch.tasks)
        self._rows, self._actions = np.arange(n), actions
        self._possible = np.ones((n, batch.goals, len(batch.places)), bool)
        self._found = np.full((n, batch.goals, 2), np.nan)
        self._target = np.zeros((n, 2))
        self._stage = np.zeros(n, np.int64)
        self._rng = np.random.default_rng(seed)

    def begin(self) -> None:
        self._stage[:] = 0
        self._choose(np.ones(len(self._rows), bool))

    def act(self) -> np.ndarray:
        anything = self._rng.integers(self._actions, size=len(self._rows))
        return np.where(self._rng.random(len(self._rows)) < NOISE, anything, self._batch.toward(self._target))

    def see(self, rewards: np.ndarray) -> None:
        paid, position, stage = rewards > 0, self._batch.position, self._stage
        here = (abs(self._batch.places - position[:, None]) <= self._batch.reach).all(2)
        self._possible[self._rows, stage] &= ~here | paid[:, None]
        new = paid & np.isnan(self._found[self._rows, stage, 0])
        self._found[new, stage[new]] = position[new]
        moved = paid & (self._batch.stage != stage) & (stage < self._batch.goals - 1)
        self._stage[moved] += 1
        arrived = (abs(self._target - position) <= np.maximum(self._batch.reach, 0.5)).all(1)
        known = ~np.isnan(self._found[self._rows, self._stage, 0])
        self._choose(new | moved | (arrived & ~known))

    def learn(self, episode: Episode) -> None: ...

    def _choose(self, rows: np.ndarray) -> None:
        """A target for these rows: the goal where it is known, else a place that is possible."""
        chosen = np.flatnonzero(rows)
        if not chosen.size:
            return
        stage = self._stage[chosen]
        lots = self._rng.random((len(chosen), len(self._batch.places))) + self._possible[chosen, stage]
        found = self._found[chosen, stage]
        self._target[chosen] = np.where(np.isnan(found), self._batch.places[lots.argmax(1)], found)
