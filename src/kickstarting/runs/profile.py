"""`kickstart train --profile`: where the time of an update goes, and a trace of a few of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from kickstarting.console import say
from kickstarting.train import Update

WARM_UP, TRACED, TIMED = 5, 3, 40
"""Updates before the trace, in it, and behind it for the split: a trace slows what it sees."""


def profiled(updates: Iterator[Update], trace: Path, console: Console) -> Iterator[Update]:
    """The same updates; prints the split and writes `trace` (for chrome://tracing or Perfetto) on the way."""
    profiler = torch.profiler.profile(activities=_activities())
    seconds: dict[str, float] = {}
    began, count, start = 0.0, 0, 0
    for i, update in enumerate(updates):
        if i == WARM_UP:
            profiler.start()
        elif i == WARM_UP + TRACED:
            profiler.stop()
            profiler.export_chrome_trace(str(trace))
            began, start = time.perf_counter(), update.frames
        elif WARM_UP + TRACED < i <= WARM_UP + TRACED + TIMED:
            count += 1
            for name, value in update.metrics.items():
                if name.startswith("seconds/") and value is not None:
                    seconds[name[8:]] = seconds.get(name[8:], 0.0) + value
            if count == TIMED:
                total = time.perf_counter() - began
                console.print(split(seconds, total, count, update.frames - start))
                say(console, f"trace of {TRACED} updates: {trace}")
        yield update
    if count < TIMED:
        console.print(f"the run was too short to profile: it takes {WARM_UP + TRACED + TIMED} updates")


def split(seconds: dict[str, float], total: float, count: int, frames: float) -> Table:
    """Milliseconds of an update by phase. With overlap, act and environment run beside label and learn."""
    table = Table("phase", "ms per update", "share", title=f"{frames / total:,.0f} frames/s, {count} updates", title_justify="left")
    for name, value in seconds.items():
        table.add_row(name, f"{1e3 * value / count:.2f}", f"{value / total:.0%}")
    table.add_row("all", f"{1e3 * total / count:.2f}", "100%")
    return table


def _activities() -> list[torch.profiler.ProfilerActivity]:
    activities = [torch.profiler.ProfilerActivity.CPU]
    return [*activities, torch.profiler.ProfilerActivity.CUDA] if torch.cuda.is_available() else activities
