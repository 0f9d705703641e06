"""A run's learning history: every transition once, in order, also of a run that was killed and resumed."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from rich.console import Console

from kickstarting.population.ancestry import ancestry
from kickstarting.population.config import PopulationConfig
from kickstarting.population.run import resume_population, run_population
from kickstarting.population.state import save_population
from kickstarting.runs import consume
from kickstarting.runs.histories import Histories, read_about, read_histories
from kickstarting.runs.histories_writer import HistoriesWriter
from kickstarting.runs.layout import PopulationDirectory, RunDirectory
from kickstarting.runs.recording import Recorder
from kickstarting.runs.run import resume, run
from kickstarting.train import train

QUIET = Console(quiet=True)


def assert_equal(one: Histories, other: Histories) -> None:
    np.testing.assert_array_equal(one.starts, other.starts)
    for name, column in one.columns.items():
        np.testing.assert_array_equal(column, other.columns[name], err_msg=name)


@pytest.fixture(scope="module")
def config(tiny):
    return tiny(record_histories=True, checkpoint_every="96")


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory) -> Histories:
    out = tmp_path_factory.mktemp("run") / "whole"
    run(config, out)
    return read_histories(RunDirectory(out).histories)


def test_every_transition_of_every_column_is_there(config, whole):
    assert len(whole) == 4
    assert whole.about.tasks == ["object", "object", "obstacles", "obstacles"]
    assert np.diff(whole.starts).tolist() == [64] * 4
    expected = [update.trajectory for update in train(config, with_trajectories=True)]
    for name in ("actions", "rewards", "valid", "terminated", "truncated"):
        steps = np.concatenate([getattr(t, name).numpy() for t in expected if t is not None])
        column = whole.columns[{"actions": "action", "rewards": "reward"}.get(name, name)]
        np.testing.assert_array_equal(column.reshape(4, 64), steps.T)
    images = np.concatenate([t.inputs.observations["image"][:-1].numpy() for t in expected if t is not None])
    np.testing.assert_array_equal(whole.columns["observation/image"].reshape(4, 64, 7, 7, 3), images.swapaxes(0, 1))


def test_columns_are_named_in_the_order_of_the_learners(config, tmp_path):
    """Each has all tasks, as `test_replicas.py` sees in a trajectory."""
    recorder = Recorder(RunDirectory(tmp_path), config.changed(envs_per_task=4, learners=2), 0)
    recorder.close()
    assert read_about(RunDirectory(tmp_path).histories).tasks == ["object", "object", "obstacles", "obstacles"] * 2


def test_seams_begin_episodes(whole):
    first = whole.columns["is_first"].reshape(4, 64)
    assert first[:, [0, 24, 48]].all()  # a checkpoint every 96 frames, of four columns


def test_a_killed_run_goes_on_without_gap_or_double(config, whole, tmp_path):
    out = tmp_path / "killed"
    run_and_die(config, out)
    file = RunDirectory(out).histories
    with file.open("ab") as torn:
        torn.write(file.read_bytes()[-300:-20])  # what was begun after the checkpoint, and half a block
    resume(out, until=192)
    resume(out)
    assert_equal(read_histories(file), whole)


def run_and_die(config, out) -> None:
    """A run that dies after its first checkpoint."""
    with pytest.MonkeyPatch.context() as patch:
        saved = consume.save_checkpoint

        def save_and_die(*args, **options):
            saved(*args, **options)
            raise RuntimeError("killed")

        patch.setattr(consume, "save_checkpoint", save_and_die)
        with pytest.raises(RuntimeError, match="killed"):
            run(config, out)


def test_members_record_theirs_and_the_best_has_its_ancestrys(config, tmp_path):
    population, out = PopulationConfig(members=2, slice="96", burn_in="96"), PopulationDirectory(tmp_path / "out")
    run_population(config, population, out.path, console=QUIET)
    members = [read_histories(out.member(i).histories) for i in range(2)]
    assert [np.diff(member.starts).tolist() for member in members] == [[64] * 4] * 2
    best = read_histories(out.best.histories)
    last = json.loads(out.best.end.read_text())["member"]
    path = ancestry(json.loads(out.lineage.read_text()), last)
    for entry, (a, b) in zip(path, pairwise([0, *(entry["frames"] // 4 for entry in path)]), strict=True):
        expected = members[entry["member"]].columns["observation/image"].reshape(4, 64, -1)[:, a:b]
        np.testing.assert_array_equal(best.columns["observation/image"].reshape(4, 64, -1)[:, a:b], expected)


def test_a_killed_population_records_as_an_uninterrupted_one(config, tmp_path, monkeypatch):
    population = PopulationConfig(members=2, slice="96", burn_in="96")
    whole, killed = (PopulationDirectory(tmp_path / name) for name in ("whole", "killed"))
    run_population(config, population, whole.path, console=QUIET)

    def save_and_die(out, state):
        save_population(out, state)
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("kickstarting.population.run.save_population", save_and_die)
        with pytest.raises(RuntimeError, match="killed"):
            run_population(config, population, killed.path, console=QUIET)
    writer = HistoriesWriter(killed.member(0).histories, read_about(killed.member(0).histories), steps=24)
    writer.append({name: x[:4, None] for name, x in read_histories(whole.member(0).histories).columns.items()})
    writer.close()  # of a slice that the kill cut short
    resume_population(killed.path, console=QUIET)
    for i in range(2):
        assert_equal(read_histories(whole.member(i).histories), read_histories(killed.member(i).histories))
