"""Whatever happens to a file of a run, a report says in one line which it is and what to do, or is right."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from fuzzing_files import damaged, restored
from kickstarting.report import check_out, compare_runs, to_markdown, to_rich
from kickstarting.report.figures import draw
from kickstarting.runs.files import FileError, check_writable, digest_of

from .conftest import line_curve, writer


@pytest.fixture(scope="module")
def directories(tmp_path_factory, population) -> list[Path]:
    """A population and a run with every file that a report reads."""
    root = tmp_path_factory.mktemp("damage")
    shutil.copytree(population, root / "evolved-0")
    options = {"tasks": {"easy": 10.0, "hard": -10.0}, "schedule": "linear:1:0:20%"}
    teacher = {"zoo:old": {"score": 45.0, "tasks": {"easy": 60.0, "hard": 30.0}}}
    lambdas = {"zoo:old": lambda frames: 1.0 - frames / 1000}
    health = {"slow": lambda frames: float(frames > 300)}
    more = {"lambdas": lambdas, "teachers": ["zoo:old"], "teacher_scores": teacher, "health": health}
    run = writer(root)("scratch", 0, line_curve(1000, 200), **options, **more)
    return [root / "evolved-0", run]


def files_of(directories: list[Path]) -> list[Path]:
    read = ("config.json", "metrics.jsonl", "teacher_scores.json", "lineage.json", "finished.json")
    return [path for directory in directories for path in sorted(directory.rglob("*")) if path.name in read]


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
@example(seed=0)
@example(seed=35770)
def test_a_damaged_file_is_named_or_does_not_matter(directories, seed):
    rng, said = Random(seed), None
    path = rng.choice(files_of(directories))
    data = path.read_bytes()
    try:
        damaged(path, rng)
        comparison = compare_runs(directories, out=None, bootstrap=20)
        json.dumps(comparison.to_dict(), allow_nan=False, ensure_ascii=False).encode()
        to_markdown(comparison).encode()
        Console(file=io.StringIO(), width=100).print(to_rich(comparison))
        if seed % 10 == 0:
            draw(comparison)
    except ValueError as error:
        said = str(error)
    finally:
        restored(path, data)
    if said is not None:
        assert str(directories[0].parent) in said, "no file is named"
        assert "; " in said, "no remedy"
        assert len(said) < 1000


@pytest.mark.parametrize("where", ["member", "round", "frames", "goes_on_as", "score", "values"])
@pytest.mark.parametrize("value", [-1, 99, 1.5, "1", True, None, [], {"alpha": -1.0}, {"alpha": "1"}, {}])
def test_a_lineage_that_makes_no_sense_is_refused(population, tmp_path, where, value):
    if (where, value) in (("score", None), ("score", -1), ("score", 99), ("score", 1.5)):
        pytest.skip("a score")
    shutil.copytree(population, tmp_path / "p")
    path = tmp_path / "p" / "lineage.json"
    entries = json.loads(path.read_text(encoding="utf-8"))
    entries[4][where] = value
    path.write_text(json.dumps(entries), encoding="utf-8")
    with pytest.raises(FileError, match=r"lineage\.json is damaged: .*; resume the population, or leave it out"):
        compare_runs([tmp_path / "p"], out=None)


def test_a_signature_that_differs_and_scores_of_other_teachers_are_refused(write_run):
    directory = write_run("a", 0, {10: 1.0}, teacher_scores={"old": {"score": 1.0}})
    path = directory / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "self_sha256": digest_of(config)}), encoding="utf-8")
    compare_runs([directory], out=None)
    path.write_text(json.dumps({**config, "seed": 1, "self_sha256": digest_of(config)}), encoding="utf-8")
    with pytest.raises(FileError, match=r"config\.json is damaged or was altered"):
        compare_runs([directory], out=None)
    path.write_text(json.dumps({**config, "teacher_scores": digest_of({})}), encoding="utf-8")
    with pytest.raises(FileError, match=r"teacher_scores\.json is damaged or was altered"):
        compare_runs([directory], out=None)


def test_runs_of_two_versions_of_a_suite_are_refused(write_run):
    paths = [write_run("a", seed, {10: 1.0}) for seed in range(3)]
    for path, digest in zip(paths, ("one", "one", "other"), strict=True):
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        inputs = [{"name": "schedule", "path": "x", "sha256": "y"}, {"name": "suite", "path": "x", "sha256": digest}]
        (path / "config.json").write_text(json.dumps({**config, "inputs": inputs}), encoding="utf-8")
    old = write_run("b", 0, {10: 1.0})
    compare_runs([old, *paths[:2]], out=None)
    with pytest.raises(ValueError, match=r"a-0 and .*a-2 are of two versions of suite 'toy'"):
        compare_runs([old, *paths], out=None)


# What is given to compare


def test_directories_in_every_state(write_run, tmp_path, population):
    run = write_run("a", 0, {10: 1.0})
    assert len(compare_runs([run, run, run.parent], out=None).runs) == 1
    (run / "below").mkdir()
    shutil.copytree(write_run("b", 0, {10: 1.0}), run / "below" / "b")
    assert len(compare_runs([run], out=None).runs) == 1  # a run's own folders are not searched
    (run.parent / "loop").symlink_to(run.parent)
    (run.parent / "itself").symlink_to(run.parent / "itself")
    assert len(compare_runs([run.parent], out=None).runs) == 2
    for path, message in (
        (run / "config.json", "is no directory"),
        (tmp_path / "nowhere", "there is no directory"),
        (run.parent / "itself", "cannot be read"),
        (tmp_path / ("x" * 300), "cannot be read"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            compare_runs([path], out=None)
        assert str(path) in str(error.value)
    shutil.copytree(population, tmp_path / "running")
    (tmp_path / "running" / "best" / "finished.json").unlink()
    with pytest.raises(ValueError, match="running has no best member yet; let it finish"):
        compare_runs([tmp_path / "running"], out=None)


def test_a_thousand_folders_in_each_other(write_run, tmp_path, monkeypatch):
    write_run("a", 0, {10: 1.0})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    os.chdir(tmp_path / "deep")
    for _ in range(1200):
        os.mkdir("d")
        os.chdir("d")
    os.chdir(tmp_path)
    with pytest.raises(ValueError, match="holds no config"):
        compare_runs([tmp_path / "deep"], out=None)
    assert len(compare_runs([tmp_path], out=None).runs) == 1
    subprocess.run(["rm", "-r", tmp_path / "deep"], check=True)  # which Python cannot


def test_a_folder_that_cannot_be_looked_into_is_named(write_run, monkeypatch):
    run, real = write_run("a", 0, {10: 1.0}), os.scandir

    def scandir(path):
        if Path(path) == run:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(ValueError, match=r"a-0 cannot be read: Permission denied; fix permissions, or leave it out"):
        compare_runs([run.parent], out=None)


# Where it is written


@pytest.mark.parametrize("name", ["comparison.json", "table.md", "report.html", "curves.png", "tasks.svg", "lineage-x-1.png"])
def test_a_report_is_written_over_no_file_of_others(write_run, tmp_path, name):
    run, out = write_run("a", 0, {10: 1.0}), tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine", encoding="utf-8")
    with pytest.raises(FileError, match=f"{name} is there already, and of no earlier report; choose another --out"):
        compare_runs([run], out=out)
    assert [path.read_text(encoding="utf-8") for path in out.iterdir()] == ["mine"]


@pytest.mark.parametrize("kind", ["link", "directory", "pipe"])
def test_what_is_no_file_is_not_replaced_even_in_a_report(write_run, tmp_path, kind):
    run, out = write_run("a", 0, {10: 1.0}), tmp_path / "out"
    compare_runs([run], out=out)
    (out / "notes.txt").write_text("what else lies there may stay", encoding="utf-8")
    compare_runs([run], out=out)
    page = out / "report.html"
    page.unlink()
    {"link": lambda: page.symlink_to(run / "config.json"), "directory": page.mkdir, "pipe": lambda: os.mkfifo(page)}[kind]()
    before = (run / "config.json").read_bytes()
    with pytest.raises(FileError, match=r"report\.html is "):
        compare_runs([run], out=out)
    assert (run / "config.json").read_bytes() == before


@pytest.mark.parametrize("out", ["file", "file/below", "/dev/null", "/proc/nothing", "x" * 300])
def test_a_directory_that_cannot_be_written_is_said_before_runs_are_read(tmp_path, out):
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match=r"cannot be written.*; choose another directory"):
        compare_runs([tmp_path / "no run"], out=tmp_path / out)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_checking_leaves_no_trace(tmp_path):
    check_writable(tmp_path / "a" / "b")
    check_out(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_gets_full_leaves_every_file_whole(write_run, tmp_path):
    """In a process of its own, whose files may have as many bytes as the first of the report's, but not the page."""
    run, out = write_run("a", 0, line_curve()), tmp_path / "out"
    compare_runs([run], out=out, bootstrap=10)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    code = (
        "import resource, signal, sys; from pathlib import Path; from kickstarting.report import compare_runs\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try:\n    compare_runs([Path(sys.argv[1])], out=Path(sys.argv[2]), bootstrap=20)\n"
        "except ValueError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, run, out], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    assert "cannot be written: File too large; free space or fix permissions" in done.stdout
    assert {path.name for path in out.iterdir()} == set(before)
    json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert before["report.html"] == (out / "report.html").read_bytes()
