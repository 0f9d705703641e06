"""What the tests of killed and resumed runs share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest


def without_times(metrics: dict) -> dict:
    return {k: v for k, v in metrics.items() if not k.startswith(("seconds", "frames_per_second", "health/slow"))}


def history_of(out: Path) -> list[dict]:
    """The lines of a run's or population's history.jsonl."""
    return [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]


def kill_when(command: list[str], condition: Callable[[], bool]) -> None:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"no checkpoint: {process.communicate()[0].decode()}")
        time.sleep(0.002)
    children = _children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while any(map(_works, children)) and time.monotonic() < deadline:  # they end when they notice, in a moment
        time.sleep(0.01)


def _children(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for each in lists for child in each.read_text().split()]


def _works(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
