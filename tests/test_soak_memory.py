"""How a soak's memory is put into numbers."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from soak_memory import SETTLED, Memory, Seen, resident, slope


def life(name: str, start: float, at: float, growth: float, kind: str = "actor") -> list[Seen]:
    """Ten minutes of a process that grows by so many MB in each after it has doubled in its first seconds."""
    after = [start + SETTLED + 10.0 * i for i in range(60)]
    return [Seen(kind, name, start, at / 2), *(Seen(kind, name, t, at + growth * (t - start) / 60) for t in after)]


def test_processes_that_replace_each_other_have_the_slope_of_their_lives():
    """Each begins smaller than the last one ended; what they do while they begin does not count."""
    assert slope(life("1", 0.0, 500.0, 2.0)) == pytest.approx(2.0)
    assert slope([*life("1", 0.0, 500.0, 2.0), *life("2", 700.0, 300.0, 2.0)]) == pytest.approx(2.0)
    assert slope([*life("1", 0.0, 500.0, 3.0), *life("2", 700.0, 300.0, -1.0)]) == pytest.approx(1.0)
    assert math.isnan(slope([Seen("actor", "1", 0.0, 1.0), Seen("actor", "1", 5.0, 2.0)]))


def test_a_report_has_a_line_for_each_kind():
    memory = Memory(cluster=None)
    memory.seen = [*life("1", 0.0, 500.0, 2.0), *life("2", 0.0, 300.0, 2.0), *life("7", 0.0, 90.0, 0.0, kind="head")]
    memory.spilled = 12.0
    lines = memory.report().splitlines()
    assert lines[2].startswith("| actor | 2 | 250 |")
    assert lines[2].endswith("| +2.00 |")
    assert lines[3] == "| head | 1 | 45 | 90 | +0.00 |"
    assert lines[4] == "At most 12 MB of a node's objects were spilled to its disk."


def test_memory_of_a_process_that_is_gone_is_none():
    assert resident(os.getpid()) > 5
    assert resident(2**22 + 1) == 0
