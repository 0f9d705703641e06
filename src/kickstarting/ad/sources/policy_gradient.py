"""Actor-critics with tables: logits and a value for every state, lambda-returns, one sweep of gradients after each episode."""

from __future__ import annotations

import numpy as np

from kickstarting.ad.sources.episodes import Episode
from kickstarting.ad.tasks import Batch

DISCOUNT, TRACE, ENTROPY = 0.97, 0.95, 0.01
RATE = 0.3


class PolicyGradient:
    """One table for each row of the batch. Raises ValueError for a family without states."""

    def __init__(self, batch: Batch, actions: int, episodes: int, seed: int) -> None:
        n = len(batch.tasks)
        self._batch, self._rows = batch, np.arange(n)
        self._logits = np.zeros((n, batch.states, actions), np.float32)
        self._values = np.zeros((n, batch.states), np.float32)
        self._rng = np.random.default_rng(seed)

    def begin(self) -> None: ...

    def act(self) -> np.ndarray:
        logits = self._logits[self._rows, self._batch.state()]
        return (logits + self._rng.gumbel(size=logits.shape)).argmax(1)

    def see(self, rewards: np.ndarray) -> None: ...

    def learn(self, episode: Episode) -> None:
        """Backwards in time, each value updated with the fresh one of the step after it: an agent that stays where it is meets one
        state many times in an episode, and errors that are summed before the update diverge."""
        rows, states = self._rows, episode.states
        steps = episode.rewards.shape[1]
        target = np.zeros(len(rows), np.float32)
        following = np.zeros(len(rows), np.float32)
        for t in reversed(range(steps)):
            target = episode.rewards[:, t] + DISCOUNT * ((1 - TRACE) * following + TRACE * target)
            state, action = states[:, t], episode.actions[:, t]
            advantages = target - self._values[rows, state]
            self._values[rows, state] += RATE * advantages
            logits = self._logits[rows, state]
            logits -= logits.max(1, keepdims=True)
            policy = np.exp(logits)
            policy /= policy.sum(1, keepdims=True)
            logs = np.log(policy + 1e-9)
            gradient = -ENTROPY * policy * (logs - (policy * logs).sum(1, keepdims=True)) - policy * advantages[:, None]
            gradient[rows, action] += advantages
            self._logits[rows, state] += RATE * gradient
            following = self._values[rows, state]
