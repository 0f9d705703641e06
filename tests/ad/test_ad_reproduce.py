"""The experiments of the paper: sound at every scale, resumable, and brought to a report."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from kickstarting.ad.findings import findings_tables
from kickstarting.ad.measured import Measured, measure, resampled_weights
from kickstarting.ad.plan import SCALES, Plan, Scale
from kickstarting.ad.recipes import DARK_ROOM, DARK_ROOM_SHOWN, DARK_ROOM_TRAINING
from kickstarting.ad.reproduce import experiments, reproduce
from kickstarting.ad.steps import Collect, Evaluate, Join, Train, carry_out
from kickstarting.ad.tasks import find_family

QUIET = Console(file=io.StringIO(), width=200)
SMALL = Scale(seeds=1, histories=0.01, updates=0.002, episodes=0.03)
QUICK = replace(DARK_ROOM, source="posterior", episodes=8)
TRAINING = replace(DARK_ROOM_TRAINING, episodes=2, batch=4)
OPTIONS = {"scale": "tiny", "seeds": 1, "out": None, "resume": False, "threads": 1, "console": QUIET}


def plan_of(name: str, scale: str) -> Plan:
    plan = Plan(SCALES[scale], Path("out"), (1, 2))
    experiments()[name].arms(plan)
    return plan


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", experiments())
def test_an_experiment_is_sound(name, scale):
    plan = plan_of(name, scale)
    before: set[Path] = set()
    for step in plan.steps:
        if isinstance(step, Collect):
            step.config.check()
        elif isinstance(step, Join):
            assert set(step.directories) <= before
        elif isinstance(step, Train):
            step.config.check()
            assert step.histories in before
        elif isinstance(step, Evaluate):
            assert step.model in before
            assert step.how.family == "" or find_family(step.how.family)
        assert step.out not in before
        before.add(step.out)
    assert {(arm.panel, arm.name) for arm in plan.arms}.__len__() == len(plan.arms)
    assert {path for arm in plan.arms for path in arm.evaluations} <= before


def test_experiments_share_steps():
    of = {name: {step.out for step in plan_of(name, "cpu").steps} for name in experiments()}
    assert of["prompting"] & of["environments"] & of["context"] & of["sources"] & of["single-stream"]


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Plan:
    """Two seeds of one arm and its baselines."""
    plan = Plan(SMALL, tmp_path_factory.mktemp("reproduce"), (1, 2), threads=1)
    plan.arm("in context", QUICK, TRAINING, replace(DARK_ROOM_SHOWN, rollouts=2), panel="room", baselines=True)
    carry_out(plan.steps, QUIET)
    return plan


def test_steps_are_done_once(done, monkeypatch):
    assert len(done.steps) == 6
    assert all(step.seconds is not None for step in done.steps)
    monkeypatch.setattr(Train, "work", lambda *_: pytest.fail("trained again"))
    carry_out(done.steps, QUIET)


def test_a_step_that_was_cut_short_is_done_again(done, tmp_path):
    plan = Plan(SMALL, tmp_path, (1,), threads=1)
    plan.arm("in context", QUICK, TRAINING, DARK_ROOM_SHOWN)
    collect, train, evaluate = plan.steps
    carry_out([collect], QUIET)
    (collect.out / "finished.json").unlink()
    carry_out(plan.steps, QUIET)
    assert evaluate.seconds is not None
    assert train.out.name == done.steps[1].out.name


def test_curves_are_means_over_seeds_and_tasks(done):
    found = {one.name: one for one in measure(done.arms)}
    assert set(found) == {"in context", "its source", "random actions"}
    one = found["in context"]
    assert one.shares.shape == (2 * 16, 2, 6)
    np.testing.assert_allclose(one.curve[0], one.shares.mean((0, 1)))
    assert one.cpu_seconds is not None
    assert found["its source"].cpu_seconds is None
    tables = findings_tables(list(found.values()))
    assert len(tables) == 2


def test_resamples_are_of_seeds_and_of_tasks_within_them():
    weights = resampled_weights(3, 5)
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_allclose(weights[0], 1 / 15)
    without_a_seed = (weights[1:].reshape(-1, 3, 5).sum(2) == 0).any(1).mean()
    assert without_a_seed == pytest.approx(1 - 6 / 27, abs=0.05)
    np.testing.assert_array_equal(weights, resampled_weights(3, 5))


def test_speed_by_hand():
    """A curve that is twice as fast as the other, up to the same end."""
    slow = np.clip(np.arange(40) / 30, 0, 1)
    fast = np.clip(np.arange(40) / 15, 0, 1)
    weights = np.ones((1, 1))
    one, other = (Measured(name, "", weights, curve[None, None]) for name, curve in (("fast", fast), ("slow", slow)))
    assert other.latest[0] == pytest.approx(1.0)
    assert one.episodes_to(np.array([0.8]))[0] == pytest.approx(0.8 * 15 + 1)
    assert one.speedup(other, 0.8)[0] == pytest.approx((0.8 * 30 + 1) / (0.8 * 15 + 1))
    assert one.failed == 0.0


def test_the_way_to_the_report(monkeypatch, tmp_path):
    class One:
        """Is it so?"""

        @staticmethod
        def arms(plan: Plan) -> None:
            plan.arm("in context", QUICK, TRAINING, DARK_ROOM_SHOWN, panel="room", baselines=True)
            plan.arm("no prompt", QUICK, TRAINING, DARK_ROOM_SHOWN, panel="other")

    monkeypatch.setattr("kickstarting.ad.reproduce.experiments", lambda: {"one": One})
    monkeypatch.setitem(SCALES, "tiny", SMALL)
    options = {**OPTIONS, "out": tmp_path}
    report = reproduce("one", **options)
    assert {path.name for path in report.path.iterdir()} == {
        "experiment.json",
        "comparison.json",
        "table.md",
        "report.html",
        "curves.png",
        "curves.svg",
    }
    numbers = json.loads(report.numbers.read_text())
    assert [curve["name"] for curve in numbers["curves"]] == ["in context", "its source", "random actions", "no prompt"]
    assert "Is it so?" in report.page.read_text()
    assert "| in context |" in report.table.read_text()
    with pytest.raises(ValueError, match="was begun already; add --resume"):
        reproduce("one", **options)
    reproduce("one", **{**options, "resume": True})


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [("contxt", {}, "'contxt'; did you mean context"), ("context", {"scale": "cpus"}, "'cpus'; did you mean cpu")],
)
def test_bad_input_is_said_before_any_work(name, changes, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        reproduce(name, **{**OPTIONS, "out": tmp_path, **changes})
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", experiments())
def test_tiny_runs_to_its_report(name, tmp_path):
    report = reproduce(name, **{**OPTIONS, "out": tmp_path})
    assert report.page.exists()
