"""A suite's TOML file, checked key by key."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from kickstarting.algo.parsing import nearest
from kickstarting.envs.backends import BACKENDS, check_frames
from kickstarting.ranges import FRAMES, check, check_label, hints_of, shown
from kickstarting.suites.task import Suite, Task
from kickstarting.trust import check_trusted

HERE = Path(__file__).parent
KEYS = ("name", "description", "source", "frames", "privileged", "extends", "defaults", "task")
TABLES = ("options", "preprocessing")
"""Keys of a task that a file which extends another adds to."""


def builtin_suites() -> list[str]:
    """The names of the suites that come with the package."""
    return sorted(path.stem for path in HERE.glob("*.toml"))


def read_suite(path: Path) -> Suite:
    """The suite in a file. Raises ValueError that names the file and the key at fault."""
    data = _load(path)
    frames, name, description = data.get("frames", 1_000_000), data.get("name", path.stem), data.get("description", "")
    source, privileged = data.get("source", ""), data.get("privileged", [])
    try:
        check("frames", frames, Annotated[int, FRAMES])
        check("name", name, str)
        check("description", description, str)
        check("source", source, str)
        check("privileged", privileged, tuple[str, ...])
        check_label("name", name)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    tasks = tuple(_task(dict(entry), path) for entry in data["task"])
    names = [task.name for task in tasks]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{path} names {', '.join(sorted(twice))} twice; task names are unique")
    return Suite(name, tasks, description, source, frames, tuple(privileged))


def extended(path: Path) -> Path | None:
    """The file of the built-in suite that a suite's file extends, if it does. Raises ValueError as `read_suite`."""
    base = _parse(path).get("extends")
    if base is None:
        return None
    if base not in builtin_suites():
        raise ValueError(f"{path} extends {shown(base)}; {nearest(str(base), builtin_suites())}")
    return HERE / f"{base}.toml"


def _load(path: Path) -> dict[str, Any]:
    """The keys of a file, with `task` as the whole of every task: with the file's defaults, and what it extends beneath."""
    data = _parse(path)
    defaults, entries = data.get("defaults", {}), data.get("task", [])
    tables = isinstance(entries, list) and all(isinstance(entry, dict) for entry in (defaults, *entries))
    if not tables or not (entries or "extends" in data):
        raise ValueError(f"{path} has no [[task]], or a task or [defaults] that is no table")
    if (base := extended(path)) is None:
        return {**data, "task": [{**defaults, **entry} for entry in entries]}
    below = _load(base)
    own = {entry.get("name"): entry for entry in entries}
    names = [entry["name"] for entry in below["task"]]
    if unknown := [name for name in own if name not in names]:
        raise ValueError(f"{path}: {base.stem} has no task {shown(unknown[0])}; {nearest(str(unknown[0]), names)}")
    tasks = [_over(entry, (defaults, own.get(entry["name"], {}))) for entry in below["task"]]
    return {**below, "name": path.stem, **data, "task": tasks}


def _over(entry: dict[str, Any], layers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A task with what lies over it; tables are joined key by key."""
    for layer in layers:
        tables = {key: {**entry.get(key, {}), **layer[key]} for key in TABLES if isinstance(layer.get(key), dict)}
        entry = {**entry, **layer, **tables}
    return entry


def _parse(path: Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}; give a suite's TOML file") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from error
    for key in data:
        if key not in KEYS:
            raise ValueError(f"{path}: a suite has no {shown(key)}; {nearest(key, KEYS)}")
    return data


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
        told = ", ".join(f"{key} {shown(entry[key])}" for key in TABLES if key in entry) or "no options"
        raise ValueError(f"{path}: task {entry['name']!r} cannot have {told}: {error}") from error
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
