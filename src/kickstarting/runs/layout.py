"""Where everything lies: the name of every file and folder that a run, population, tune or job leaves behind, exactly once.

A directory is asked by the kind of what it holds: `RunDirectory(out).metrics`. The same directory may be a job, too, to which
whoever started it adds files. Nothing here reads a file or imports torch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

STATE = "state.json"
"""The file that makes a directory a checkpoint; the others are `checkpoint.py`'s own."""
HISTORIES = "histories.arrow"
"""Learning histories, of a run or collected for themselves (`histories.py`)."""
LOCK = ".kickstarting.lock"
"""Held by the process that writes a directory (`ownership.py`), and gone when it ends."""
MIRROR = "mirror.json"
"""Where a run or population has its mirror on storage (`mirror.py`); of this directory alone, so it is not mirrored."""


def checkpoints(directory: Path) -> list[Path]:
    """The complete checkpoints below a `checkpoints` directory, oldest first; none if there is no such directory. A folder of
    any other name, as 00000004.bak or 2019-holiday, is none of ours."""
    found = [path for path in directory.iterdir() if re.fullmatch(r"[0-9]{8,}", path.name)] if directory.is_dir() else []
    return sorted((path for path in found if path.is_dir()), key=lambda path: int(path.name))


@dataclass(frozen=True)
class RunDirectory:
    """One run of one seed."""

    path: Path

    @property
    def config(self) -> Path:
        """Every setting, and the versions; the directory is a run from when it is written."""
        return self.path / "config.json"

    @property
    def metrics(self) -> Path:
        """One JSON object a line, see `metrics.py`."""
        return self.path / "metrics.jsonl"

    @property
    def history(self) -> Path:
        """When it began, was stopped, resumed and changed: one JSON object a line, see `history.py`."""
        return self.path / "history.jsonl"

    @property
    def cluster(self) -> Path:
        """What happened to the parts of a run on a cluster: one JSON object a line, see `report/cluster.py`."""
        return self.path / "cluster.jsonl"

    @property
    def histories(self) -> Path:
        """Of --record-histories: every transition of every environment."""
        return self.path / HISTORIES

    @property
    def teacher_scores(self) -> Path:
        """What each teacher scores alone, measured before training."""
        return self.path / "teacher_scores.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def trace(self) -> Path:
        """Of `--profile`."""
        return self.path / "trace.json"

    @property
    def schedule(self) -> Path:
        """Of the best member of a population: lambda over its ancestry, to train with it again."""
        return self.path / "schedule.json"

    @property
    def end(self) -> Path:
        """Frames and seconds, written last."""
        return self.path / "finished.json"

    @property
    def begun(self) -> bool:
        return self.config.exists()

    @property
    def finished(self) -> bool:
        return self.end.exists()

    @property
    def newest_checkpoint(self) -> Path | None:
        found = checkpoints(self.checkpoints)
        return found[-1] if found else None


@dataclass(frozen=True)
class PopulationDirectory:
    """The members of a population and, at its end, the best of them as a run."""

    path: Path

    @property
    def population(self) -> Path:
        """Configuration of members and population; the directory is a population from when it is written."""
        return self.path / "population.json"

    @property
    def lineage(self) -> Path:
        """Who copied whom, every hyperparameter over time."""
        return self.path / "lineage.json"

    @property
    def checkpoints(self) -> Path:
        """Of all members together."""
        return self.path / "checkpoints"

    UNDER_WAY: ClassVar = ".under-way"

    def under_way(self, round_: int, member: int) -> Path:
        """Checkpoints of a member within a round that is not yet complete."""
        return self.checkpoints / f"{round_:08d}{self.UNDER_WAY}" / f"member-{member:02d}"

    @property
    def history(self) -> Path:
        """As of a run."""
        return self.path / "history.jsonl"

    @property
    def best(self) -> RunDirectory:
        return RunDirectory(self.path / "best")

    def member(self, number: int) -> RunDirectory:
        """Configuration and metrics of one member; its weights are in the population's checkpoints."""
        return RunDirectory(self.path / "members" / f"{number:02d}")

    def members(self) -> list[RunDirectory]:
        """Those that have begun, in order."""
        return [RunDirectory(path) for path in sorted((self.path / "members").glob("*"))]

    @property
    def begun(self) -> bool:
        return self.population.exists()

    @property
    def finished(self) -> bool:
        return self.best.finished


@dataclass(frozen=True)
class TuneDirectory:
    """A search for settings: a run for every configuration."""

    path: Path

    @property
    def tune(self) -> Path:
        """Configuration 0, budget, teachers' scores, versions; the directory is a tune from when it is written."""
        return self.path / "tune.json"

    @property
    def results(self) -> Path:
        """Settings and scores of every configuration."""
        return self.path / "results.json"

    @property
    def recipe(self) -> Path:
        """The winner's settings, written last."""
        return self.path / "recipe.toml"

    def run(self, number: int) -> RunDirectory:
        return RunDirectory(self.path / "runs" / f"{number:02d}")

    @property
    def begun(self) -> bool:
        return self.tune.exists()

    @property
    def finished(self) -> bool:
        return self.recipe.exists()


@dataclass(frozen=True)
class JobDirectory:
    """What is added to the directory of a run or population that runs as a job, a process of its own."""

    path: Path

    @property
    def job(self) -> Path:
        """What was asked for."""
        return self.path / "job.json"

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.path / "log.txt"

    @property
    def diverged(self) -> Path:
        """Why it came to an early end that is a result."""
        return self.path / "diverged.json"


def finished(path: Path) -> bool:
    """Whether the run or population in this directory came to its end."""
    return RunDirectory(path).finished or PopulationDirectory(path).finished
