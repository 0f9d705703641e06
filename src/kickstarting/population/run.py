"""Population based training: members in slices of frames, one round after the other (Schmitt et al. 2018, section 2.3).

A slice is a job of a backend (`launch/`). Unless another is given, members take turns in this process, and a population takes the
memory of one run and of all weights and optimiser states before and after a round. A resumed population equals an uninterrupted
one. After each round every member looks at another (`algo/pbt.py`). Directory:

population.json                 configuration          lineage.json     who copied whom, every hyperparameter over time
checkpoints/ROUND/member-NN     all members, atomic    members/NN       each member's config.json and metrics.jsonl
best/                           the best member as a run: its ancestry's metrics, its checkpoint, schedule.json to replay
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from kickstarting.config import Config
from kickstarting.display import Race
from kickstarting.launch.jobs import Backend, carried_out
from kickstarting.launch.local import InProcess
from kickstarting.population.ancestry import write_best
from kickstarting.population.config import PopulationConfig
from kickstarting.population.evolve import first_round, look_around
from kickstarting.population.slices import Slice, member_config, slices
from kickstarting.population.state import (
    Population,
    check_fits,
    load_population,
    read_population,
    save_population,
    write_population,
)
from kickstarting.runs.checkpoint import Snapshot
from kickstarting.runs.files import write_json
from kickstarting.runs.layout import PopulationDirectory, RunDirectory, checkpoints
from kickstarting.runs.run import measure_teachers
from kickstarting.runs.writer import MetricsWriter
from kickstarting.suites import load_suite


def run_population(
    config: Config, population: PopulationConfig, out: Path, *, console: Console, backend: Backend | None = None
) -> None:
    """Evolve a population in a new directory. Raises ValueError if it holds one already, or anything does not fit.

    backend: where the members train; in turns in this process unless given.
    """
    population.check(config)
    config.check()
    config = replace(config.on_this_machine(), name=config.name or "population")
    if PopulationDirectory(out).begun:
        raise ValueError(f"{out} already holds a population; choose another --out, or continue it with --resume {out}")
    teacher_scores = measure_teachers(config)  # and with it every error that can be found before the work
    out.mkdir(parents=True, exist_ok=True)
    write_population(out, config, population, teacher_scores)
    _evolve(out, first_round(config, population), console, backend)


def resume_population(out: Path, *, console: Console, backend: Backend | None = None) -> None:
    """Continue a killed population from its newest checkpoint."""
    config, population, _ = read_population(out)
    if PopulationDirectory(out).finished:
        raise ValueError(f"{out} is finished; there is nothing to resume")
    found = checkpoints(PopulationDirectory(out).checkpoints)
    state = load_population(found[-1]) if found else first_round(config, population)
    if found:
        check_fits(state, config, population, out)
    _evolve(out, state, console, backend)


def _evolve(out: Path, state: Population, console: Console, backend: Backend | None) -> None:
    backend = backend or InProcess()
    config, population, teacher_scores = read_population(out)
    suite = load_suite(config.suite)
    members = {PopulationDirectory(out).member(i).path: member_config(config, i) for i in range(population.members)}
    _begin(members, teacher_scores)
    with ExitStack() as stack:
        writers = [MetricsWriter(directory, frames=_frames(state), board=False) for directory in members]
        for writer in writers:
            stack.callback(writer.close)
        race = stack.enter_context(Race(members, console, turns=-(-len(members) // backend.slots)))
        while _frames(state) < config.total_frames:
            jobs = slices(state, config, population, teacher_scores)
            state.snapshots[:] = _advance(jobs, backend, writers, race)
            state = look_around(state, config, population, suite)
            save_population(out, state)
    write_best(out, state, config, teacher_scores)


def _begin(members: dict[Path, Config], teacher_scores: dict[str, Any]) -> None:
    for directory, member in members.items():
        directory.mkdir(parents=True, exist_ok=True)
        write_json(RunDirectory(directory).config, member.to_json())
        write_json(RunDirectory(directory).teacher_scores, teacher_scores)


def _frames(state: Population) -> int:
    """The same of all members."""
    return state.snapshots[0].record["frames"] if state.snapshots[0] else 0


def _advance(jobs: dict[int, Slice], backend: Backend, writers: Sequence[MetricsWriter], race: Race) -> list[Snapshot]:
    """One slice of every member; returns their snapshots."""
    reached: dict[int, Snapshot] = {}
    with closing(carried_out(backend, jobs)) as turns:
        for turn in turns:
            for i, lines, job in turn:
                for line in lines:
                    writers[i].write(line["frames"], {name: value for name, value in line.items() if name != "frames"})
                if job.done:
                    reached[i] = job.result()
            race.refresh()
    return [reached[i] for i in sorted(reached)]
