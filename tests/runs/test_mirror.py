"""Mirrors of runs: what lies on storage is always a moment of the run, and it comes back as it was."""

from __future__ import annotations

import json
import threading
import time
import uuid
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from kickstarting.runs import uploads
from kickstarting.runs.checkpoint import latest_checkpoint
from kickstarting.runs.copied import Copy, Replaced, close
from kickstarting.runs.fetch import brought_back, fetch, is_mirror
from kickstarting.runs.layout import MIRROR, RunDirectory
from kickstarting.runs.manifest import OWNER, is_inside, manifest_bytes, manifest_name, read_manifest, read_owner
from kickstarting.runs.mirror import begin_mirror, bring_up_to_date, check_vacant, mirror_of, mirrored
from kickstarting.runs.run import resume, run
from kickstarting.runs.storage import Storage, StorageError
from resuming import without_times


class Unsteady(MemoryFileSystem):
    """Object storage that stops taking anything after so many writes, as seen by a process that dies there."""

    protocol = "unsteady"
    store: ClassVar[dict] = {}  # type: ignore[reportIncompatibleVariableOverride]
    pseudo_dirs: ClassVar[list] = [""]
    left: float = float("inf")
    entered, held = threading.Event(), threading.Event()

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("unsteady://", "memory://") if isinstance(path, str) else path)

    def pipe_file(self, path, value, mode="overwrite", **kwargs):
        type(self).entered.set()
        type(self).held.wait(20)
        if type(self).left <= 0:
            raise ConnectionError("connection reset by peer")
        type(self).left -= 1
        super().pipe_file(path, value, mode=mode, **kwargs)


@pytest.fixture
def unsteady(monkeypatch) -> type[Unsteady]:
    fsspec.register_implementation("unsteady", Unsteady, clobber=True)
    Unsteady.store.clear()
    Unsteady.left = float("inf")
    Unsteady.held.set()
    Unsteady.entered.clear()
    monkeypatch.setattr(uploads, "PAUSES", (0.01,))
    monkeypatch.setattr(uploads, "PATIENCE", 0.2)
    return Unsteady


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4().hex}/run"


def made(path: Path, number: int = 1, size: int = 100) -> Path:
    """A directory as a run's with two checkpoints, `number` being the newest."""
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps({"suite": "s", "total_frames": 1}))
    (path / "metrics.jsonl").write_text("".join(f'{{"frames": {n}}}\n' for n in range(number + 1)))
    for n in range(max(0, number - 3), number + 1):
        folder = path / "checkpoints" / f"{n:08d}"
        if n < number - 1:
            for file in folder.glob("*"):
                file.unlink()
            folder.rmdir() if folder.exists() else None
            continue
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "network.safetensors").write_bytes(bytes([n]) * size)
        (folder / "state.json").write_text(str(n))
    return path


def writer_at(storage: Storage) -> str:
    owner = read_owner(storage)
    assert owner is not None
    return owner.writer


def own_writer(directory: Path) -> str:
    about = mirror_of(directory)
    assert about is not None
    return about.writer


def content(path: Path) -> dict[str, bytes]:
    files = (file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files if file.name != MIRROR}


def fetched(url: str, out: Path) -> dict[str, bytes]:
    fetch(url, out, said=print)
    return content(out)


def silent(text: str) -> None:
    pass


def test_a_directory_comes_back_as_it_was(tmp_path, url):
    directory = made(tmp_path / "run", 3)
    (directory / "empty").write_text("")
    (directory / ".kickstarting.lock").write_text("{}")
    begin_mirror(directory, url)
    before = content(directory)
    del before[".kickstarting.lock"]
    assert fetched(url, tmp_path / "back") == before
    assert mirror_of(tmp_path / "back") is None  # it is a copy to look at


def test_only_what_changed_is_read_and_written_again(tmp_path, url, monkeypatch):
    directory = made(tmp_path / "run", 1)
    monkeypatch.setattr("kickstarting.runs.copied.PART", 40)
    copy = Copy(directory, Storage(url), "0" * 16)
    copy.bring_now()
    written: list[str] = []
    monkeypatch.setattr(copy.storage, "write", lambda name, data: written.append(name))
    with (directory / "checkpoints" / "00000001" / "network.safetensors").open("ab") as file:
        file.write(b"more")
    taken = copy.take()
    assert [each.name for each in taken if each.file] == ["checkpoints/00000001/network.safetensors"]
    copy.bring(taken)
    close(taken)
    assert len(written) == 2  # the last part, and the manifest


def test_what_is_pruned_here_is_pruned_there(tmp_path, url):
    directory = made(tmp_path / "run", 3)
    begin_mirror(directory, url)
    made(directory, 4)
    bring_up_to_date(directory)
    storage = Storage(url)
    writer = writer_at(storage)
    files = read_manifest(storage, writer)
    assert {name.split("/")[1] for name in files if name.startswith("checkpoints")} == {"00000003", "00000004"}
    parts = {name.rpartition("/")[2] for name in storage.names(f"{writer}/parts")}
    assert parts == {part for of_file in files.values() for part in of_file}


@pytest.mark.parametrize("taken", [True, False])
def test_the_moment_is_that_of_the_request_whatever_happens_to_the_directory_afterwards(tmp_path, url, taken):
    directory = made(tmp_path / "run", 3)
    copy = Copy(directory, Storage(url), "0" * 16)
    before = content(directory)
    files = copy.take()
    made(directory, 6)  # both checkpoints are gone, the metrics have grown
    copy.bring(files)
    close(files)
    copy.claim()
    assert fetched(url, tmp_path / "back") == before


def test_killed_at_any_write_it_leaves_the_moment_before_or_the_new_one(tmp_path, unsteady):
    """Every prefix of the writes that bring a checkpoint is what a kill may leave."""
    directory = made(tmp_path / "run", 1)
    begin_mirror(directory, "unsteady://a/run")
    stored, before = dict(unsteady.store), content(directory)
    made(directory, 2)
    after, seen, number = content(directory), [], 0
    while not seen or seen[-1] != after:
        unsteady.store.clear()
        unsteady.store.update(stored)
        copy = Copy(directory, Storage("unsteady://a/run"), own_writer(directory))
        unsteady.left = number
        try:
            copy.bring_now()
        except StorageError:
            assert not unsteady.left
        unsteady.left = float("inf")
        seen.append(fetched("unsteady://a/run", tmp_path / f"back-{number}"))
        assert seen[-1] in (before, after)
        number += 1
    assert number > 4
    assert seen[:-1] == [before] * (number - 1)


def test_two_runs_cannot_be_mirrored_to_one_place(tmp_path, url):
    check_vacant(url, tmp_path / "one")
    begin_mirror(made(tmp_path / "one"), url)
    with pytest.raises(ValueError, match=r"a run is mirrored to memory.*already, by process \d+ on .* since .*--resume memory"):
        check_vacant(url, tmp_path / "two")
    two = made(tmp_path / "two", 5)
    with pytest.raises(ValueError, match="is mirrored to"):  # both looked before either had begun
        begin_mirror(two, url)
    assert mirror_of(two) is None
    assert fetched(url, tmp_path / "back") == content(tmp_path / "one")
    assert len({name.split("/")[0] for name in Storage(url).names("")}) == 2  # the owner's name, and its copy


def test_a_mirror_inside_the_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"the mirror .* lies within .*, which it would be a copy of"):
        check_vacant(str(tmp_path / "run" / "mirror"), tmp_path / "run")


def test_who_takes_over_stops_the_one_before_and_is_not_disturbed_by_it(tmp_path, url):
    old = made(tmp_path / "old", 3)
    begin_mirror(old, url)

    def goes_on_after_a_while() -> None:
        with mirrored(old) as bring:
            new = brought_back(url, tmp_path / "new", said=silent)
            assert brought_back(url, new, said=silent) == new  # again: it is there already
            made(new, 5)
            bring_up_to_date(new)
            made(old, 9)
            Copy(old, Storage(url), own_writer(old)).bring_now()  # without a look at whose copy counts
            assert fetched(url, tmp_path / "back") == content(new)
            for _ in range(2_000):
                bring()
                time.sleep(0.01)

    with pytest.raises(Replaced, match=r"is no longer what .* mirrors: process \d+ .* took over; go on with `--resume memory"):
        goes_on_after_a_while()
    with pytest.raises(Replaced), mirrored(old):
        pass


def test_a_damaged_checkpoint_is_left_out_and_said(tmp_path, url):
    begin_mirror(made(tmp_path / "run", 3), url)
    storage, said = Storage(url), []
    writer = writer_at(storage)
    part = read_manifest(storage, writer)["checkpoints/00000003/network.safetensors"][0]
    for damage in (lambda: storage.write(f"{writer}/parts/{part}", b"altered"), lambda: storage.remove(f"{writer}/parts/{part}")):
        damage()
        said.clear()
        out = tmp_path / f"back-{uuid.uuid4().hex}"
        fetch(url, out, said=said.append)
        assert said == [f"{url}: checkpoints/00000003 is damaged there, so it is left out"]
        assert [path.name for path in (out / "checkpoints").iterdir()] == ["00000002"]


@pytest.mark.parametrize(
    ("name", "message"), [("metrics.jsonl", "a part of metrics.jsonl"), ("checkpoints", "no checkpoint is whole")]
)
def test_damage_without_a_way_round_is_one_line_and_leaves_nothing(tmp_path, url, name, message):
    begin_mirror(made(tmp_path / "run", 3), url)
    storage = Storage(url)
    writer = writer_at(storage)
    for file, parts in read_manifest(storage, writer).items():
        if file.startswith(name):
            storage.remove(f"{writer}/parts/{parts[0]}")
    with pytest.raises(StorageError, match=message):
        fetch(url, tmp_path / "back", said=print)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


HOSTILE = ["../evil", "/etc/evil", "a/../../evil", ".hidden", "a/.ssh/b", "", "a\\b", "a\0b", "."]


@pytest.mark.parametrize("path", HOSTILE)
def test_a_manifest_cannot_lead_out_of_the_directory(tmp_path, url, path):
    begin_mirror(made(tmp_path / "run"), url)
    storage = Storage(url)
    writer = writer_at(storage)
    storage.write(manifest_name(writer), manifest_bytes({path: []}))
    assert not is_inside(path)
    with pytest.raises(StorageError, match="which is no file of a run"):
        fetch(url, tmp_path / "back", said=print)


@pytest.mark.parametrize("text", [b"{", b"[]", b"{}", b'{"format": 1, "files": {}, "self_sha256": "0"}'])
def test_a_damaged_manifest_or_owner_is_named(tmp_path, url, text):
    begin_mirror(made(tmp_path / "run"), url)
    storage = Storage(url)
    name = manifest_name(writer_at(storage))
    storage.write(name, text)
    with pytest.raises(StorageError, match=rf"{name} is damaged"):
        fetch(url, tmp_path / "back", said=print)
    storage.write(OWNER, text)
    with pytest.raises(StorageError, match=r"owner\.json is damaged"):
        fetch(url, tmp_path / "back", said=print)


def test_fetching_from_nowhere_or_onto_something_is_refused(tmp_path, url):
    with pytest.raises(StorageError, match=r"nothing is mirrored to memory"):
        fetch(url, tmp_path / "back", said=print)
    begin_mirror(made(tmp_path / "run"), url)
    with pytest.raises(ValueError, match="already holds a run"):
        fetch(url, tmp_path / "run", said=print)


def test_a_slow_storage_does_not_hold_up_the_run_and_the_end_waits(tmp_path, unsteady):
    directory = made(tmp_path / "run", 1)
    begin_mirror(directory, "unsteady://b/run")
    unsteady.held.clear()
    unsteady.entered.clear()
    with mirrored(directory) as bring:
        for number in range(2, 9):
            made(directory, number)
            bring()
        assert unsteady.entered.wait(20)  # while it is writing what was there first
        threading.Timer(0.1, unsteady.held.set).start()
    assert fetched("unsteady://b/run", tmp_path / "back") == content(directory)


def test_trouble_is_said_once_and_mended(tmp_path, unsteady, capsys):
    directory = made(tmp_path / "run", 1)
    begin_mirror(directory, "unsteady://c/run")
    unsteady.left = 0
    made(directory, 2)
    with mirrored(directory) as bring:
        bring()
        threading.Event().wait(0.1)
        unsteady.left = float("inf")
    said = capsys.readouterr().out
    assert said.count("cannot be written: connection reset by peer") == 1
    assert "the run goes on" in said
    assert said.rstrip().endswith("the mirror unsteady://c/run is up to date again")
    assert fetched("unsteady://c/run", tmp_path / "back") == content(directory)


def test_an_end_without_storage_is_an_error_that_names_the_way_out(tmp_path, unsteady, capsys):
    directory = made(tmp_path / "run", 1)
    begin_mirror(directory, "unsteady://d/run")
    made(directory, 2)
    unsteady.left = 0
    with pytest.raises(StorageError, match="connection reset"), mirrored(directory):
        pass
    assert f"lacks the end of the run; `kickstart mirror {directory}` brings it" in capsys.readouterr().out
    with pytest.raises(ZeroDivisionError), mirrored(directory):  # what ended the run is not hidden by it
        raise ZeroDivisionError
    unsteady.left = float("inf")
    assert bring_up_to_date(directory) == "unsteady://d/run"
    assert fetched("unsteady://d/run", tmp_path / "back") == content(directory)


def test_a_place_is_a_mirror_if_it_is_a_url_or_holds_one(tmp_path):
    directory = made(tmp_path / "run")
    begin_mirror(directory, str(tmp_path / "shared"))
    assert is_mirror(str(tmp_path / "shared"))
    assert is_mirror("s3://bucket/run")
    assert not is_mirror(str(directory))


def test_a_run_goes_on_from_its_mirror_as_if_nothing_had_happened(tiny, tmp_path, url, kickstart):
    config = tiny(checkpoint_every="64", record_histories=True)
    run(config, tmp_path / "whole")
    moment = tmp_path / "moment"
    run(config, moment, mirror=url)
    there = {name: data for name, data in content(moment).items() if not name.startswith(".")}
    assert fetched(url, tmp_path / "copy") == there
    # as it was at its third checkpoint, on a machine that is gone
    (moment / "finished.json").unlink()
    newest = sorted((moment / "checkpoints").iterdir())[-1]
    for file in newest.iterdir():
        file.unlink()
    newest.rmdir()
    bring_up_to_date(moment)
    kickstart("train", "--resume", url, "--out", tmp_path / "again")
    ours, theirs = (RunDirectory(tmp_path / name) for name in ("whole", "again"))
    for name in ("network.safetensors", "optimiser.safetensors"):
        assert (latest_checkpoint(ours.path) / name).read_bytes() == (latest_checkpoint(theirs.path) / name).read_bytes()
    lines = [[without_times(json.loads(line)) for line in run_.metrics.read_text().splitlines()] for run_ in (ours, theirs)]
    assert lines[0] == lines[1]
    assert fetched(url, tmp_path / "end")["finished.json"]
    with pytest.raises(Replaced, match="took over"):
        resume(moment)


def test_the_commands_bring_a_finished_run_away_and_back(tiny, tmp_path, kickstart, error_of):
    run(tiny(), tmp_path / "run")
    assert "give --to URL" in error_of("mirror", tmp_path / "run")
    said = kickstart("mirror", tmp_path / "run", "--to", tmp_path / "shared")
    assert f"kickstart fetch {tmp_path / 'shared'}" in said
    kickstart("fetch", tmp_path / "shared", "--out", tmp_path / "back")
    assert content(tmp_path / "back") == {n: d for n, d in content(tmp_path / "run").items() if not n.startswith(".")}
    assert "holds no run" in error_of("mirror", tmp_path / "nothing", "--to", tmp_path / "x")


@pytest.fixture
def error_of(kickstart):
    def call(*words: object) -> str:
        with pytest.raises(SystemExit) as stop:
            kickstart(*words)
        return str(stop.value.code)

    return call
