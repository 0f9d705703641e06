"""Runs of earlier versions are read, resumed, and teach: `0.1`, and `flat-config`, from before configurations had groups.

Each holds a teacher, and a student of it that has its last two checkpoints: resumed from the first, it must come to the second.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from kickstarting.learner import PAPER
from kickstarting.report import compare_runs
from kickstarting.runs.checkpoint import load_checkpoint
from kickstarting.runs.configuration import read_config
from kickstarting.runs.run import resume
from kickstarting.runs.versions import versions
from kickstarting.suites import load_suite
from kickstarting.teachers import Reference, load_teacher
from kickstarting.types import Inputs

OLD = Path(__file__).parents[1] / "data" / "old"
VERSIONS = ("0.1", "flat-config")


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to work in; the student names its teacher by a relative path."""
    shutil.copytree(OLD / request.param, tmp_path / "runs")
    monkeypatch.chdir(tmp_path / "runs")
    return tmp_path / "runs"


def test_an_old_configuration_means_what_it_meant(old: Path) -> None:
    config = read_config(old / "student" / "config.json")
    assert (config.suite, config.teaching.schedule, config.total_frames) == ("CartPole-v1", "linear:1:0:80%", 2000)
    assert config.teaching.references == (Reference("teacher", "Cart*"),)
    assert load_suite(config.suite).tasks[0].action_repeat == 1


def test_version_0_1_knew_the_papers_learner_only() -> None:
    """Read again it must not take today's defaults for what it did not name."""
    assert read_config(OLD / "0.1" / "student" / "config.json").learning.learner == PAPER
    later = read_config(OLD / "flat-config" / "student" / "config.json").learning.learner
    assert (later.loss.policy_clip, later.beta2) == (0.2, 0.999)


def test_an_old_run_goes_on_where_it_was_killed(old: Path) -> None:
    student = old / "student"
    wanted, lines = load_checkpoint(student / "checkpoints" / "00000004"), (student / "metrics.jsonl").read_text()
    shutil.rmtree(student / "checkpoints" / "00000004")
    (student / "finished.json").unlink()
    resume(student)
    found = load_checkpoint(student / "checkpoints" / "00000004")
    began_with = json.loads((student / "config.json").read_text())["versions"]
    if all(versions()[name].partition("+")[0] == began_with[name].partition("+")[0] for name in ("torch", "gymnasium", "envpool")):
        for name, tensor in wanted.network.items():
            torch.testing.assert_close(found.network[name], tensor, rtol=1e-3, atol=1e-4)
        before, after = (json.loads(text.splitlines()[-1]) for text in (lines, (student / "metrics.jsonl").read_text()))
        assert after["score"] == pytest.approx(before["score"], rel=0.2)
    assert found.record["frames"] == wanted.record["frames"]
    assert len((student / "metrics.jsonl").read_text().splitlines()) == len(lines.splitlines())


def test_an_old_run_teaches_and_is_compared(old: Path) -> None:
    teacher = load_teacher("teacher")
    zeros = torch.zeros(3, 2)
    inputs = Inputs({"observation": torch.zeros(3, 2, 4)}, zeros.long(), zeros, zeros.bool())
    label, _ = teacher.label(inputs, teacher.initial_state(2))
    assert label.values is not None
    assert torch.isfinite(label.policy).all()
    comparison = compare_runs([old / "student", old / "teacher"], out=None, bootstrap=10)
    assert {run.name for run in comparison.runs} == {"kickstarted", "scratch"}
    assert [t for run in comparison.runs for t in run.teachers] == ["Cart*=teacher"]
