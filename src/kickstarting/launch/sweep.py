"""Many runs, a few at a time: teachers first, each resumable, with one display for all."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from kickstarting.config import Config
from kickstarting.console import visible
from kickstarting.display import Race, Refreshed
from kickstarting.launch.jobs import Backend, JobError, Line, carried_out
from kickstarting.launch.local import Processes
from kickstarting.learner import TrainingError
from kickstarting.machine import cores, fastest_threads
from kickstarting.population.config import PopulationConfig
from kickstarting.population.run import resume_population, run_population
from kickstarting.runs.checkpoint import read_state
from kickstarting.runs.configuration import config_from_json
from kickstarting.runs.files import read_json, write_json
from kickstarting.runs.layout import JobDirectory, PopulationDirectory, RunDirectory, finished
from kickstarting.runs.run import resume, run
from kickstarting.runs.signals import listening
from kickstarting.settings import flat
from kickstarting.trust import TrustConfig


class SweepError(RuntimeError):
    """A run of a sweep failed; the message holds its last words."""


@dataclass(frozen=True)
class Evolution:
    """A population as one run of a sweep."""

    config: Config
    population: PopulationConfig


@dataclass(frozen=True)
class Part:
    """A run as far as its first checkpoint at or after `until` frames; a later part goes on from there. Its directory
    holds config.json already. If it diverges, which says something about its settings, it writes diverged.json and ends."""

    config: Config
    until: int


What = Config | Evolution | Part


@dataclass(frozen=True)
class Run:
    """One run of a sweep as a job: all that it reads and leaves is in its directory, so it goes on where it was killed."""

    out: Path
    what: What

    @property
    def name(self) -> str:
        return f"run {self.out}"

    @property
    def log(self) -> Path:
        return JobDirectory(self.out).log

    def work(self) -> Generator[Line, None, None]:
        """Says nothing: its metrics are in its directory."""
        yield from ()
        self.out.mkdir(parents=True, exist_ok=True)
        write_json(JobDirectory(self.out).job, _to_json(self.what))
        trusted = _config(self.what).trusted_modules
        if isinstance(self.what, Part):
            advance(self.out, self.what.until, trusted)
        elif isinstance(self.what, Config):
            resume(self.out, trust_modules=trusted) if RunDirectory(self.out).begun else run(self.what, self.out)
        elif PopulationDirectory(self.out).begun:
            resume_population(self.out, console=Console(), trust_modules=trusted)
        else:
            run_population(self.what.config, self.what.population, self.out, console=Console())


def run_all(
    runs: Mapping[Path, What],
    *,
    jobs: int = 0,
    console: Console | None = None,
    progress: Refreshed | None = None,
    backend: Backend | None = None,
) -> None:
    """Bring every run to its end: start what is missing, resume what was killed, skip what is finished. A run whose teachers
    are runs of the same sweep waits for them.

    jobs: processes at a time, 0 for one a core. Each gets its share of the cores, fewer where other work keeps them busy, and
    its output goes to `log.txt` in its directory. When one fails the others are stopped (they save) and SweepError is raised.
    progress: a display of one's own instead of a line for each run. backend: where the runs run, instead of processes of this
    machine.

    Raises ValueError before any work if a directory holds a run of another configuration.
    """
    for out, what in runs.items():
        _check_same(out, what)
    backend = backend or Processes(min(jobs or cores(), len(runs)))
    threads = fastest_threads(max(1, cores() // max(1, backend.slots)))
    missing = {out: Run(out, _with_threads(what, threads)) for out, what in runs.items() if not reached(out, what)}
    show = progress or Race({out: _config(what) for out, what in runs.items()}, console or Console())
    needs = {out: _needs(runs, out) for out in runs}
    try:
        with listening() as stop, stop.at_a_good_moment(), show, closing(carried_out(backend, missing, needs, stop)) as turns:
            for _ in turns:
                show.refresh()
    except JobError as error:
        raise SweepError(str(error)) from error


def reached(out: Path, job: What) -> bool:
    """Whether a job is done."""
    if finished(out) or not isinstance(job, Part):
        return finished(out)
    if JobDirectory(out).diverged.exists():
        return True
    newest = RunDirectory(out).newest_checkpoint
    return newest is not None and read_state(newest)["record"]["frames"] >= job.until


def _config(job: What) -> Config:
    return job if isinstance(job, Config) else job.config


def _needs(runs: Mapping[Path, What], out: Path) -> list[Path]:
    refs = [Path(reference.ref) for reference in _config(runs[out]).teaching.references]
    return [ref for ref in refs if ref in runs]


def _to_json(job: What) -> dict[str, Any]:
    population = asdict(job.population) if isinstance(job, Evolution) else None
    until = {"until": job.until} if isinstance(job, Part) else {}
    return json.loads(json.dumps({"config": _config(job).to_json(), "population": population, **until}))


def _check_same(out: Path, job: What) -> None:
    """Raise ValueError if `out` was begun as another job. A first step that failed is no beginning."""
    if not (JobDirectory(out).job.exists() and (RunDirectory(out).begun or PopulationDirectory(out).begun)):
        return
    began = read_json(JobDirectory(out).job, remedy="remove it, and the run goes on as its own configuration says")
    try:  # read, so that it has what is new since then
        old = _settings(config_from_json(began.get("config", {})))
        old |= asdict(PopulationConfig(**began["population"])) if began.get("population") else {}
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{out} was begun by another version ({error}); choose another directory, or move that run away"
        ) from error
    new = _settings(_config(job)) | (asdict(job.population) if isinstance(job, Evolution) else {})
    for name in sorted(old.keys() | new.keys()):
        if name not in NOT_COMPARED and old.get(name) != new.get(name):
            raise ValueError(
                f"{out} was begun with {name} {old.get(name)!r}, now it is {new.get(name)!r}; "
                "choose another directory, or move that run away"
            )


NOT_COMPARED = ("torch_threads", *flat(TrustConfig()), "inputs")


def _settings(config: Config) -> dict[str, Any]:
    """All of a configuration, by the names of its settings, teachers as they are written."""
    return {**flat(config), "name": config.group, "teachers": [str(reference) for reference in config.teaching.references]}


def _with_threads(what: What, threads: int) -> What:
    if isinstance(what, Config):
        return what.changed(torch_threads=what.machine.torch_threads or threads)
    return replace(what, config=what.config.changed(torch_threads=what.config.machine.torch_threads or threads))


def advance(out: Path, until: int, trust_modules: Sequence[str] = ()) -> None:
    """A part of a run, or the reason why there will be none."""
    try:
        resume(out, until=until, trust_modules=trust_modules)
    except TrainingError as error:
        write_json(JobDirectory(out).diverged, {"reason": str(error)})
        print(visible(f"diverged: {error}"))
