"""The script that measures a suite's random scores."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from kickstarting.suites import load_suite

SCRIPTS = Path(__file__).parents[2] / "scripts"
SUITE = """name = "mixed"
description = "two tasks that no policy can act in together"

[[task]]
name = "balance"
env_id = "CartPole-v1"
random = -1.0
reference = 500.0

[[task]]
name = "swing"
env_id = "Pendulum-v1"
"""


def test_tasks_that_do_not_fit_together_are_measured_each_alone(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    file = tmp_path / "mixed.toml"
    file.write_text(SUITE)
    monkeypatch.setattr(sys, "argv", ["measure_random.py", str(file), "--episodes", "4"])
    importlib.import_module("measure_random").main()
    balance, swing = load_suite(str(file)).tasks
    assert 10.0 < (balance.random or 0.0) < 60.0
    assert -2000.0 < (swing.random or 0.0) < -500.0
    assert (balance.reference, swing.reference) == (500.0, None)
    bare = [line for line in file.read_text().splitlines() if not line.startswith("random")]
    assert bare == [line for line in SUITE.splitlines() if not line.startswith("random")]
