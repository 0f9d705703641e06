"""What the model is trained on: random slices of several episodes of one history, in order, never beyond its ends.

From one episode of a slice to the next there are `skip` episodes of the history, so that a slice of few episodes shows the learner
improve. Without this, the model learns to do what is done, and not to learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kickstarting.algo.distributions import Distribution
from kickstarting.runs.histories import OBSERVATION, Histories
from kickstarting.types import Inputs

SPANS = (0.5, 1.0, 2.0)
"""Of the skips that are chosen by themselves: how much of the source's way to nine tenths of its last return a slice spans."""


@dataclass(frozen=True)
class Slice:
    """A batch of slices of C steps; what is behind the end of a history, or an episode's last observation, has no weight."""

    inputs: Inputs
    """[B, C, ...]"""
    actions: Tensor
    """[B, C, ...]"""
    weights: Tensor
    """[B, C] float32: 1 where an action is to be predicted."""


class Slices:
    """Histories cut into episodes.

    terminal: whether the last observation of an episode is a step of its own. last: only that many episodes at the end of each
    history, as expert distillation has them. Raises ValueError if a history has no episode.
    """

    def __init__(self, histories: Histories, distribution: Distribution, *, terminal: bool = True, last: int = 0) -> None:
        self._terminal, self._distribution = terminal, distribution
        keep = np.ones(len(histories.columns["valid"]), bool) if terminal else histories.columns["valid"]
        before = np.concatenate([[0], np.cumsum(keep)])
        self._columns = histories.columns if terminal else {name: x[keep] for name, x in histories.columns.items()}
        starts = before[histories.starts]
        first = self._columns["is_first"].copy()
        first[starts[:-1][np.diff(starts) > 0]] = True
        self.episodes = np.flatnonzero(first)
        """Row at which each begins."""
        self.lengths = np.diff(np.append(self.episodes, len(first)))
        ends = np.searchsorted(self.episodes, starts[1:])
        self._of = np.stack([np.concatenate([[0], ends[:-1]]), ends], 1)
        if (empty := np.flatnonzero(self._of[:, 0] == self._of[:, 1])).size:
            raise ValueError(f"history {empty[0]} holds no step; collect histories of at least one episode")
        if last:
            self._of[:, 0] = np.maximum(self._of[:, 0], self._of[:, 1] - last)

    @property
    def shortest(self) -> int:
        """Episodes of the shortest history."""
        return int(np.diff(self._of, axis=1).min())

    def returns(self) -> np.ndarray:
        """[histories, episodes of the shortest]"""
        rewards = np.where(self._columns["valid"], self._columns["reward"], 0.0)
        of_episode = np.add.reduceat(rewards, self.episodes)
        return np.stack([of_episode[a : a + self.shortest] for a, _ in self._of])

    def skips(self, episodes: int) -> tuple[int, ...]:
        """By which slices of so many episodes span the source's improvement."""
        curve = self.returns().mean(0)
        smooth = np.convolve(curve, np.ones(w := max(1, len(curve) // 20)) / w, "valid")
        rising = smooth - smooth[0]
        way = int(np.argmax(rising >= 0.9 * rising[-1])) + 1 if rising[-1] > 0 else len(curve)
        most = max(1, (self.shortest - 1) // max(1, episodes - 1))
        return tuple(sorted({min(most, max(1, round(span * way / max(1, episodes - 1)))) for span in SPANS}))

    def check_context(self, context: int, skips: Sequence[int]) -> None:
        """Raise ValueError if no history is as long as a slice."""
        need = 1 + (-(-context // int(self.lengths.max())) - 1) * min(skips)
        most = int(np.diff(self._of, axis=1).max())
        if need > most:
            raise ValueError(
                f"a context of {context} steps, every {min(skips)} episodes, takes {need} episodes of a history, and the longest "
                f"has {most}; give a smaller --context or --skip, or collect longer histories"
            )

    def sample(self, rng: np.random.Generator, size: int, context: int, skips: Sequence[int], from_start: float) -> Slice:
        """size slices of `context` steps. from_start: the share of them that begins with the first episode of a history."""
        history = rng.integers(len(self._of), size=size)
        first, end = self._of[history].T
        skip = np.asarray(skips)[rng.integers(len(skips), size=size)]
        episodes = -(-context // int(self.lengths.min()))
        span = skip * (-(-context // int(self.lengths.max())) - 1)
        latest = np.maximum(first, end - 1 - span)
        begin = np.where(rng.random(size) < from_start, first, first + (rng.random(size) * (latest - first + 1)).astype(np.int64))
        numbers = begin[:, None] + skip[:, None] * np.arange(episodes)
        exists = numbers < end[:, None]
        numbers = np.where(exists, numbers, 0)
        bounds = np.cumsum(np.where(exists, self.lengths[numbers], 0), 1)
        place = np.arange(context)
        within = (place[None, :, None] >= bounds[:, None, :]).sum(2)
        known = within < exists.sum(1)[:, None]
        within = np.where(known, within, 0)
        start = np.concatenate([np.zeros((size, 1), np.int64), bounds], 1)
        rows = self.episodes[np.take_along_axis(numbers, within, 1)] + place - np.take_along_axis(start, within, 1)
        return self._slice(np.where(known, rows, 0), known)

    def _slice(self, rows: np.ndarray, known: np.ndarray) -> Slice:
        columns = self._columns
        first, valid = columns["is_first"][rows], columns["valid"][rows] & known
        first[:, 0] = True
        actions = torch.from_numpy(columns["action"][rows]).to(self._distribution.action_dtype)
        rewards = torch.from_numpy(columns["reward"][rows])
        last_actions = torch.full_like(actions, int(self._distribution.no_action))
        last_rewards = torch.zeros_like(rewards)
        last_actions[:, 1:], last_rewards[:, 1:] = actions[:, :-1], rewards[:, :-1]
        is_first = torch.from_numpy(first)
        if self._terminal:  # the step before holds what the first observation of an episode need not repeat
            forget_last(last_actions, last_rewards, is_first, self._distribution)
        observations = {
            name.removeprefix(OBSERVATION): torch.from_numpy(x[rows]) for name, x in columns.items() if name.startswith(OBSERVATION)
        }
        weights = torch.from_numpy(valid.astype(np.float32))
        return Slice(Inputs(observations, last_actions, last_rewards, is_first), actions, weights)


def forget_last(last_actions: Tensor, last_rewards: Tensor, is_first: Tensor, distribution: Distribution) -> None:
    """In place: no last action and reward at the first observation of an episode."""
    last_actions[is_first] = int(distribution.no_action)
    last_rewards[is_first] = 0.0
