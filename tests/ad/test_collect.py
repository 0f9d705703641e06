"""Collections that were stopped go on as if they had not been, whatever the source."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from kickstarting.ad.collect import CollectConfig, collect, resume_collection
from kickstarting.ad.tasks import find_family
from kickstarting.runs.files import FileError
from kickstarting.runs.histories import read_histories
from kickstarting.runs.layout import HISTORIES, RunDirectory
from kickstarting.runs.signals import Stopped


def stopping(config: CollectConfig, episode: int) -> Callable[[int, int], None]:
    """A progress that asks to stop in this episode."""
    each = config.histories * find_family(config.family).horizon

    def progress(done: int, total: int) -> None:
        if done == episode * each:
            os.kill(os.getpid(), signal.SIGTERM)

    return progress


@pytest.mark.parametrize(
    ("family", "source"),
    [
        ("dark-room", "policy-gradient"),
        ("dark-room", "actor-critic"),
        ("dark-room", "q-learning"),
        ("key-to-door", "posterior"),
        ("arena", "noise"),
        ("bandit", "ucb"),
    ],
)
def test_a_stopped_collection_ends_as_an_uninterrupted_one(family, source, tmp_path, signals_heard):
    config = CollectConfig(family, source, histories=5, episodes=7, every=2, seed=3)
    whole = collect(config, tmp_path / "whole")
    with pytest.raises(Stopped, match="ad collect --resume"):
        collect(config, tmp_path / "stopped", stopping(config, 3))
    assert not RunDirectory(tmp_path / "stopped").finished
    assert resume_collection(tmp_path / "stopped") == config
    assert RunDirectory(tmp_path / "stopped").finished
    assert not RunDirectory(tmp_path / "stopped").checkpoints.exists()
    assert_equal(whole, tmp_path / "stopped" / HISTORIES)


def test_what_was_written_behind_the_last_checkpoint_is_written_again(tmp_path, signals_heard):
    config = CollectConfig("dark-room", "posterior", histories=4, episodes=6)
    whole = collect(config, tmp_path / "whole")
    out = tmp_path / "killed"
    with pytest.raises(Stopped):
        collect(config, out, stopping(config, 2))
    with (out / HISTORIES).open("ab") as file:
        file.write(b"torn")
    resume_collection(out)
    assert_equal(whole, out / HISTORIES)


def test_one_killed_before_its_first_checkpoint_begins_anew(tmp_path):
    config = CollectConfig("dark-room", "posterior", histories=4, episodes=6)
    whole = collect(config, tmp_path / "out")
    whole.write_bytes(whole.read_bytes()[:-9])
    RunDirectory(tmp_path / "out").end.unlink()
    resume_collection(tmp_path / "out")
    assert_equal(collect(config, tmp_path / "again"), whole)


def test_what_cannot_be_resumed_is_told(tmp_path, histories):
    with pytest.raises(ValueError, match="is finished"):
        resume_collection(histories)
    with pytest.raises(FileError, match="there are no histories"):
        resume_collection(tmp_path)
    RunDirectory(histories).end.rename(tmp_path / "end")
    with pytest.raises(ValueError, match="ad collect --resume"):
        collect(CollectConfig(), histories)
    (tmp_path / "end").rename(RunDirectory(histories).end)


def assert_equal(one: Path, other: Path) -> None:
    a, b = read_histories(one), read_histories(other)
    assert a.about.to_json() == b.about.to_json()
    assert b.torn == 0
    assert (a.starts == b.starts).all()
    for name, column in a.columns.items():
        assert (column == b.columns[name]).all(), name
