"""Read run directories: configuration, metrics and, where they are there, the teachers' scores.

A population is the run in its `best/`, whose metrics follow the ancestry of its best member; its lineage is read elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kickstarting.console import visible
from kickstarting.ranges import shown
from kickstarting.runs.files import FileError, blaming, digest_of, read_json, typed
from kickstarting.runs.layout import PopulationDirectory, RunDirectory
from kickstarting.runs.metrics import read_metrics
from kickstarting.teachers.references import Reference, parse_reference

TASK_SCORE = "task_score/"
LAMBDA = "lambda/"
SCHEDULE = "linear:1:0:20%"
REMEDY = "restore the file, or leave the run out"


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
    suite_sha256: of the file that said what the suite is; empty of a run that did not write it down.

    Every text is `visible`, so that names need to be escaped for a format, but not for what they would do to a terminal or a line.
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
    schedule: str = SCHEDULE
    suite_sha256: str = ""

    def curve(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Frames [M] and values [M] of the lines that hold a number for this column."""
        values = self.columns.get(column, np.full(len(self.frames), np.nan))
        known = np.isfinite(values)
        return self.frames[known], values[known]

    @property
    def in_points(self) -> bool:
        """Whether scores are points, 100 of which are the reference; where a task has none, its score is the metric itself."""
        return not any(self._is_metric(task) for task in self.names(TASK_SCORE))

    def _is_metric(self, task: str) -> bool:
        _, scores = self.curve(TASK_SCORE + task)
        metrics = (self.curve(f"{metric}/{task}")[1] for metric in ("task_return", "task_success"))
        return bool(scores.any()) and any(len(x) == len(scores) and np.allclose(x, scores, rtol=1e-6) for x in metrics)

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
    first_of: dict[str, Run] = {}
    for run in runs:
        other = seen.setdefault((run.name, run.seed), run)
        if other is not run:
            raise ValueError(
                f"{other.directory} and {run.directory} are both run {run.name!r} with seed {run.seed}; "
                "leave one out or give it another name"
            )
        if run.suite != runs[0].suite:
            raise ValueError(
                f"{runs[0].directory} is of suite {shown(runs[0].suite)} but {run.directory} is of suite {shown(run.suite)}; "
                "compare runs of one suite at a time"
            )
        if run.suite_sha256 and (first := first_of.setdefault(run.suite, run)).suite_sha256 != run.suite_sha256:
            raise ValueError(
                f"{first.directory} and {run.directory} are of two versions of suite {shown(run.suite)}, "
                "whose file was changed between "
                "them; compare runs of one version at a time"
            )
    return runs


def _find(directory: Path) -> list[Path]:
    """Run directories at or below this one; of a population the best member only.

    A run's own folders (checkpoints) are not searched.
    """
    found, waiting = [], [directory]
    while waiting:
        folder = waiting.pop()
        below = _folders(folder)
        run, population = RunDirectory(folder), PopulationDirectory(folder)
        if population.begun and not run.begun:
            if not population.finished:
                raise ValueError(f"the population in {folder} has no best member yet; let it finish, or leave it out")
            below = [population.best.path]
        if run.begun:
            found.append(run.path)
        else:
            waiting += reversed(below)
    if not found:
        name = RunDirectory(directory).config.name
        raise ValueError(f"{directory} holds no {name} at any depth; name a run directory or a folder that holds some")
    return found


def _folders(directory: Path) -> list[Path]:
    """In order, without links, which may lead in a circle. Raises ValueError if the directory cannot be looked into."""
    try:
        with os.scandir(directory) as entries:
            return sorted(directory / entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        raise ValueError(f"there is no directory {directory}; name a run directory or a folder that holds some") from None
    except NotADirectoryError:
        raise ValueError(f"{directory} is no directory; name a run directory or a folder that holds some") from None
    except OSError as error:
        raise ValueError(f"{directory} cannot be read: {error.strerror or error}; fix permissions, or leave it out") from error


def load_run(directory: Path) -> Run:
    """Read one run directory. Raises FileError if a file in it is missing or damaged."""
    files, population = RunDirectory(directory), PopulationDirectory(directory.parent)
    if not os.path.lexists(files.config):
        raise FileError(f"{files.config} is missing; {directory} is not a complete run directory, leave it out or run it again")
    config = all_visible(read_json(files.config, remedy=REMEDY))
    with blaming(files.config, remedy=REMEDY):
        teaching = typed(config.get("teaching", config), dict, "'teaching'")  # of earlier versions all settings stood side by side
        placed = {
            "name": typed(config["name"], str, "'name'"),
            "seed": typed(config["seed"], int, "'seed'"),
            "suite": typed(config["suite"], str, "'suite'"),
            "total_frames": typed(config["total_frames"], int, "'total_frames'"),
            "teachers": tuple(_reference(entry) for entry in typed(teaching.get("teachers") or [], list, "'teachers'")),
            "schedule": typed(teaching.get("schedule", SCHEDULE), str, "'schedule'"),
            "suite_sha256": _suite_sha256(typed(config.get("inputs", []), list, "'inputs'")),
        }
        if placed["total_frames"] < 1:
            raise ValueError(f"'total_frames' is {placed['total_frames']}, below 1")
    lines = [all_visible(line) for line in read_metrics(files.metrics)]
    run = Run(
        directory=directory,
        **placed,
        frames=np.array([line["frames"] for line in lines], dtype=np.int64),
        columns=_columns(lines),
        teacher_scores=_read_teacher_scores(files.teacher_scores, config.get("teacher_scores")),
        population=population.path if population.begun else None,
    )
    if not len(run.curve("score")[0]):
        raise ValueError(
            f"{files.metrics} has {len(lines)} lines but none with a score; let the run go on until every task has "
            "finished an episode, or leave it out"
        )
    return run


def all_visible(data: Any) -> Any:
    """Data with every text and name in it `visible`."""
    if isinstance(data, dict):
        return {visible(key): all_visible(value) for key, value in data.items()}
    if isinstance(data, list):
        return list(map(all_visible, data))
    return visible(data) if isinstance(data, str) else data


def _suite_sha256(inputs: list[Any]) -> str:
    digests = {
        typed(given["name"], str, "'name' of an input"): typed(given["sha256"], str, "'sha256' of an input") for given in inputs
    }
    return digests.get("suite", "")


def _reference(entry: Any) -> Reference:
    if isinstance(entry, dict):
        for key in ("ref", "pattern", "sha256"):
            typed(entry.get(key, ""), str, f"{key!r} of a teacher")
        adapters = typed(entry.get("adapters", []), list, "'adapters' of a teacher")
        entry = {**entry, "adapters": [typed(adapter, str, "an adapter of a teacher") for adapter in adapters]}
    return parse_reference(entry if isinstance(entry, dict) else typed(entry, str, "a teacher"))


def _columns(lines: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = {}
    for index, line in enumerate(lines):
        for key, value in line.items():
            if value is not None:
                columns.setdefault(key, np.full(len(lines), np.nan))[index] = value
    return columns


def _read_teacher_scores(path: Path, digest: object) -> dict[str, TeacherScore]:
    """digest: of what the run began with, where its configuration says so."""
    if digest is None and not os.path.lexists(path):
        return {}
    data = read_json(path, remedy=REMEDY)
    if digest not in (None, digest_of(data)):
        raise FileError(f"{path} is damaged or was altered: its SHA-256 differs from the one in config.json; {REMEDY}")
    data = all_visible(data)
    with blaming(path, remedy=REMEDY):
        return {name: _teacher_score(typed(entry, dict, f"what it says of {name!r}")) for name, entry in data.items()}


def _teacher_score(entry: dict[str, Any]) -> TeacherScore:
    tasks = typed(entry.get("tasks", {}), dict, "'tasks' of a teacher")
    scores = {task: typed(score, float, f"the score on {task!r}") for task, score in tasks.items()}
    return TeacherScore(typed(entry["score"], float, "'score' of a teacher"), scores)
