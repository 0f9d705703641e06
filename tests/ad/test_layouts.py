"""Histories in the layouts of others: there and back they are the same, and what others wrote trains here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kickstarting.ad.collect import CollectConfig, collect
from kickstarting.ad.layouts import export_histories, import_histories
from kickstarting.ad.layouts.ad_eps import METADATA
from kickstarting.ad.layouts.episodes import episodes_of, histories_of
from kickstarting.ad.saved import TrainConfig
from kickstarting.ad.training import train_model
from kickstarting.runs.files import FileError
from kickstarting.runs.histories import Histories, read_histories
from kickstarting.runs.histories_writer import write_histories
from kickstarting.runs.layout import HISTORIES


def assert_equal(a: Histories, b: Histories) -> None:
    assert list(a.about.tasks) == list(b.about.tasks)
    np.testing.assert_array_equal(a.starts, b.starts)
    for name, column in a.columns.items():
        np.testing.assert_array_equal(column[a.columns["valid"]], b.columns[name][b.columns["valid"]], err_msg=name)
    seen = "observation/observation"
    np.testing.assert_array_equal(a.columns[seen], b.columns[seen])  # last observations, too


@pytest.mark.parametrize("family", ["dark-room", "key-to-door"])
def test_ad_eps_there_and_back(family, tmp_path):
    collect(CollectConfig(family, "noise", histories=3, episodes=4), tmp_path / "ours")
    export_histories(tmp_path / "ours", "ad-eps", tmp_path / "theirs")
    import_histories(tmp_path / "theirs", "ad-eps", tmp_path / "back", family)
    assert_equal(read_histories(tmp_path / "ours" / HISTORIES), read_histories(tmp_path / "back" / HISTORIES))


@pytest.fixture
def theirs(tmp_path) -> Path:
    """As its generator writes it: one way from the centre of 9x9 up and right, to the goal in row 3, column 5."""
    out = tmp_path / "theirs" / "a1b2c"
    out.mkdir(parents=True)
    states = np.array([[40, 31, 32], [40, 40, 41]], float)
    actions, rewards = np.array([[1, 2, 0], [0, 2, 1]]), np.array([[0, 1, 1], [0, 0, 1]], float)
    dones = np.array([[0, 0, 1], [0, 0, 1]], np.int32)
    np.savez(out / "trajectories_1.npz", states=states, actions=actions, rewards=rewards, dones=dones, eps=np.ones((2, 3)))
    metadata = {"algorithm": "opt-eps", "label": "label", "ordered_trajectories": ["trajectories_1.npz"], "goal": [[3, 5]]}
    (out / METADATA).write_text(json.dumps(metadata))
    return out.parent


def test_ad_eps_means_what_its_authors_mean(theirs, tmp_path):
    found = import_histories(theirs, "ad-eps", tmp_path / "ours")
    assert found.about.tasks == [[5, 3]]
    first, second = episodes_of(found, 0)
    assert first.observations["observation"].tolist() == [[4, 4], [4, 3], [5, 3], [5, 3]]
    assert first.actions.tolist() == [2, 1, 4]  # up, right, noop
    assert second.observations["observation"].tolist() == [[4, 4], [4, 4], [5, 4], [5, 3]]
    assert second.rewards.tolist() == [0, 0, 1]
    train_model(TrainConfig(episodes=2, skip=(1,), updates=1, batch=2, threads=1), tmp_path / "ours", tmp_path / "model")


def test_episodes_of_different_lengths_are_pickles_and_need_trust(theirs, tmp_path, monkeypatch):
    (file,) = theirs.rglob("*.npz")
    states = np.array([[40.0, 31.0], [40.0]], object)
    np.savez(file, states=states, actions=np.array([[1, 2], [0]], object), rewards=np.array([[0.0, 1.0], [0.0]], object))
    with pytest.raises(ValueError, match="--trust-pickle"):
        import_histories(theirs, "ad-eps", tmp_path / "ours")
    monkeypatch.setattr("kickstarting.trust._trusted", {"<pickle>"})
    first, second = episodes_of(import_histories(theirs, "ad-eps", tmp_path / "ours"), 0)
    assert (first.truncated, second.terminated) == (True, True)


def test_what_does_not_fit_is_told(theirs, tmp_path, histories):
    with pytest.raises(FileError, match=r"holds no \*.metadata"):
        import_histories(tmp_path / "nowhere", "ad-eps", tmp_path / "out")
    with pytest.raises(ValueError, match="dark rooms; these are of bandit"):
        import_histories(theirs, "ad-eps", tmp_path / "out", "bandit")
    (file,) = theirs.rglob("*.npz")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(FileError, match="trajectories_1"):
        import_histories(theirs, "ad-eps", tmp_path / "out")
    with pytest.raises(ValueError, match="in use already"):
        export_histories(histories, "ad-eps", theirs)
    assert not (tmp_path / "out").exists()


def test_minari_there_and_back(tmp_path):
    minari = pytest.importorskip("minari")
    pytest.importorskip("h5py")
    collect(CollectConfig("dark-room", "noise", histories=3, episodes=4), tmp_path / "ours")
    export_histories(tmp_path / "ours", "minari", tmp_path / "data")
    dataset = minari.MinariDataset(str(tmp_path / "data"))
    assert dataset.total_episodes == 12
    ours = read_histories(tmp_path / "ours" / HISTORIES)
    found = import_histories(tmp_path / "data", "minari", tmp_path / "back")
    assert_equal(ours, found)
    assert found.about.to_json() == ours.about.to_json()


def test_minari_of_others_is_one_history(tmp_path):
    minari = pytest.importorskip("minari")
    pytest.importorskip("h5py")
    collect(CollectConfig("dark-room", "noise", histories=1, episodes=4), tmp_path / "ours")
    export_histories(tmp_path / "ours", "minari", tmp_path / "data")
    file = tmp_path / "data" / "metadata.json"
    metadata = json.loads(file.read_text())
    del metadata["kickstarting"]
    file.write_text(json.dumps(metadata))
    found = import_histories(tmp_path / "data", "minari", tmp_path / "back")
    assert found.about.facts["suite"] == metadata["dataset_id"]
    assert len(found) == 1
    assert minari.__version__
    named = import_histories(tmp_path / "data", "minari", tmp_path / "named", "dark-room")
    assert named.about.facts["family"] == "dark-room"


def test_an_episode_without_its_last_observation_ends_a_step_earlier(histories):
    found = read_histories(histories / HISTORIES)
    steps = found.starts[1]
    cut = Histories(
        replace(found.about, tasks=[[0, 0]]), {n: x[: steps - 1] for n, x in found.columns.items()}, np.array([0, steps - 1])
    )
    episodes = list(episodes_of(cut, 0))
    assert [len(e.actions) for e in episodes] == [20] * 7 + [19]
    assert episodes[-1].truncated
    back = histories_of(cut.about, [episodes])
    assert back.starts.tolist() == [0, 7 * 21 + 20]


def test_histories_of_different_lengths_are_written_whole(histories, tmp_path, monkeypatch):
    monkeypatch.setattr("kickstarting.runs.histories_writer.FLUSH", 1000)  # many blocks
    found = read_histories(histories / HISTORIES)
    a, b = int(found.starts[1]), int(found.starts[1]) // 2
    columns = {name: np.concatenate([x[:a], x[:b]]) for name, x in found.columns.items()}
    two = Histories(replace(found.about, tasks=[[1, 1], [2, 2]]), columns, np.array([0, a, a + b]))
    write_histories(tmp_path / HISTORIES, two)
    back = read_histories(tmp_path / HISTORIES)
    np.testing.assert_array_equal(back.starts, two.starts)
    for name, column in two.columns.items():
        np.testing.assert_array_equal(back.columns[name], column)
