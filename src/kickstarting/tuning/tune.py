"""Tuning by successive halving (`halving.py`): every configuration is an ordinary run of full length that is stopped at the end
of a rung, at a checkpoint, and goes on from there if it is among the best. Directory:

tune.json       configuration 0, budget, teachers' scores, versions     runs/NN/        each configuration's run
results.json    settings and scores of every configuration, by rung     recipe.toml     the winner's settings
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from kickstarting.config import FORMAT, Config
from kickstarting.console import say
from kickstarting.inputs import check_inputs
from kickstarting.launch.sweep import Part, SweepError, run_all
from kickstarting.machine import cores, fastest_threads
from kickstarting.runs.configuration import begin_run, checked_config, read_run_file
from kickstarting.runs.files import blaming, check_writable, make_directory, typed, write_json, write_signed
from kickstarting.runs.layout import JobDirectory, RunDirectory, TuneDirectory
from kickstarting.runs.metrics import read_metrics
from kickstarting.runs.ownership import check_free, written_by_us
from kickstarting.runs.signals import listening, resumed_by
from kickstarting.runs.teachers import measure_teachers
from kickstarting.runs.versions import versions
from kickstarting.settings import flat
from kickstarting.trust import trust
from kickstarting.tuning.display import RungProgress, plan_table, results_table, said_score, searched
from kickstarting.tuning.halving import Rung, draw, plan, ranked, rung_score, slice_frames, survivors
from kickstarting.tuning.recipe import OF_THE_RUN, differing, words, write_recipe

REMEDY = "restore the file, or start anew with another --out"
Scores = dict[int, float | None]
"""Of the configurations that reached a rung; None for one that diverged, or of which too few episodes ended."""


@dataclass(frozen=True)
class Tuning:
    """What a tune.json says, and what follows from it."""

    out: Path
    config: Config
    """Configuration 0, with what `auto` means on this machine."""
    budget: int
    command: str
    """What began it."""
    train: str
    """What trains with its recipe, but for the recipe."""
    teacher_scores: dict[str, Any]
    versions: dict[str, str]

    @property
    def rungs(self) -> list[Rung]:
        return plan(self.budget, self.config.total_frames)

    def configurations(self) -> list[Config]:
        drawn = [draw(self.config, i) for i in range(self.rungs[0].runs)]
        return [replace(config, name=f"configuration {i}" if i else "default") for i, config in enumerate(drawn)]

    def run(self, number: int) -> Path:
        return TuneDirectory(self.out).run(number).path


def run_tune(config: Config, budget: int, out: Path, *, jobs: int = 0, console: Console) -> None:
    """Search around a configuration in a new directory. Raises ValueError before any work for what cannot work."""
    if config.teaching.schedule.endswith(".json"):
        raise ValueError(
            f"schedule is {config.teaching.schedule}, which no factor changes; name one, as linear:1:0:20%, or leave it out"
        )
    config.check()
    check_writable(out)
    plan(budget, config.total_frames)
    check_free(out, "tune", resume_command(out))
    with listening(), written_by_us(out):
        check_free(out, "tune", resume_command(out))
        _begin_tune(config, budget, out, jobs)
        _tune(read_tune(out, config.trusted_modules), jobs, console)


def _begin_tune(config: Config, budget: int, out: Path, jobs: int) -> None:
    threads = config.machine.torch_threads or fastest_threads(max(1, cores() // (jobs or cores())))
    ours = config.changed(torch_threads=threads, checkpoint_every=str(slice_frames(config.total_frames))).on_this_machine()
    scores = measure_teachers(ours, out)  # and with it every error that can be found before the work
    another = replace(config, seed=config.seed + 1)
    for_command = [name for name in flat(config) if name != "suite"]
    data = {
        "config": ours.to_json(),
        "budget": budget,
        "command": shlex.join(["kickstart", "tune", config.suite, *words(config, for_command), "--budget", str(budget)]),
        "train": shlex.join(["kickstart", "train", config.suite, *words(another, OF_THE_RUN[1:])]),
        "teacher_scores": scores,
        "versions": versions(),
    }
    write_signed(TuneDirectory(out).tune, {"format": FORMAT, **data})


def resume_tune(out: Path, *, jobs: int = 0, console: Console, trust_modules: Sequence[str] = ()) -> None:
    """Continue a killed tune; what it finished is not trained again, and it ends with the same recipe."""
    if not TuneDirectory(out).begun:
        read_tune(out)  # says what is missing
    with listening(), written_by_us(out):
        tuning = read_tune(out, trust_modules)
        if TuneDirectory(out).finished:
            raise ValueError(f"{out} is finished; there is nothing to resume: its recipe is {TuneDirectory(out).recipe}")
        check_inputs(tuning.config.inputs)
        _tune(tuning, jobs, console)


def resume_command(out: Path) -> str:
    return f"kickstart tune --resume {shlex.quote(str(out))}"


def read_tune(out: Path, trust_modules: Sequence[str] = ()) -> Tuning:
    """Raises ValueError if there is no tune.json, it is not of this version, or names a module that is not trusted."""
    trust(trust_modules)
    path = TuneDirectory(out).tune
    if not os.path.lexists(path):
        raise ValueError(f"no tune at {out}; start one with `kickstart tune SUITE --budget FRAMES --out {out}`")
    data = read_run_file(path)
    with blaming(path, remedy=REMEDY):
        config = checked_config(typed(data["config"], dict, "'config'"), path).changed(trust_modules=tuple(trust_modules))
        tuning = Tuning(
            out,
            config,
            budget=typed(data["budget"], int, "'budget'"),
            command=typed(data["command"], str, "'command'"),
            train=typed(data["train"], str, "'train'"),
            teacher_scores=typed(data["teacher_scores"], dict, "'teacher_scores'"),
            versions={name: typed(x, str, "a version") for name, x in typed(data["versions"], dict, "'versions'").items()},
        )
        tuning.configurations()
        return tuning


def _tune(tuning: Tuning, jobs: int, console: Console) -> None:
    configs, rungs = tuning.configurations(), tuning.rungs
    say(console, f"{len(configs)} configurations of {tuning.config.suite} within {tuning.budget} frames:")
    console.print(plan_table(rungs))
    say(console, f"searched, as factors of the default: {searched(tuning.config)}")
    for i, config in enumerate(configs):
        _begin(tuning.run(i), config, tuning)
    results: list[Scores] = []
    running = list(range(len(configs)))
    for n, rung in enumerate(rungs):
        parts = {tuning.run(i): Part(configs[i], rung.frames) for i in running}
        progress = RungProgress({tuning.run(i): configs[i] for i in running}, rungs, n, console)
        with resumed_by(resume_command(tuning.out)):
            run_all(parts, jobs=jobs, console=console, progress=progress)
        results.append({i: _score(tuning.run(i), rung.frames) for i in running})
        if not ranked(results[-1]):
            raise SweepError(_why_no_score(tuning, running, rung))
        say(console, f"rung {n + 1} of {len(rungs)}: {said_score(results[-1])}")
        running = survivors(results[-1], rungs[n + 1].runs) if n + 1 < len(rungs) else running
    _finish(tuning, configs, results, console)


def _begin(out: Path, config: Config, tuning: Tuning) -> None:
    """A run's directory, from which it is resumed even for its first frame: teachers are measured once for all."""
    if not RunDirectory(out).begun:
        make_directory(out)
        begin_run(RunDirectory(out), config, tuning.teacher_scores, tuning.versions)


def _score(out: Path, frames: int) -> float | None:
    return None if JobDirectory(out).diverged.exists() else rung_score(read_metrics(RunDirectory(out).metrics), frames)


def _why_no_score(tuning: Tuning, running: list[int], rung: Rung) -> str:
    diverged = [path for i in running if (path := JobDirectory(tuning.run(i)).diverged).exists()]
    if len(diverged) == len(running):
        return f"all {len(running)} configurations diverged, see {diverged[0]}; begin anew with a lower --learning-rate"
    return (
        f"no configuration has a score after {rung.frames} frames, for too few episodes ended; begin anew with longer runs "
        "(--frames) or fewer --envs-per-task"
    )


def _finish(tuning: Tuning, configs: list[Config], results: list[Scores], console: Console) -> None:
    """Say and write what was found; recipe.toml comes last, and says that the tune is finished."""
    out, (winner, *_) = tuning.out, ranked(results[-1])
    entries = [
        {"configuration": i, "options": differing(config), "scores": [scores[i] for scores in results if i in scores]}
        for i, config in enumerate(configs)
    ]
    write_json(TuneDirectory(out).results, {"rungs": [asdict(rung) for rung in tuning.rungs], "configurations": entries})
    scores = {"score": results[-1][winner], "default_score": results[-1][0]}
    found = {
        "suite": tuning.config.suite,
        "network": tuning.config.network,
        "configuration": winner,
        **{name: round(score, 2) for name, score in scores.items() if score is not None},
        "frames": tuning.config.total_frames,
        "seeds": [tuning.config.seed],
        "configurations": len(configs),
        "command": tuning.command,
        "versions": tuning.versions,
    }
    write_recipe(TuneDirectory(out).recipe, differing(configs[winner]), found)
    console.print(results_table(configs, results, tuning.rungs, winner))
    said = "the default won: its recipe changes nothing" if winner == 0 else f"configuration {winner} won"
    say(console, f"{said}; {said_score(results[-1])}, of one seed")
    say(console, f"next, with another seed: {tuning.train} --recipe {shlex.quote(str(TuneDirectory(out).recipe))}")
