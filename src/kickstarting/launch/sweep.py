"""Many runs, a few at a time: each its own process, resumable, with one display for all."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from kickstarting.config import Config, config_from_json
from kickstarting.display import Race
from kickstarting.learner import TrainingError
from kickstarting.population.evolve import PopulationConfig
from kickstarting.population.run import resume_population, run_population
from kickstarting.runs.checkpoint import read_signed, write_json
from kickstarting.runs.layout import STATE, JobDirectory, PopulationDirectory, RunDirectory, finished
from kickstarting.runs.run import resume, run
from kickstarting.teachers.label import split_reference

POLL = 1.0


class SweepError(RuntimeError):
    """A run of a sweep failed; the message holds its last words."""


@dataclass(frozen=True)
class Evolution:
    """A population as one job of a sweep."""

    config: Config
    population: PopulationConfig


@dataclass(frozen=True)
class Part:
    """A run as far as its first checkpoint at or after `until` frames, as one job; a later part goes on from there. Its directory
    holds config.json already. If it diverges, which says something about its settings, it writes diverged.json and ends."""

    config: Config
    until: int


Job = Config | Evolution | Part


class Progress(AbstractContextManager, Protocol):
    """Shows how far a sweep is."""

    def refresh(self, last: bool = False) -> None: ...


def run_all(runs: Mapping[Path, Job], *, jobs: int = 0, console: Console | None = None, progress: Progress | None = None) -> None:
    """Bring every run to its end: start what is missing, resume what was killed, skip what is finished. A run whose teachers
    are runs of the same sweep waits for them.

    jobs: processes at a time, 0 for one a core. Each gets its share of the cores, and its output goes to `log.txt` in its
    directory. When one fails the others are stopped (their checkpoints stay) and SweepError is raised. progress: a display of
    one's own instead of a line for each run.

    Raises ValueError before any work if a directory holds a run of another configuration.
    """
    jobs = min(jobs or os.cpu_count() or 1, len(runs))
    threads = max(1, (os.cpu_count() or 1) // jobs)
    for out, job in runs.items():
        _check_same(out, job)
    waiting = [out for out in runs if not reached(out, runs[out])]
    running: dict[Path, subprocess.Popen] = {}
    show = progress or Race({out: _config(job) for out, job in runs.items()}, console or Console())
    try:
        with show:
            while waiting or running:
                ready = [
                    out for out in waiting if not any(teacher in waiting or teacher in running for teacher in _needs(runs, out))
                ]
                for out in ready[: jobs - len(running)]:
                    waiting.remove(out)
                    running[out] = _start(out, runs[out], threads)
                time.sleep(POLL)
                show.refresh()
                for out, process in list(running.items()):
                    if process.poll() is not None:
                        del running[out]
                        _close(process)
                        if process.returncode:
                            log = JobDirectory(out).log.read_text().strip().splitlines()
                            raise SweepError(
                                f"run {out} failed: {log[-1] if log else f'exit {process.returncode}'}; see {JobDirectory(out).log}"
                            )
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()
            _close(process)


def reached(out: Path, job: Job) -> bool:
    """Whether a job is done."""
    if finished(out) or not isinstance(job, Part):
        return finished(out)
    if JobDirectory(out).diverged.exists():
        return True
    newest = RunDirectory(out).newest_checkpoint
    return newest is not None and read_signed(newest / STATE)["record"]["frames"] >= job.until


def _config(job: Job) -> Config:
    return job if isinstance(job, Config) else job.config


def _needs(runs: Mapping[Path, Job], out: Path) -> list[Path]:
    refs = [Path(split_reference(teacher)[1]) for teacher in _config(runs[out]).teachers]
    return [ref for ref in refs if ref in runs]


def _to_json(job: Job) -> dict[str, Any]:
    population = asdict(job.population) if isinstance(job, Evolution) else None
    until = {"until": job.until} if isinstance(job, Part) else {}
    return json.loads(json.dumps({"config": _config(job).to_json(), "population": population, **until}))


def _check_same(out: Path, job: Job) -> None:
    """Raise ValueError if `out` was begun as another job."""
    if not JobDirectory(out).job.exists():
        return
    began, wanted = json.loads(JobDirectory(out).job.read_text()), _to_json(job)
    try:
        began["config"] = json.loads(json.dumps(config_from_json(began.get("config", {})).to_json()))  # with what is new since then
        began["population"] = asdict(PopulationConfig(**began["population"])) if began.get("population") else None
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{out} was begun by another version ({error}); choose another directory, or move that run away"
        ) from error
    for part in ("config", "population"):
        old, new = began.get(part) or {}, wanted[part] or {}
        for name in sorted(old.keys() | new.keys()):
            if name != "torch_threads" and old.get(name) != new.get(name):
                raise ValueError(
                    f"{out} was begun with {name} {old.get(name)!r}, now it is {new.get(name)!r}; "
                    "choose another directory, or move that run away"
                )


def _start(out: Path, job: Job, threads: int) -> subprocess.Popen:
    out.mkdir(parents=True, exist_ok=True)
    data = _to_json(job)
    data["config"]["torch_threads"] = data["config"]["torch_threads"] or threads
    write_json(JobDirectory(out).job, data)
    with JobDirectory(out).log.open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "kickstarting.launch.sweep", str(JobDirectory(out).job)],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.PIPE,  # it closes when this process ends, and the run ends with it
        )


def _close(process: subprocess.Popen) -> None:
    if process.stdin:
        process.stdin.close()


def _end_with_sweep() -> None:
    """Two sweeps of one directory would write over each other: when one is killed, its runs end, too."""

    def wait() -> None:
        os.read(0, 1)
        os._exit(1)

    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=wait, daemon=True).start()


def _advance(out: Path, until: int) -> None:
    try:
        resume(out, until=until)
    except TrainingError as error:
        write_json(JobDirectory(out).diverged, {"reason": str(error)})
        print(f"diverged: {error}")


def main() -> None:
    """One run of a sweep, in its own process: `python -m kickstarting.launch.sweep JOB`."""
    _end_with_sweep()
    out = Path(sys.argv[1]).parent
    data = json.loads(Path(sys.argv[1]).read_text())
    config = config_from_json(data["config"])
    try:
        if "until" in data:
            _advance(out, data["until"])
        elif data["population"] is None:
            resume(out) if RunDirectory(out).begun else run(config, out)
        elif PopulationDirectory(out).begun:
            resume_population(out, console=Console())
        else:
            run_population(config, PopulationConfig(**data["population"]), out, console=Console())
    except (ValueError, RuntimeError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
