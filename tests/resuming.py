"""What the tests of killed and resumed runs share."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest


def without_times(metrics: dict) -> dict:
    return {k: v for k, v in metrics.items() if not k.startswith(("seconds", "frames_per_second", "health/slow"))}


def kill_when(command: list[str], condition: Callable[[], bool]) -> None:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"no checkpoint: {process.communicate()[0].decode()}")
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
