"""Checkpoints come back as they went, or say in one line why they cannot; an earlier one is never harmed."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
import torch

from kickstarting.runs import checkpoint
from kickstarting.runs.checkpoint import CheckpointError, Snapshot, checkpoints, latest_checkpoint, load_checkpoint, save_checkpoint


def snapshot(number: int = 1) -> Snapshot:
    generator = torch.Generator().manual_seed(number)
    network = {"torso.weight": torch.randn(40, 3, generator=generator), "bias": torch.arange(3.0)}
    optimiser = {"0.step": torch.tensor(7.0), "0.exp_avg": torch.randn(3, 40, generator=generator).T}
    return Snapshot(number, {"frames": 10 * number, "scores": {"windows": {"a": [[0.1, 1.0]]}}}, network, optimiser)


def same(a: Snapshot, b: Snapshot) -> bool:
    tensors = [(a.network, b.network), (a.optimiser, b.optimiser)]
    equal = all(x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x) for x, y in tensors)
    return equal and (a.number, a.record) == (b.number, b.record)


@pytest.fixture
def directory(tmp_path) -> Path:
    """The checkpoints directory of a run with one checkpoint."""
    save_checkpoint(tmp_path / "run" / "checkpoints", snapshot(1))
    return tmp_path / "run" / "checkpoints"


def error_of(function, *arguments, **keywords) -> str:
    with pytest.raises(CheckpointError) as error:
        function(*arguments, **keywords)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_snapshot_comes_back(directory):
    path = latest_checkpoint(directory.parent)
    assert path == directory / "00000001"
    assert same(load_checkpoint(path), snapshot(1))
    assert load_checkpoint(path, with_optimiser=False).optimiser == {}


def test_only_the_newest_are_kept(directory):
    for number in (2, 9, 10):
        save_checkpoint(directory, snapshot(number))
    assert [p.name for p in checkpoints(directory)] == ["00000009", "00000010"]
    assert same(load_checkpoint(latest_checkpoint(directory.parent)), snapshot(10))


def test_the_same_number_is_replaced(directory):
    changed = Snapshot(1, {"frames": 0}, snapshot(2).network, {})
    save_checkpoint(directory, changed)
    assert same(load_checkpoint(directory / "00000001"), changed)


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_a_kill_while_writing_leaves_only_what_is_ignored(directory, monkeypatch, moment):
    """Killed before the first, second or third file is on the disk."""
    real, left = os.fsync, [moment]

    def fsync(descriptor):
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(directory, snapshot(2))
    assert len(list(directory.iterdir())) == 2
    assert same(load_checkpoint(latest_checkpoint(directory.parent)), snapshot(1))
    save_checkpoint(directory, snapshot(2))
    assert same(load_checkpoint(latest_checkpoint(directory.parent)), snapshot(2))
    assert sorted(p.name for p in directory.iterdir()) == ["00000001", "00000002"]


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_a_full_disk_is_one_line_and_harms_nothing(directory, monkeypatch, moment):
    real, left = checkpoint._write, [moment]

    def write(path, data):
        left[0] -= 1
        if not left[0]:
            path.write_bytes(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(path, data)

    monkeypatch.setattr(checkpoint, "_write", write)
    message = error_of(save_checkpoint, directory, snapshot(2))
    assert "No space left on device" in message
    assert str(directory / "00000002") in message
    assert "resume" in message
    assert [p.name for p in directory.iterdir()] == ["00000001"]
    assert same(load_checkpoint(directory / "00000001"), snapshot(1))


@pytest.mark.parametrize("name", ["network.safetensors", "optimiser.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "altered"])
def test_damage_is_found_and_named(directory, name, damage):
    file = directory / "00000001" / name
    data = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        middle = bytes([data[len(data) // 2] ^ 1])
        altered = data[: len(data) // 2] + middle + data[len(data) // 2 + 1 :]
        file.write_bytes({"truncated": data[:-1], "empty": b"", "altered": altered}[damage])
    message = error_of(load_checkpoint, directory / "00000001")
    assert str(directory / "00000001") in message
    if name == "optimiser.safetensors":
        load_checkpoint(directory / "00000001", with_optimiser=False)  # a teacher needs none


def test_an_edited_record_is_found_and_the_other_checkpoint_offered(directory):
    save_checkpoint(directory, snapshot(2))
    file = directory / "00000002" / "state.json"
    state = json.loads(file.read_text())
    state["record"]["frames"] = 999
    file.write_text(json.dumps(state))
    message = error_of(load_checkpoint, directory / "00000002")
    assert "altered" in message
    assert "00000001" in message


@pytest.mark.parametrize("text", ["[]", "3", "null", "{}", '{"self_sha256": "x"}', '{"self_sha256": "x", "sha256": 1}'])
def test_other_json_is_no_checkpoint(directory, text):
    (directory / "00000001" / "state.json").write_text(text)
    assert "damaged" in error_of(load_checkpoint, directory / "00000001")


def test_another_format_is_refused_by_its_number(directory, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    message = error_of(load_checkpoint, directory / "00000001")
    assert "format 1" in message
    assert "reads 2" in message


def test_a_run_without_checkpoints_and_no_run_at_all(tmp_path):
    assert "holds no checkpoint yet" in error_of(latest_checkpoint, tmp_path)
    assert "does not exist" in error_of(latest_checkpoint, tmp_path / "nowhere")
    assert "there is no state.json" in error_of(load_checkpoint, tmp_path / "nowhere")
