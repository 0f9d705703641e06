"""Evaluation in context: frozen weights, an empty context, and many episodes of each task, one after the other.

Returns are those of each episode as it came, never the best. All tasks are rows of one batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from gymnasium import spaces

from kickstarting.ad.player import Player
from kickstarting.ad.saved import TrainedModel, shown_space
from kickstarting.ad.sources import SOURCES, Episode, run_episodes
from kickstarting.ad.tasks import Drawn, Family

FAILED = 0.5
"""Share of its optimum below which a task is failed."""


@dataclass(frozen=True)
class Outcome:
    """What happened in context."""

    returns: np.ndarray
    """float [N, episodes]"""
    optimum: np.ndarray
    """[N]"""
    paths: np.ndarray | None = None
    """uint8 [N, episodes, H+1, D]: what was observed, if it was asked for."""

    @property
    def curve(self) -> np.ndarray:
        """Mean share of the optimum by episode."""
        return (self.returns / self.optimum[:, None]).mean(0)

    def latest(self, last: int = 10) -> np.ndarray:
        """Each row's share of its optimum over the last episodes, [N]."""
        return self.returns[:, -last:].mean(1) / self.optimum

    def failed(self, last: int = 10) -> float:
        """Share of the rows whose last episodes are below half of their optimum."""
        return float((self.latest(last) < FAILED).mean())


def evaluate_in_context(
    model: TrainedModel,
    family: Family,
    tasks: np.ndarray,
    *,
    episodes: int,
    seed: int,
    choice: str = "sample",
    prompt: list[Episode] | None = None,
    keep_paths: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Run episodes of each task, [N], all in one batch. prompt: episodes of others that stand in the context at the start.

    Raises ValueError if the model reads or does other things than the family shows and takes.
    """
    check_fits(model, family)
    batch = family.batch(tasks, seed)
    player = _player(model, family, len(tasks), seed, choice)
    view = family.view if isinstance(family, Drawn) else None

    def shows(seen: np.ndarray) -> dict[str, np.ndarray]:
        return {"observation": view(seen) if view else seen}

    for shown in prompt or ():
        _watch(player, shows, shown, model.config.terminal)
    returns = np.zeros((len(tasks), episodes))
    paths = np.zeros((len(tasks), episodes, family.horizon + 1, len(family.space.nvec)), np.uint8) if keep_paths else None
    for number in range(episodes):
        seen = batch.reset()
        for t in range(family.horizon):
            if paths is not None:
                paths[:, number, t] = seen
            seen, rewards = batch.step(player.act(shows(seen), np.full(len(tasks), t == 0)))
            player.see(rewards)
            returns[:, number] += rewards
        if paths is not None:
            paths[:, number, -1] = seen
        if model.config.terminal:
            player.look(shows(seen), np.zeros(len(tasks), bool))
        if progress:
            progress(number + 1, episodes)
    return Outcome(returns, family.optimum(tasks), paths)


def check_fits(model: TrainedModel, family: Family) -> None:
    """Raise ValueError if a model cannot act in a family."""
    acts, reads = model.network.distribution.size, model.network.space["observation"]
    shows = shown_space(family)
    if acts != family.actions:
        raise ValueError(f"the model has {acts} actions, {family.name} has {family.actions}; evaluate it on {model.family}")
    both = (reads, shows)
    fits = reads == shows or (
        all(isinstance(space, spaces.MultiDiscrete) for space in both)
        and reads.shape == shows.shape
        and bool((reads.nvec >= shows.nvec).all())  # type: ignore[attr-defined]
    )
    if not fits:
        raise ValueError(f"the model reads {reads}, {family.name} shows {shows}; evaluate it on {model.family}")


def run_source(name: str, family: Family, tasks: np.ndarray, episodes: int, seed: int, total: int = 0) -> Outcome:
    """A source algorithm on tasks, as a measure of the model. total: episodes of a whole history, which some sources plan by."""
    batch = family.batch(tasks, seed)
    learner = SOURCES[name](batch, family.actions, total or episodes, seed + 1)
    returns = [episode.rewards.sum(1) for episode in run_episodes(batch, learner, family.horizon, episodes)]
    return Outcome(np.stack(returns, 1), family.optimum(tasks))


def _player(model: TrainedModel, family: Family, n: int, seed: int, choice: str) -> Player:
    terminal = model.config.terminal
    return Player(model.network, n, room=family.horizon + terminal, terminal=terminal, seed=seed, choice=choice)


def _watch(player: Player, shows: Callable[[np.ndarray], dict[str, np.ndarray]], episode: Episode, terminal: bool) -> None:
    """Take an episode of somebody else into the context."""
    n, steps = episode.rewards.shape
    for t in range(steps + terminal):
        player.look(shows(episode.observations[:, t]), np.full(n, t == 0))
        if t < steps:
            player.see(episode.rewards[:, t], episode.actions[:, t])
