"""Many runs at a time: each finishes once, is skipped afterwards, and an error stops the sweep with its own words."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from kickstarting.metrics import read_metrics
from kickstarting.sweep import SweepError, run_all


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


def test_a_failing_run_stops_the_sweep_with_its_own_words(tiny, tmp_path) -> None:
    with pytest.raises(SweepError, match="did you mean small"):
        run_all({tmp_path / "bad": tiny(network="smal")}, console=Console(file=io.StringIO()))
