"""The experiment on teachers of other libraries: its plan is sound, and each of its teachers can be asked."""

from __future__ import annotations

import csv
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from kickstarting.envs import describe
from kickstarting.runs.run import run
from kickstarting.suites import load_suite
from kickstarting.teachers import adapt, load_teacher
from kickstarting.teachers.adapters import parse_adapters
from kickstarting.trust import trust

ROOT = Path(__file__).parent.parent
SEEDS = 3


@pytest.fixture
def sweep(monkeypatch) -> Iterator[ModuleType]:
    """experiments/foreign-teachers/sweep.py, from the folder that it is run in."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("kickstarting.trust._trusted", set())
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    monkeypatch.syspath_prepend(str(ROOT / "experiments" / "foreign-teachers"))
    module = importlib.import_module("sweep")
    module.importable()
    yield module
    for name in ("sweep", "found"):
        sys.modules.pop(name, None)


def test_arms_differ_by_their_teacher_alone(sweep):
    runs = sweep.plan(sweep.WORLDS, SEEDS)
    teachers = sum(len(world.teachers) for world in sweep.WORLDS.values())
    assert teachers >= 5
    assert len(runs) == SEEDS * (teachers + len(sweep.WORLDS))
    for name, world in sweep.WORLDS.items():
        for seed in range(SEEDS):
            scratch, *taught = (runs[sweep.directory(name, arm, seed)] for arm in world.arms)
            assert not scratch.teaching.teachers
            for config in taught:
                config.check()
                assert config.changed(teachers=(), teacher_adapters=(), name=scratch.name) == scratch


@pytest.mark.parametrize("name", ["cartpole", "empty-room", "t-maze", "babyai", "pendulum"])
def test_every_teacher_reads_and_does_what_its_task_has(sweep, name):
    world = sweep.WORLDS[name]
    trust(world.settings.get("trust_modules", ()))
    suite = load_suite(world.suite)
    spaces = describe(suite.tasks)
    for ref in world.teachers.values():
        adapt(load_teacher(ref), parse_adapters(world.adapters), spaces.observation_space, spaces.action_space)
    (task,) = suite.tasks
    assert task.random is not None
    assert task.reference is not None


def test_what_was_found_is_written(sweep, tmp_path, monkeypatch, capsys):
    """Runs of a second each, with one of the teachers."""
    monkeypatch.setattr(sweep, "RUNS", tmp_path / "runs")
    found = {
        out: config.changed(total_frames=4_096, envs_per_task=4, score_window=1, network="small")
        for out, config in sweep.plan(["cartpole"], 1).items()
        if config.name != "SB3 DQN"
    }
    for out, config in found.items():
        run(config, out)
    results = importlib.import_module("found")
    results.write_report({"cartpole": list(found), "pendulum": []}, tmp_path)
    table = (tmp_path / "report" / "table.md").read_text()
    assert table in capsys.readouterr().out
    head, _, row = table.splitlines()
    assert len(row.split("|")) == len(head.split("|"))
    assert "| SB3 PPO | " in row
    with (tmp_path / "report" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["task"], row["arm"], row["seed"]) for row in rows} == {
        ("cartpole", "scratch", "0"),
        ("cartpole", "SB3 PPO", "0"),
    }
    assert np.isfinite([float(row["final"]) for row in rows]).all()
    assert (tmp_path / "report" / "curves.png").stat().st_size > 10_000
