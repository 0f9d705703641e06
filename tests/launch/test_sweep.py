"""Many runs at a time: each finishes once, is skipped afterwards, and an error stops the sweep with its own words."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from kickstarting.display import Race, finished
from kickstarting.launch import sweep
from kickstarting.launch.sweep import Evolution, SweepError, run_all
from kickstarting.population.config import PopulationConfig
from kickstarting.runs.configuration import read_config
from kickstarting.runs.metrics import read_metrics


def test_runs_finish_and_are_skipped_afterwards(tiny, tmp_path) -> None:
    runs = {tmp_path / f"run-{seed}": tiny(seed=seed) for seed in range(2)}
    shown = io.StringIO()
    run_all(runs, console=Console(file=shown, width=200))
    for out, config in runs.items():
        assert read_metrics(out / "metrics.jsonl")[-1]["frames"] == config.total_frames
        assert (out / "finished.json").exists()
    assert "scratch:1" in shown.getvalue()
    written = {out: (out / "finished.json").stat().st_mtime_ns for out in runs}
    run_all(runs, console=Console(file=io.StringIO()))
    assert written == {out: (out / "finished.json").stat().st_mtime_ns for out in runs}


def test_a_run_has_its_share_of_the_cores_or_as_many_as_are_faster(tiny, tmp_path, monkeypatch) -> None:
    """Where other work keeps the cores busy, two threads wait for each other; a number that was given stays."""
    monkeypatch.setattr(sweep, "cores", lambda: 6)
    shares = []
    monkeypatch.setattr(sweep, "fastest_threads", lambda most: shares.append(most) or 1)
    runs = {tmp_path / "open": tiny(torch_threads=0), tmp_path / "given": tiny(torch_threads=2)}
    run_all(runs, jobs=2, console=Console(file=io.StringIO()))
    assert shares == [3]
    assert [read_config(out / "config.json").machine.torch_threads for out in runs] == [1, 2]


def test_a_failing_run_stops_the_sweep_with_its_own_words(tiny, tmp_path) -> None:
    with pytest.raises(SweepError, match="did you mean small"):
        run_all({tmp_path / "bad": tiny(network="smal")}, console=Console(file=io.StringIO()))


def test_a_student_waits_for_its_teacher(tiny, tmp_path) -> None:
    teacher = tmp_path / "teacher"
    runs = {tmp_path / "student": tiny(teachers=(f"*={teacher}",)), teacher: tiny(seed=1)}
    run_all(runs, console=Console(file=io.StringIO()))
    assert (tmp_path / "student" / "finished.json").stat().st_mtime_ns > (teacher / "finished.json").stat().st_mtime_ns


def test_a_population_is_a_job_and_its_best_member_a_run(tiny, tmp_path) -> None:
    job = Evolution(tiny(score_window=2), PopulationConfig(members=2, slice="50%", burn_in="50%"))
    shown = io.StringIO()
    run_all({tmp_path / "population": job}, console=Console(file=shown, width=200))
    assert finished(tmp_path / "population")
    best = read_metrics(tmp_path / "population" / "best" / "metrics.jsonl")
    assert best[-1]["frames"] == job.config.total_frames
    assert best[-1]["frames_per_second"] > 0


def test_a_directory_with_another_run_is_left_alone(tiny, tmp_path) -> None:
    runs = {tmp_path / "run": tiny()}
    run_all(runs, console=Console(file=io.StringIO()))
    with pytest.raises(ValueError, match=r"was begun with unroll_length \d+, now it is 7; choose another directory"):
        run_all({tmp_path / "run": tiny(unroll_length=7)}, console=Console(file=io.StringIO()))
    (tmp_path / "run" / "job.json").write_text(json.dumps(tiny().to_json()))  # as an older version wrote it
    with pytest.raises(ValueError, match="begun by another version"):
        run_all(runs, console=Console(file=io.StringIO()))


def test_members_that_take_turns_are_as_many_times_slower(tiny, tmp_path) -> None:
    """600 frames are left of each of two, at 10 frames/s for whose turn it is."""
    config, members = tiny(total_frames=1000), [tmp_path / "members" / name for name in ("00", "01")]
    for member, frames in zip(members, (500, 300), strict=True):
        member.mkdir(parents=True)
        (member / "metrics.jsonl").write_text(json.dumps({"frames": frames, "score": 1.0, "frames_per_second": 10.0}) + "\n")

    def shown(runs: list, **turns) -> str:
        file = io.StringIO()
        Race(dict.fromkeys(runs, config), Console(file=file, width=200), **turns).refresh(last=True)
        return file.getvalue()

    outside = shown([tmp_path])
    assert "400/1k frames" in outside
    assert "5 frames/s  left 2:00" in outside
    assert "left 2:20" in shown([members[1]], turns=2)
    assert "left 1:10" in shown([members[1]])
