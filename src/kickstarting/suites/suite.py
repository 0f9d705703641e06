"""Suites by name: those that come with the package, a user's own files, parts of them, and single environments."""

from __future__ import annotations

import fnmatch
import os
from dataclasses import replace
from pathlib import Path

from kickstarting.algo.parsing import nearest
from kickstarting.envs.backends import BACKENDS
from kickstarting.envs.games import game_of
from kickstarting.suites.file import HERE, builtin_suites, read_suite
from kickstarting.suites.task import Suite, Task


def load_suite(name: str) -> Suite:
    """A suite by name, by the path of a TOML file, or any single EnvPool or Gymnasium environment id as a suite of one.

    SUITE:PATTERN,PATTERN is the part of a suite whose tasks match one of the glob patterns: `grid-30:door_key,memory_*`.

    Raises ValueError with the nearest names if there is none, or with the key at fault if the file does not fit.
    """
    suite, colon, patterns = name.partition(":")
    if colon and (suite in builtin_suites() or suite.endswith(".toml")):
        return _part(load_suite(suite), patterns)
    if name in builtin_suites():
        return read_suite(HERE / f"{name}.toml")
    if name.endswith(".toml"):
        if not os.path.exists(name):  # which, unlike that of a Path, knows names that no file can have
            raise ValueError(f"no suite file at {name}")
        return read_suite(Path(name))
    backend, _, env_id = name.partition(":")
    if backend in BACKENDS and env_id:
        return Suite(name, (_single(env_id, backend),))
    for backend, adapter in BACKENDS.items():
        if name in adapter.ids():
            return Suite(name, (_single(name, backend),))
    if game_of(name):  # whose package registers it when it is made
        return Suite(name, (_single(name, "gymnasium-async"),))
    known = [*builtin_suites(), *(env_id for adapter in BACKENDS.values() for env_id in adapter.ids())]
    hint = nearest(name, known)
    if hint.startswith("known"):
        hint = f"known: {', '.join(builtin_suites())}, a .toml file, or any EnvPool or Gymnasium environment id"
    raise ValueError(f"unknown suite {name!r}; {hint}")


def suite_file(name: str) -> Path | None:
    """The TOML file behind a suite's name; None for the id of an environment."""
    file = name.partition(":")[0]
    if file in builtin_suites():
        return HERE / f"{file}.toml"
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
