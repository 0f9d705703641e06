"""The main job at a fiftieth of its size."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from kickstarting.demo import run_demo


@pytest.mark.slow
def test_demo_trains_both_students_and_writes_the_report(tmp_path) -> None:
    shown = io.StringIO()
    run_demo(tmp_path, full=False, frames=100_000, console=Console(file=shown, width=200))
    assert "kickstarted" in shown.getvalue()
    assert (tmp_path / "report" / "report.html").stat().st_size > 10_000
    assert (tmp_path / "report" / "curves.png").exists()
