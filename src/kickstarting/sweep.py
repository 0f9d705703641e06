"""Many runs, a few at a time: each its own process, resumable, with one display for all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from kickstarting.config import Config
from kickstarting.display import left, number, plain_line, short

POLL = 1.0


class SweepError(RuntimeError):
    """A run of a sweep failed; the message holds its last words."""


def run_all(
    runs: dict[Path, Config], *, jobs: int = 0, console: Console | None = None, poll: Callable[[], None] | None = None
) -> None:
    """Bring every run to its end: start what is missing, resume what was killed, skip what is finished.

    jobs: processes at a time, 0 for one a core. Each gets its share of the cores, and its output goes to `log.txt` in its
    directory. When one fails the others are stopped (their checkpoints stay) and SweepError is raised.
    """
    jobs = min(jobs or os.cpu_count() or 1, len(runs))
    threads = max(1, (os.cpu_count() or 1) // jobs)
    waiting = [out for out in runs if not (out / "finished.json").exists()]
    running: dict[Path, subprocess.Popen] = {}
    show = Race(runs, console or Console())
    try:
        with show:
            while waiting or running:
                while waiting and len(running) < jobs:
                    out = waiting.pop(0)
                    running[out] = _start(out, replace(runs[out], torch_threads=runs[out].torch_threads or threads))
                time.sleep(POLL)
                show.refresh()
                if poll:
                    poll()
                for out, process in list(running.items()):
                    if process.poll() is not None:
                        del running[out]
                        if process.returncode:
                            log = (out / "log.txt").read_text().strip().splitlines()
                            raise SweepError(
                                f"run {out} failed: {log[-1] if log else f'exit {process.returncode}'}; see {out}/log.txt"
                            )
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()


def _start(out: Path, config: Config) -> subprocess.Popen:
    out.mkdir(parents=True, exist_ok=True)
    job = out / "job.json"
    job.write_text(json.dumps(config.to_json()))
    with (out / "log.txt").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "kickstarting.sweep", str(job)], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )


class Race:
    """One line a run: bar, score, speed, time left; plain lines when not on a terminal."""

    def __init__(self, runs: dict[Path, Config], console: Console) -> None:
        self.runs = runs
        self.console = console
        self._live = Live(console=console, refresh_per_second=2) if console.is_terminal else None
        self._printed = 0.0

    def __enter__(self) -> Race:
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self.refresh(last=True)
        if self._live:
            self._live.__exit__(*error)

    def refresh(self, last: bool = False) -> None:
        states = {out: _last_line(out) for out in self.runs}
        if self._live:
            self._live.update(self._table(states))
        elif last or time.monotonic() - self._printed > 15.0:
            self._printed = time.monotonic()
            for out, metrics in states.items():
                if metrics and (last or not (out / "finished.json").exists()):
                    self.console.print(plain_line(self.runs[out], metrics["frames"], metrics), soft_wrap=True, highlight=False)

    def _table(self, states: dict[Path, dict]) -> Table:
        table = Table.grid(padding=(0, 2))
        for out, config in self.runs.items():
            metrics = states[out]
            frames = metrics.get("frames", 0)
            lambdas = [number(v, 2) for k, v in metrics.items() if k.startswith("lambda/")]
            table.add_row(
                f"{config.group}:{config.seed}",
                ProgressBar(total=config.total_frames, completed=min(frames, config.total_frames), width=30),
                f"{short(frames)} frames",
                f"score [bold]{number(metrics.get('score'))}[/]",
                f"lambda {' '.join(lambdas)}" if lambdas else "",
                f"{short(metrics.get('frames_per_second') or 0)}/s",
                "done" if (out / "finished.json").exists() else f"left {left(config, frames, metrics)}" if frames else "waiting",
            )
        return table


def _last_line(out: Path) -> dict:
    path = out / "metrics.jsonl"
    if not path.exists():
        return {}
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 20_000))
        tail = file.read().decode(errors="replace")
    for line in reversed(tail.splitlines()):
        try:
            data = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(data, dict):
            return data
    return {}


def main() -> None:
    """One run of a sweep, in its own process: `python -m kickstarting.sweep JOB`."""
    from kickstarting.config import config_from_json
    from kickstarting.run import resume, run

    job = Path(sys.argv[1])
    try:
        if (job.parent / "config.json").exists():
            resume(job.parent)
        else:
            run(config_from_json(json.loads(job.read_text())), job.parent)
    except (ValueError, RuntimeError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
