"""Read run directories: configuration, metrics and, where they are there, the teachers' scores.

A population is the run in its `best/`, whose metrics follow the ancestry of its best member; its lineage is read elsewhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kickstarting.runs.layout import PopulationDirectory, RunDirectory
from kickstarting.runs.metrics import read_metrics
from kickstarting.teachers.references import Reference, parse_reference

TASK_SCORE = "task_score/"
LAMBDA = "lambda/"


@dataclass(frozen=True)
class TeacherScore:
    """What a teacher scores alone: over its tasks, and on each of them (which may be fewer than the suite's)."""

    score: float
    tasks: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Run:
    """One run of one seed. frames: [N], rising; columns: every number of metrics.jsonl as [N], nan where a line has none.

    teachers: in the order given; teacher_names: the short name of each, once they are named.
    population: the directory of the population whose best member this is.
    """

    directory: Path
    name: str
    seed: int
    suite: str
    total_frames: int
    teachers: tuple[Reference, ...]
    frames: np.ndarray
    columns: Mapping[str, np.ndarray]
    teacher_scores: Mapping[str, TeacherScore]
    teacher_names: tuple[str, ...] = ()
    population: Path | None = None
    schedule: str = "linear:1:0:20%"

    def curve(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Frames [M] and values [M] of the lines that hold a number for this column."""
        values = self.columns.get(column, np.full(len(self.frames), np.nan))
        known = np.isfinite(values)
        return self.frames[known], values[known]

    def names(self, prefix: str) -> tuple[str, ...]:
        """What stands behind `prefix` in the column names, such as the tasks behind TASK_SCORE."""
        return tuple(column.removeprefix(prefix) for column in self.columns if column.startswith(prefix))


def load_runs(directories: Sequence[Path]) -> tuple[Run, ...]:
    """The runs in or below `directories`, in the order given. One suite, and no (name, seed) twice."""
    paths: dict[Path, Path] = {}  # resolved -> as given, so that overlapping arguments count a run once
    for directory in directories:
        for path in _find(Path(directory)):
            paths.setdefault(path.resolve(), path)
    if not paths:
        raise ValueError("no run directory was given to compare; name at least one")
    runs = tuple(load_run(path) for path in paths.values())
    seen: dict[tuple[str, int], Run] = {}
    for run in runs:
        other = seen.setdefault((run.name, run.seed), run)
        if other is not run:
            raise ValueError(
                f"{other.directory} and {run.directory} are both run {run.name!r} with seed {run.seed}; "
                "leave one out or give it another name"
            )
        if run.suite != runs[0].suite:
            raise ValueError(
                f"{runs[0].directory} is of suite {runs[0].suite!r} but {run.directory} is of suite {run.suite!r}; "
                "compare runs of one suite at a time"
            )
    return runs


def _find(directory: Path) -> list[Path]:
    """Run directories at or below this one; of a population the best member only.

    A run's own folders (checkpoints) are not searched.
    """
    if not directory.is_dir():
        raise ValueError(f"there is no directory {directory}; name a run directory or a folder that holds some")
    found = []
    for folder, below, _ in os.walk(directory):
        run, population = RunDirectory(Path(folder)), PopulationDirectory(Path(folder))
        below.sort()
        if population.begun:
            if not population.best.path.is_dir():
                raise ValueError(f"the population in {folder} has no best member yet; let it finish, or leave it out")
            below[:] = [population.best.path.name]
        if run.begun:
            found.append(run.path)
            below.clear()
    if not found:
        name = RunDirectory(directory).config.name
        raise ValueError(f"{directory} holds no {name} at any depth; name a run directory or a folder that holds some")
    return found


def load_run(directory: Path) -> Run:
    """Read one run directory."""
    files, population = RunDirectory(directory), PopulationDirectory(directory.parent)
    config = _read_object(files.config)
    for key in ("name", "seed", "suite", "total_frames"):
        if key not in config:
            raise ValueError(f"{files.config} has no {key!r}; add it, a report cannot place the run without it")
    teaching = config.get("teaching", config)  # of earlier versions all settings stood side by side
    lines = read_metrics(files.metrics)
    frames = np.array([line["frames"] for line in lines], dtype=np.int64)
    run = Run(
        directory=directory,
        name=str(config["name"]),
        seed=int(config["seed"]),
        suite=str(config["suite"]),
        total_frames=int(config["total_frames"]),
        teachers=tuple(parse_reference(teacher) for teacher in teaching.get("teachers") or ()),
        frames=frames,
        columns=_columns(lines),
        teacher_scores=_read_teacher_scores(files.teacher_scores),
        population=population.path if population.begun else None,
        schedule=str(teaching.get("schedule", "linear:1:0:20%")),
    )
    if not len(run.curve("score")[0]):
        raise ValueError(
            f"{files.metrics} has {len(lines)} lines but none with a score; let the run go on until every task has "
            "finished an episode, or leave it out"
        )
    return run


def _read_object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path} is missing; {path.parent} is not a complete run directory, leave it out or run it again")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}); repair it or leave the run out") from error


def _columns(lines: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = {}
    for index, line in enumerate(lines):
        for key, value in line.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                columns.setdefault(key, np.full(len(lines), np.nan))[index] = value
    return columns


def _read_teacher_scores(path: Path) -> dict[str, TeacherScore]:
    if not path.is_file():
        return {}
    return {
        name: TeacherScore(float(entry["score"]), {task: float(score) for task, score in entry.get("tasks", {}).items()})
        for name, entry in _read_object(path).items()
    }
