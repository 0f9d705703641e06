"""A run directory is owned: what is somebody's is refused, one process writes it, and only what a run wrote is pruned."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_checkpoint import snapshot

from kickstarting.population.config import PopulationConfig
from kickstarting.population.run import run_population
from kickstarting.runs.checkpoint import CheckpointError, latest_checkpoint, save_checkpoint
from kickstarting.runs.layout import LOCK, RunDirectory, checkpoints
from kickstarting.runs.ownership import check_free, written_by_us
from kickstarting.runs.run import resume, run

HOLDER = """
import sys, time
from pathlib import Path
from kickstarting.runs.ownership import written_by_us
with written_by_us(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that writes a directory."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def everything(path: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(path)): p.read_bytes() if p.is_file() else None for p in path.rglob("*")}


@pytest.mark.parametrize(
    "theirs",
    [
        "checkpoints/2019-holiday/sea.jpg",
        "checkpoints/00000001/x",
        "notes.txt",
        "best/x",
        ".hidden",
        "members/00/x",
        "metrics.jsonl",
    ],
)
@pytest.mark.parametrize("linked", [False, True])
def test_a_directory_with_anything_of_somebody_is_refused_and_stays(tiny, tmp_path, theirs, linked):
    owned = tmp_path / "owned"
    (owned / theirs).parent.mkdir(parents=True)
    (owned / theirs).write_text("mine")
    out = owned
    if linked:
        out = tmp_path / "link"
        out.symlink_to(owned)
    before = everything(owned)
    for begin in (lambda: run(tiny(), out), lambda: run_population(tiny(), PopulationConfig(), out, console=None)):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=rf"is in use already: it holds {Path(theirs).parts[0]}; choose another --out"):
            begin()
    assert everything(owned) == before


def test_whatever_has_begun_is_not_begun_again(tiny, tmp_path):
    run(tiny(total_frames=32), tmp_path / "run")
    before = everything(tmp_path)
    with pytest.raises(
        ValueError, match=r"already holds a run; choose another --out, or continue it with `kickstart train --resume"
    ):
        run(tiny(), tmp_path / "run")
    with pytest.raises(ValueError, match=r"already holds a run; choose another --out$"):
        run_population(tiny(), PopulationConfig(), tmp_path / "run", console=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"lies within the run"):
        run(tiny(), tmp_path / "run" / "checkpoints" / "mine")
    assert everything(tmp_path) == before
    (tmp_path / "run" / "config.json").unlink()
    with pytest.raises(ValueError, match=r"in use already"):
        run(tiny(), tmp_path / "run")


def test_a_project_may_have_a_configuration_of_its_own(tiny, tmp_path):
    (tmp_path / "config.json").write_text('{"name": "a web page"}')
    run(tiny(total_frames=32), tmp_path / "runs" / "a")
    assert RunDirectory(tmp_path / "runs" / "a").finished


def test_a_first_step_that_failed_is_no_hindrance(tiny, tmp_path):
    with pytest.raises(ValueError, match=r"nowhere"):
        run(tiny(teachers=("nowhere",)), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "job.json").write_text("{}")
    (tmp_path / "run" / "log.txt").write_text("error")
    run(tiny(total_frames=32), tmp_path / "run")
    assert RunDirectory(tmp_path / "run").finished


def test_a_file_is_no_directory(tiny, tmp_path):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match=r"file.*choose another --out"):
            run(tiny(), out)
    assert (tmp_path / "file").read_text() == "mine"


def test_one_directory_has_one_writer(tiny, tmp_path, holder):
    with pytest.raises(ValueError, match=rf"is being written by process {holder.pid} on .* since .*; wait for it, stop it"):
        run(tiny(), tmp_path / "run")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "run")
    with pytest.raises(ValueError, match=r"is being written"), written_by_us(link):
        pass


def test_the_lock_of_a_dead_process_is_taken_over(tiny, tmp_path, holder):
    holder.kill()
    holder.wait()
    assert (tmp_path / "run" / LOCK).exists()
    run(tiny(total_frames=32), tmp_path / "run")
    assert not (tmp_path / "run" / LOCK).exists()


def test_one_process_does_not_write_a_directory_twice(tmp_path):
    with written_by_us(tmp_path), pytest.raises(ValueError, match=rf"process {os.getpid()} "), written_by_us(tmp_path):
        pass
    with written_by_us(tmp_path):
        pass


def test_a_lock_that_is_a_link_to_a_file_of_somebody_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).symlink_to(tmp_path / "precious")
    with pytest.raises(ValueError, match=r"cannot be written"), written_by_us(tmp_path / "run"):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


def test_only_what_a_run_wrote_is_pruned(tmp_path):
    for number in (1, 2, 3):
        save_checkpoint(tmp_path, snapshot(number), run="a")
    for name in ("2019-holiday", "2020", "00000004.bak", "00000000", "00000009"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sea.jpg").write_text("mine")
    shutil.copytree(tmp_path / "00000003", tmp_path / "00000008")  # under a number that is not its own
    save_checkpoint(tmp_path, snapshot(5), run="b")
    save_checkpoint(tmp_path, snapshot(6), run="a")
    left = {"2019-holiday", "2020", "00000004.bak", "00000000", "00000009", "00000008", "00000003", "00000005", "00000006"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_a_folder_with_the_name_of_the_next_checkpoint_is_not_replaced(tmp_path):
    (tmp_path / "00000002").mkdir()
    (tmp_path / "00000002" / "sea.jpg").write_text("mine")
    with pytest.raises(CheckpointError, match=r"this run did not write it; move it away"):
        save_checkpoint(tmp_path, snapshot(2), run="a")
    assert (tmp_path / "00000002" / "sea.jpg").read_text() == "mine"


@pytest.mark.parametrize("name", ["00000004.bak", "2020", "1", "0000000x", "00000005 ", "-0000001"])
def test_only_exact_names_are_checkpoints(tmp_path, name):
    (tmp_path / name).mkdir()
    save_checkpoint(tmp_path, snapshot(3))
    assert [path.name for path in checkpoints(tmp_path)] == ["00000003"]


def test_a_checkpoint_of_another_run_is_not_resumed(tiny, tmp_path):
    for name, seed in (("one", 1), ("other", 2)):
        run(tiny(seed=seed, checkpoint_every="64"), tmp_path / name)
    (tmp_path / "one" / "finished.json").unlink()
    shutil.rmtree(latest_checkpoint(tmp_path / "one"))
    shutil.copytree(tmp_path / "other" / "checkpoints" / "00000004", tmp_path / "one" / "checkpoints" / "00000004")
    with pytest.raises(CheckpointError, match=r"is of another run than the configuration beside it"):
        resume(tmp_path / "one")


def test_free_directories(tmp_path):
    for name in ("missing", "empty", "left"):
        if name != "missing":
            (tmp_path / name).mkdir()
        check_free(tmp_path / name, "run", "")
    for leftover in ("job.json", "log.txt", LOCK, "teacher_scores.json", ".config.json.partial"):
        (tmp_path / "left" / leftover).write_text(json.dumps({}))
    check_free(tmp_path / "left", "run", "")
