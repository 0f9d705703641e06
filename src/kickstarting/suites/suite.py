"""Reading suites, and the scores of their tasks."""

from __future__ import annotations

import fnmatch
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from kickstarting.algo.parsing import nearest
from kickstarting.envs.backends import BACKENDS, check_frames
from kickstarting.ranges import FRAMES, Range, check, check_label, hints_of, shown
from kickstarting.trust import check_trusted

_HERE = Path(__file__).parent


SCORE = Range(-1e15, 1e15)


@dataclass(frozen=True)
class Task:
    """One task of a suite."""

    name: str
    env_id: str
    backend: str = "envpool"
    """A name in `envs.BACKENDS`: envpool, gymnasium, gymnasium-async or gymnasium-vector."""
    metric: str = "return"
    """return, or success: 1 if the episode's last reward was positive, else 0."""
    random: Annotated[float | None, SCORE] = None
    """The metric of a uniformly random policy, measured."""
    reference: Annotated[float | None, SCORE] = None
    """The metric that scores 100."""
    category: str = ""
    action_repeat: Annotated[int, Range(0, 10**6)] = 0
    """Number of simulator frames in one agent step. Unless given: the backend's own frame skip, or 1 if it has none."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Passed to the backend's `make`."""

    def __post_init__(self) -> None:
        if self.action_repeat == 0:
            object.__setattr__(self, "action_repeat", self.frame_skip() or 1)

    def frame_skip(self) -> int | None:
        """The backend's own, as far as it is known without making the environment."""
        return BACKENDS[self.backend].frame_skip_of(self.env_id, self.options) if self.backend in BACKENDS else None

    def score(self, metric: float) -> float:
        """100 * (metric - random) / (reference - random), capped at 100; the metric itself where no reference is known."""
        if self.random is None or self.reference is None:
            return metric
        return min(100.0, 100.0 * (metric - self.random) / (self.reference - self.random))

    def score_error(self, metrics: Sequence[float]) -> float:
        """The standard error of the score of these episodes, before the cap."""
        spread = float(np.std(metrics)) / max(1.0, len(metrics) - 1.0) ** 0.5
        return spread if self.random is None or self.reference is None else 100.0 * spread / (self.reference - self.random)

    def metric_of(self, episode_return: float, success: bool) -> float:
        return float(success) if self.metric == "success" else episode_return


@dataclass(frozen=True)
class Suite:
    """A named list of tasks."""

    name: str
    tasks: tuple[Task, ...]
    description: str = ""
    frames: int = 1_000_000
    """A sensible budget."""
    privileged: tuple[str, ...] = ()
    """Names of observations that are for teachers, and never for a student."""


def builtin_suites() -> list[str]:
    """The names of the suites that come with the package."""
    return sorted(path.stem for path in _HERE.glob("*.toml"))


def load_suite(name: str) -> Suite:
    """A suite by name, by the path of a TOML file, or any single EnvPool or Gymnasium environment id as a suite of one.

    SUITE:PATTERN,PATTERN is the part of a suite whose tasks match one of the glob patterns: `grid-30:door_key,memory_*`.

    Raises ValueError with the nearest names if there is none, or with the key at fault if the file does not fit.
    """
    suite, colon, patterns = name.partition(":")
    if colon and (suite in builtin_suites() or suite.endswith(".toml")):
        return _part(load_suite(suite), patterns)
    if name in builtin_suites():
        return _read(_HERE / f"{name}.toml")
    if name.endswith(".toml"):
        if not os.path.exists(name):  # which, unlike that of a Path, knows names that no file can have
            raise ValueError(f"no suite file at {name}")
        return _read(Path(name))
    backend, _, env_id = name.partition(":")
    if backend in BACKENDS and env_id:
        return Suite(name, (_single(env_id, backend),))
    for backend, adapter in BACKENDS.items():
        if name in adapter.ids():
            return Suite(name, (_single(name, backend),))
    known = [*builtin_suites(), *(env_id for adapter in BACKENDS.values() for env_id in adapter.ids())]
    hint = nearest(name, known)
    if hint.startswith("known"):
        hint = f"known: {', '.join(builtin_suites())}, a .toml file, or any EnvPool or Gymnasium environment id"
    raise ValueError(f"unknown suite {name!r}; {hint}")


def suite_file(name: str) -> Path | None:
    """The TOML file behind a suite's name; None for the id of an environment."""
    file = name.partition(":")[0]
    if file in builtin_suites():
        return _HERE / f"{file}.toml"
    return Path(file) if file.endswith(".toml") else None


def env_in(name: str) -> str:
    """The environment's id in the name of a suite of one, without the backend's name; empty for other suites."""
    backend, _, env_id = name.partition(":")
    return "" if suite_file(name) else env_id if backend in BACKENDS else name


def _part(suite: Suite, patterns: str) -> Suite:
    names = [task.name for task in suite.tasks]
    for pattern in patterns.split(","):
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"no task of {suite.name} matches {pattern!r}; {nearest(pattern, names)}")
    tasks = tuple(task for task in suite.tasks if any(fnmatch.fnmatchcase(task.name, p) for p in patterns.split(",")))
    return replace(suite, name=f"{suite.name}:{patterns}", tasks=tasks)


def _single(env_id: str, backend: str) -> Task:
    if env_id.rpartition(":")[2].startswith(("MiniGrid", "BabyAI")):
        return Task(env_id, env_id, backend, metric="success", random=0.0, reference=1.0)
    return Task(env_id, env_id, backend)


def _read(path: Path) -> Suite:
    try:
        data = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}; give a suite's TOML file") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from error
    for key in data:
        if key not in (known := ("name", "description", "frames", "privileged", "defaults", "task")):
            raise ValueError(f"{path}: a suite has no {shown(key)}; {nearest(key, known)}")
    defaults, entries, frames = data.get("defaults", {}), data.get("task", []), data.get("frames", 1_000_000)
    if not (isinstance(entries, list) and entries and all(isinstance(entry, dict) for entry in (defaults, *entries))):
        raise ValueError(f"{path} has no [[task]], or a task or [defaults] that is no table")
    name, description, privileged = data.get("name", path.stem), data.get("description", ""), data.get("privileged", [])
    try:
        check("frames", frames, Annotated[int, FRAMES])
        check("name", name, str)
        check("description", description, str)
        check("privileged", privileged, tuple[str, ...])
        check_label("name", name)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    tasks = tuple(_task({**defaults, **entry}, path) for entry in entries)
    names = [task.name for task in tasks]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{path} names {', '.join(sorted(twice))} twice; task names are unique")
    return Suite(name, tasks, description, frames, tuple(privileged))


def _task(entry: dict[str, Any], path: Path) -> Task:
    known = {f.name for f in fields(Task)}
    hints = hints_of(Task)
    for key, value in entry.items():
        if key not in known:
            raise ValueError(f"{path}: a task has no {shown(key)}; {nearest(key, sorted(known))}")
        try:
            check(f"{key} of a task", value, hints[key])
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    if "env_id" not in entry:
        raise ValueError(f"{path}: a task lacks env_id")
    entry.setdefault("name", entry["env_id"])
    for key in ("name", "env_id"):
        check_label(f"{path}: {key} of a task", entry[key])
    if entry.get("action_repeat", 1) < 1:
        raise ValueError(f"{path}: task {entry['name']!r} has action_repeat {entry['action_repeat']}; it must be at least 1")
    check_trusted(str(entry["env_id"]), path)  # a Task looks at its environment
    try:
        task = Task(**entry)
        frame_skip = task.frame_skip()
        check("action_repeat, or a frame_skip among its options,", task.action_repeat, hints["action_repeat"])
    except (TypeError, ValueError, OverflowError) as error:  # options that are none of the backend's
        raise ValueError(f"{path}: task {entry['name']!r} cannot have options {shown(entry.get('options'))}: {error}") from error
    if task.metric not in ("return", "success"):
        raise ValueError(f"{path}: task {task.name!r} has metric {task.metric!r}; known: return, success")
    if task.backend not in BACKENDS:
        raise ValueError(f"{path}: task {task.name!r} has backend {task.backend!r}; known: {', '.join(BACKENDS)}")
    try:
        check_frames(task, frame_skip)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if task.random is not None and task.reference is not None and not task.reference - task.random > 1e-9:
        raise ValueError(f"{path}: task {task.name!r} has reference {task.reference} not above random {task.random}")
    return task
