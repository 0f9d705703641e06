"""Population based training: members in slices of frames, one round after the other (Schmitt et al. 2018, section 2.3).

A slice is a job of a backend (`launch/`). Without a cluster, members take turns in this process, and a population takes the
memory of one run and of all weights and optimiser states before and after a round. A resumed population equals an uninterrupted
one. After each round every member looks at another (`algo/pbt.py`). Directory:

population.json                 configuration          lineage.json     who copied whom, every hyperparameter over time
checkpoints/ROUND/member-NN     all members, atomic    members/NN       each member's config.json and metrics.jsonl
best/                           the best member as a run: its ancestry's metrics, its checkpoint, schedule.json to replay
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from kickstarting.cluster.jobs import OnCluster
from kickstarting.config import Config
from kickstarting.display import Race
from kickstarting.inputs import check_inputs
from kickstarting.launch.jobs import Backend, Line, carried_out
from kickstarting.launch.local import InProcess
from kickstarting.population.ancestry import write_best
from kickstarting.population.config import PopulationConfig
from kickstarting.population.evolve import first_round, look_around
from kickstarting.population.slices import member_config, slices
from kickstarting.population.state import (
    Population,
    check_fits,
    load_population,
    load_under_way,
    read_population,
    save_population,
    save_under_way,
    write_population,
)
from kickstarting.runs.configuration import begin_run, read_run_file, run_id
from kickstarting.runs.history import note
from kickstarting.runs.layout import PopulationDirectory, RunDirectory, checkpoints
from kickstarting.runs.mirror import begin_mirror, check_vacant, mirrored
from kickstarting.runs.ownership import check_free, written_by_us
from kickstarting.runs.signals import Stop, listening, resumed_by
from kickstarting.runs.teachers import measure_teachers
from kickstarting.runs.writer import MetricsWriter
from kickstarting.suites import load_suite
from kickstarting.trust import trust


def run_population(
    config: Config,
    population: PopulationConfig,
    out: Path,
    *,
    console: Console,
    backend: Backend | None = None,
    mirror: str | None = None,
) -> None:
    """Evolve a population in a new directory. Raises ValueError if it holds one already, or anything does not fit.

    backend: where the members train; unless given, on the configuration's cluster, or in turns in this process. mirror: as of a
    run.
    """
    population.check(config)
    config.check()
    check_free(out, "population", resume_command(out))
    if mirror is not None:
        check_vacant(mirror, out)
    with listening() as stop, written_by_us(out), ExitStack() as stack:
        check_free(out, "population", resume_command(out))
        place = stack.enter_context(_place(config, backend))
        config = replace(config.on_this_machine(), name=config.name or "population")
        teacher_scores = measure_teachers(config, out)  # and with it every error that can be found before the work
        write_population(out, config, population, teacher_scores)
        note(PopulationDirectory(out).history, "began", frames=0)
        if mirror is not None:
            begin_mirror(out, mirror)
        with mirrored(out) as bring:
            _evolve(out, first_round(config, population), console, place, stop, bring)


def resume_population(
    out: Path,
    *,
    console: Console,
    backend: Backend | None = None,
    environment_timeout: float | None = None,
    cluster: str | None = None,
    trust_modules: Sequence[str] = (),
) -> None:
    """Continue a killed population from its newest checkpoint, and members within a round from theirs.

    Raises ValueError if a file or a teacher that it reads is not the one that it began with.
    """
    trust(trust_modules)
    directory = PopulationDirectory(out)
    if not directory.begun:
        read_population(out)  # says what is missing
    with listening() as stop, written_by_us(out), ExitStack() as stack:
        config, population, teacher_scores = read_population(out)
        if directory.finished:
            raise ValueError(f"{out} is finished; there is nothing to resume")
        check_inputs(config.inputs)
        given = {"environment_timeout": environment_timeout, "cluster": cluster}
        if changes := {name: value for name, value in given.items() if value is not None}:
            config = config.changed(**changes)
            config.check()
            write_population(out, config, population, teacher_scores, read_run_file(directory.population))
        found = checkpoints(directory.checkpoints)
        state = load_population(found[-1], run_id(directory.population)) if found else first_round(config, population)
        if found:
            check_fits(state, config, population, out)
        note(directory.history, "resumed", frames=_frames(state))
        with mirrored(out) as bring:
            _evolve(out, state, console, stack.enter_context(_place(config, backend)), stop, bring)


def resume_command(out: Path) -> str:
    return f"kickstart population --resume {shlex.quote(str(out))}"


@contextmanager
def _place(config: Config, backend: Backend | None) -> Iterator[Backend]:
    """Where members train: as given; else on the configuration's cluster, or in turns in this process."""
    if backend is None and (config.remote.cluster or config.remote.actors):
        with OnCluster(config.remote) as cluster:
            yield cluster
    else:
        yield backend or InProcess()


def _evolve(out: Path, state: Population, console: Console, backend: Backend, stop: Stop, bring: Callable[[], None]) -> None:
    config, population, teacher_scores = read_population(out)
    suite, directory = load_suite(config.suite), PopulationDirectory(out)
    members = {directory.member(i).path: member_config(config, i) for i in range(population.members)}
    _begin(members, teacher_scores, read_run_file(directory.population).get("versions", {}))
    reached = load_under_way(out, state)
    stands = [reached[i].record["frames"] if i in reached else _frames(state) for i in range(population.members)]
    with ExitStack() as stack:
        writers = [MetricsWriter(path, frames=frames, board=False) for path, frames in zip(members, stands, strict=True)]
        for writer in writers:
            stack.callback(writer.close)
        stack.enter_context(resumed_by(resume_command(out)))
        stack.enter_context(stop.at_a_good_moment())
        race = stack.enter_context(Race(members, console, turns=-(-len(members) // backend.slots)))
        while _frames(state) < config.total_frames:
            jobs = slices(state, config, population, teacher_scores, reached, directory)
            with closing(carried_out(backend, jobs, stop=stop)) as turns:
                for turn in turns:
                    for i, lines, job in turn:
                        for line in lines:
                            config = _take(out, line, i, config, state, writers[i], stop)
                            if "snapshot" in line:
                                bring()
                        if job.done:
                            reached[i] = job.result()
                            save_under_way(out, state, i, reached[i])
                    race.refresh()
            state.snapshots[:] = [reached[i] for i in sorted(reached)]
            reached = {}
            state = look_around(state, config, population, suite)
            save_population(out, state)
            bring()
    write_best(out, state, config, teacher_scores)
    note(directory.history, "finished", frames=config.total_frames)


def _take(out: Path, line: Line, member: int, config: Config, state: Population, writer: MetricsWriter, stop: Stop) -> Config:
    """What a member said: metrics, a checkpoint on the way, or how far apart these are, which holds for all from then on."""
    directory = PopulationDirectory(out)
    if "snapshot" in line:
        save_under_way(out, state, member, line["snapshot"])
        if stop.number is not None:
            note(directory.history, "stopped", frames=line["snapshot"].record["frames"], member=member, signal=stop.number)
    elif "checkpoint_every" in line:
        config = config.changed(checkpoint_every=str(line["checkpoint_every"]))
        began = read_run_file(directory.population)
        write_population(out, config, read_population(out)[1], began["teacher_scores"], began)
    else:
        writer.write(line["frames"], {name: value for name, value in line.items() if name != "frames"})
    return config


def _begin(members: dict[Path, Config], teacher_scores: dict[str, Any], versions: dict[str, str]) -> None:
    for path, member in members.items():
        path.mkdir(parents=True, exist_ok=True)
        begin_run(RunDirectory(path), member, teacher_scores, versions)


def _frames(state: Population) -> int:
    """The same of all members."""
    return state.snapshots[0].record["frames"] if state.snapshots[0] else 0
