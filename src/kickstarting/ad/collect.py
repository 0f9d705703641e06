"""Collecting learning histories: many learners of one task each, every one of which leaves a history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from gymnasium import spaces

from kickstarting.ad.sources import SOURCES, Episode, run_episodes
from kickstarting.ad.tasks import Family, check_disjoint, find_family
from kickstarting.ranges import COUNT, SEED, Choice, Range, check_fields
from kickstarting.runs.histories import About, Columns, HistoriesWriter
from kickstarting.runs.layout import HISTORIES
from kickstarting.runs.ownership import check_free, written_by_us


@dataclass(frozen=True)
class CollectConfig:
    """Which histories, and how many."""

    family: tyro.conf.Positional[str] = "dark-room"
    """dark-room, dark-room-hard, key-to-door, bandit or arena."""
    source: Annotated[str, Choice(*SOURCES)] = "policy-gradient"
    """policy-gradient and actor-critic (which learn by policy gradients, with tables or networks), q-learning, posterior (searches
    and remembers), noise (an expert, ever less disturbed), ucb (of bandits), expert or random."""
    histories: Annotated[int, COUNT] = 2000
    """Each of one task; tasks take turns."""
    episodes: Annotated[int, Range(0, 10**6)] = 0
    """Of a history; the family's number unless given."""
    every: Annotated[int, COUNT] = 1
    """Keep every n-th episode only. The learner has all of them."""
    tasks: Annotated[int, Range(0, 10**6)] = 0
    """Number of training tasks; all of them unless given."""
    seed: Annotated[int, SEED] = 0
    split_seed: Annotated[int, SEED] = 0
    """Decides which tasks are held out."""

    def check(self) -> None:
        """Raise ValueError, with the remedy, for what cannot work."""
        check_fields(self)
        find_family(self.family)
        if self.episodes and self.every > self.episodes:
            raise ValueError(f"every is {self.every}, of {self.episodes} episodes; keep more, or run more")


def collect(config: CollectConfig, out: Path, progress: Callable[[int, int], None] | None = None) -> Path:
    """Write the histories into a new directory; returns their file. progress: called with transitions done and wanted.

    Raises ValueError before any work if the source does not fit the family, or the directory is in use.
    """
    config.check()
    family = find_family(config.family)
    episodes = config.episodes or family.episodes
    tasks = training_tasks(family, config)
    batch = family.batch(tasks, config.seed)
    learner = SOURCES[config.source](batch, family.actions, episodes, config.seed + 1)
    about = about_of(family, tasks, {**asdict(config), "episodes": episodes})
    check_free(out, "collection", "")
    with written_by_us(out):
        writer = HistoriesWriter(out / HISTORIES, about)
        try:
            for number, episode in enumerate(run_episodes(batch, learner, family.horizon, episodes), start=1):
                if number % config.every == 0 or config.every == 1:
                    writer.append(rows_of(episode))
                if progress:
                    progress(number * len(tasks) * family.horizon, episodes * len(tasks) * family.horizon)
        finally:
            writer.close()
    return out / HISTORIES


def training_tasks(family: Family, config: CollectConfig) -> np.ndarray:
    """The task of each history."""
    split = family.split(config.split_seed)
    check_disjoint(split)
    if config.tasks > len(split.train):
        raise ValueError(f"tasks is {config.tasks}; {family.name} has {len(split.train)} for training, so give at most these")
    known = split.train[: config.tasks or None]
    return known[np.arange(config.histories) % len(known)]


def about_of(family: Family, tasks: np.ndarray, facts: dict[str, Any]) -> About:
    """What the file says of histories of a family."""
    return About(spaces.Dict({"observation": family.space}), spaces.Discrete(family.actions), tasks.tolist(), facts)


def rows_of(episode: Episode) -> Columns:
    """An episode as rows of the format: its transitions, and one more that holds the last observation and is not valid."""
    n, steps = episode.rewards.shape
    no = np.zeros((n, steps + 1), bool)
    is_first, truncated, valid = no.copy(), no.copy(), ~no
    is_first[:, 0], truncated[:, -2], valid[:, -1] = True, True, False
    return {
        "observation/observation": episode.observations,
        "action": np.pad(episode.actions, ((0, 0), (0, 1))),
        "reward": np.pad(episode.rewards, ((0, 0), (0, 1))),
        "is_first": is_first,
        "terminated": no,
        "truncated": truncated,
        "valid": valid,
    }
