"""Histories of several families as one: a model of them acts in each, and in one that it never saw."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.spaces import MultiDiscrete

from kickstarting.ad.collect import CollectConfig, collect
from kickstarting.ad.joined import join_histories
from kickstarting.ad.model import ModelConfig
from kickstarting.ad.results import HowEvaluated, compared
from kickstarting.ad.saved import TrainConfig
from kickstarting.ad.training import train_model
from kickstarting.runs.histories import read_histories
from kickstarting.runs.layout import HISTORIES


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    out = tmp_path_factory.mktemp("joined")
    for family in ("dark-room-7", "key-to-door"):
        collect(CollectConfig(family, "noise", histories=3, episodes=4), out / family)
    join_histories([out / "dark-room-7", out / "key-to-door"], out / "all")
    return out


def test_all_of_both_is_there(joined):
    both = read_histories(joined / "all" / HISTORIES)
    parts = [read_histories(joined / family / HISTORIES) for family in ("dark-room-7", "key-to-door")]
    assert both.about.observation_space["observation"] == MultiDiscrete([9, 9])
    assert both.about.facts["families"] == ["dark-room-7", "key-to-door"]
    assert "family" not in both.about.facts
    assert both.about.facts["source"] == "noise"
    assert np.diff(both.starts).tolist() == [4 * 21] * 3 + [4 * 51] * 3
    for name, column in both.columns.items():
        np.testing.assert_array_equal(column, np.concatenate([part.columns[name] for part in parts]))


def test_one_model_acts_in_all_of_them(joined, tmp_path):
    tiny = ModelConfig(width=16, heads=1, layers=1, feedforward=16)
    train_model(TrainConfig(episodes=2, skip=(1,), updates=2, batch=2, threads=1, model=tiny), joined / "all", tmp_path / "model")
    for family in ("dark-room-7", "key-to-door", "dark-room-anywhere"):
        results = compared(tmp_path / "model", HowEvaluated(family=family, episodes=2), baselines=True)
        assert set(results.outcomes) == {"in context (sample)", "source: noise", "random"}
    with pytest.raises(ValueError, match="learned from dark-room-7, key-to-door; give"):
        compared(tmp_path / "model", HowEvaluated(), baselines=False)
    with pytest.raises(ValueError, match="dark-room-11 shows"):
        compared(tmp_path / "model", HowEvaluated(family="dark-room-11", episodes=2), baselines=False)


def test_what_has_nothing_in_common_is_told(joined, tmp_path):
    collect(CollectConfig("arena", "noise", histories=2, episodes=2), tmp_path / "arena")
    with pytest.raises(ValueError, match="join what is observed"):
        join_histories([joined / "all", tmp_path / "arena"], tmp_path / "out")
    with pytest.raises(ValueError, match="name at least 2"):
        join_histories([joined / "all"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
