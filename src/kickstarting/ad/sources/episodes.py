"""The loop of all sources: N learners of one task each act in lockstep, and learn after every episode.

A Python step advances all of them, so thousands of learning histories take as long as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kickstarting.ad.tasks import Batch


@dataclass(frozen=True)
class Episode:
    """One episode of N learners; H is the horizon."""

    observations: np.ndarray
    """uint8 [N, H+1, D]"""
    states: np.ndarray
    """int [N, H+1]: what tables are read by."""
    actions: np.ndarray
    """int [N, H]"""
    rewards: np.ndarray
    """float32 [N, H]"""


class Learner(Protocol):
    """N independent learners."""

    def begin(self) -> None:
        """An episode begins."""
        ...

    def act(self) -> np.ndarray:
        """Actions in the batch as it stands, int [N]."""
        ...

    def see(self, rewards: np.ndarray) -> None:
        """What the last actions brought, [N]."""
        ...

    def learn(self, episode: Episode) -> None:
        """The episode is over."""
        ...


def run_episodes(batch: Batch, learner: Learner, horizon: int, episodes: int) -> Iterator[Episode]:
    """Let the learners learn, and give every episode before they learn from it."""
    for _ in range(episodes):
        episode = run_episode(batch, learner, horizon)
        yield episode
        learner.learn(episode)


def run_episode(batch: Batch, learner: Learner, horizon: int) -> Episode:
    """One of each learner; what they conclude from it is theirs to `learn`."""
    n, first = len(batch.tasks), batch.reset()
    learner.begin()
    observations = np.empty((n, horizon + 1, first.shape[1]), np.uint8)
    states = np.empty((n, horizon + 1), np.int64)
    actions, rewards = np.empty((n, horizon), np.int64), np.empty((n, horizon), np.float32)
    observations[:, 0], states[:, 0] = first, batch.state()
    for t in range(horizon):
        actions[:, t] = learner.act()
        observations[:, t + 1], rewards[:, t] = batch.step(actions[:, t])
        states[:, t + 1] = batch.state()
        learner.see(rewards[:, t])
    return Episode(observations, states, actions, rewards)
