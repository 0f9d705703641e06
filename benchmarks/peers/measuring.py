"""One command after another: what each printed, how fast it was, and what went wrong."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
START_SECONDS = 240.0  # a run may take this much longer than it measures; torch.compile needs the most


class Failure(Exception):
    """A command failed; the message is the last line it wrote to stderr, or to stdout if that is empty."""


class Measured(NamedTuple):
    """The steps/s of every round of one trainer on one workload, and what went wrong in the rounds that failed."""

    rounds: list[float]
    failures: list[str]

    @property
    def median(self) -> float | None:
        return statistics.median(self.rounds) if self.rounds else None

    def cell(self) -> str:
        if self.median is None:
            return f"failed: {self.failures[-1]}" if self.failures else "-"
        spread = f" ({min(self.rounds):,.0f} to {max(self.rounds):,.0f})" if len(self.rounds) > 1 else ""
        return f"{self.median:,.0f}{spread}" + (
            f"; {len(self.failures)} rounds failed: {self.failures[-1]}" if self.failures else ""
        )


def run(
    command: list[str], seconds: float, *, env: dict[str, str] | None = None, watch: Callable[[int], object] | None = None
) -> str:
    """The command's stdout. Kills it, with all that it started, after `seconds`.

    watch: called every two seconds with the command's process id, which is also its session's.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=HERE, start_new_session=True, env={**os.environ, **(env or {})}, **pipes)
    deadline = time.monotonic() + seconds
    try:
        while True:
            left = deadline - time.monotonic()
            try:
                out, err = process.communicate(timeout=max(0.0, min(2.0, left) if watch else left))
                break
            except subprocess.TimeoutExpired:
                if left <= 0:
                    raise Failure(f"no result after {seconds:.0f} s") from None
            if watch:
                watch(process.pid)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    if process.returncode:
        lines = [line for line in (err.strip() or out.strip()).splitlines() if line.strip()]
        raise Failure(lines[-1].strip().replace("|", "\\|")[:200] if lines else f"exit status {process.returncode}")
    return out


def measure(command: list[str], seconds: float, into: Measured, watch: Callable[[int], object] | None = None) -> dict[str, Any]:
    """Adds one round to `into`; returns what the command printed, or nothing if it failed."""
    try:
        result = json.loads(run(command, seconds + START_SECONDS, watch=watch).strip().splitlines()[-1])
        into.rounds.append(float(result["steps_per_second"]))
    except (Failure, ValueError, IndexError, KeyError) as error:
        into.failures.append(str(error) or type(error).__name__)
        return {}
    return result
