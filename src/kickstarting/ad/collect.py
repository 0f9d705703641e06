"""Collecting learning histories: many learners of one task each, every one of which leaves a history."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from gymnasium import spaces

from kickstarting.ad.sources import SOURCES, Episode, run_episode
from kickstarting.ad.sources.state import restore, state_of
from kickstarting.ad.tasks import Family, check_disjoint, find_family
from kickstarting.ranges import COUNT, SEED, Choice, Range, check_fields
from kickstarting.runs.checkpoint import Snapshot, load_checkpoint, save_checkpoint
from kickstarting.runs.files import digest_of, write_json
from kickstarting.runs.histories import About, Columns, read_about
from kickstarting.runs.histories_writer import HistoriesWriter
from kickstarting.runs.layout import HISTORIES, RunDirectory
from kickstarting.runs.ownership import check_free, written_by_us
from kickstarting.runs.saving import MINUTES
from kickstarting.runs.signals import Stop, Stopped, listening


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

    Raises ValueError before any work if the source does not fit the family, or the directory is in use; Stopped, when all is saved,
    if a signal asks for it.
    """
    config.check()
    config = replace(config, episodes=config.episodes or find_family(config.family).episodes)
    collection = _Collection(config)
    if (out / HISTORIES).exists() and not RunDirectory(out).finished:
        raise ValueError(f"{out} holds a collection that was begun; choose another --out, or go on with `{resume_command(out)}`")
    check_free(out, "collection", "")
    with listening() as stop, written_by_us(out):
        collection.run(out, None, stop, progress)
    return out / HISTORIES


def resume_collection(out: Path, progress: Callable[[int, int], None] | None = None) -> CollectConfig:
    """Go on with a collection that was killed; its file will be that of an uninterrupted one. Raises ValueError if there is none,
    or it is finished."""
    directory, about = RunDirectory(out), read_about(out / HISTORIES)
    if directory.finished:
        raise ValueError(f"{out} is finished; there is nothing to resume")
    names = {field.name for field in fields(CollectConfig)}
    if names - about.facts.keys():
        raise ValueError(f"{out} holds histories of {about.facts.get('suite', 'something else')}, which were not collected here")
    config = CollectConfig(**{name: about.facts[name] for name in names})
    config.check()
    with listening() as stop, written_by_us(out):
        collection, newest = _Collection(config), directory.newest_checkpoint
        collection.run(out, load_checkpoint(newest, run=collection.run_id) if newest else None, stop, progress)
    return config


def resume_command(out: Path) -> str:
    """What goes on with a collection that was stopped."""
    return f"kickstart ad collect --resume {shlex.quote(str(out))}"


class _Collection:
    """Learners and their tasks, all at the same episode."""

    def __init__(self, config: CollectConfig) -> None:
        self.config, self.family = config, find_family(config.family)
        tasks = training_tasks(self.family, config)
        self.batch = self.family.batch(tasks, config.seed)
        self.learner = SOURCES[config.source](self.batch, self.family.actions, config.episodes, config.seed + 1)
        self.about = about_of(self.family, tasks, asdict(config))
        self.run_id = digest_of(self.about.to_json())[:16]

    def run(self, out: Path, snapshot: Snapshot | None, stop: Stop, progress: Callable[[int, int], None] | None) -> None:
        config, horizon, directory = self.config, self.family.horizon, RunDirectory(out)
        start, spent = self._restored(snapshot) if snapshot else (0, 0.0)
        writer = HistoriesWriter(directory.histories, self.about, steps=start // config.every * (horizon + 1))
        saved_at, began, each = time.monotonic(), time.process_time() - spent, len(self.batch.tasks) * horizon
        try:
            with stop.at_a_good_moment():
                for number in range(start + 1, config.episodes + 1):
                    episode = run_episode(self.batch, self.learner, horizon)
                    if number % config.every == 0:
                        writer.append(rows_of(episode))
                    self.learner.learn(episode)
                    if progress:
                        progress(number * each, config.episodes * each)
                    if number < config.episodes and (stop.number is not None or time.monotonic() - saved_at > 60 * MINUTES):
                        writer.flush()
                        self._save(directory, number, time.process_time() - began)
                        saved_at = time.monotonic()
                        if stop.number is not None:
                            raise Stopped(stop.number, f"saved after {number} episodes", resume_command(out))
        finally:
            writer.close()
        write_json(directory.end, {"episodes": config.episodes, "cpu_seconds": time.process_time() - began})
        shutil.rmtree(directory.checkpoints, ignore_errors=True)

    def _save(self, directory: RunDirectory, number: int, seconds: float) -> None:
        (learner, tables), (batch, places) = state_of(self.learner, "learner."), state_of(self.batch, "batch.")
        record = {"episodes": number, "cpu_seconds": seconds, "state": {**learner, **batch}}
        save_checkpoint(directory.checkpoints, Snapshot(number, record, {**tables, **places}, {}), keep=1, run=self.run_id)

    def _restored(self, snapshot: Snapshot) -> tuple[int, float]:
        """Put back what was saved; returns the episodes and the seconds until then."""
        for thing, prefix in ((self.learner, "learner."), (self.batch, "batch.")):
            restore(thing, prefix, snapshot.record["state"], snapshot.network)
        return int(snapshot.record["episodes"]), float(snapshot.record["cpu_seconds"])


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
