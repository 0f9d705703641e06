"""The command `kickstart`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from kickstarting.config import Config, Frames
from kickstarting.console import literal, say
from kickstarting.help import flowing_help
from kickstarting.launch.sweep import SweepError
from kickstarting.learner import TrainingError
from kickstarting.population.config import PopulationConfig
from kickstarting.runs.layout import PopulationDirectory, ReportDirectory
from kickstarting.tuning.recipe import apply, read_recipe

console = Console()


def train(
    config: tyro.conf.OmitArgPrefixes[Config],
    out: Path | None = None,
    resume: Path | None = None,
    recipe: Path | None = None,
    profile: bool = False,
) -> None:
    """Train a student, from scratch or kickstarted by teachers.

    Args:
        config: What to train.
        out: Directory of the run; runs/SUITE/NAME-SEED unless given.
        resume: Continue the killed run in this directory instead.
        recipe: A TOML file of settings, as `kickstart tune` writes it (docs/tuning.md).
        profile: Print where the time of an update goes, and write a trace of three updates to trace.json in the run directory.
    """
    from kickstarting.runs import run as runs

    if resume:
        _refuse_with_resume(resume, suite=config.suite or None, recipe=recipe)
        runs.resume(resume)
        console.print(f"finished; the run is in {resume}")
        return
    config = _complete(config, recipe)
    out = out or _default_out(config, config.group)
    runs.run(config, out, profile=profile)
    console.print(f"finished; the run is in {out}: compare it with `kickstart compare {out} ...`")


def population(
    config: tyro.conf.OmitArgPrefixes[Config],
    pbt: tyro.conf.OmitArgPrefixes[PopulationConfig],
    out: Path | None = None,
    resume: Path | None = None,
    recipe: Path | None = None,
) -> None:
    """Evolve a population of students that take turns on this machine (population based training).

    Args:
        config: What each member trains. Strength and horizon of the schedule, shares, learning rate and entropy cost evolve.
        pbt: How the population evolves.
        out: Directory of the population; runs/SUITE/population-SEED unless given.
        resume: Continue the killed population in this directory instead.
        recipe: A TOML file of settings, as `kickstart tune` writes it (docs/tuning.md); it holds for every member.
    """
    from kickstarting.population.run import resume_population, run_population

    if resume:
        _refuse_with_resume(resume, recipe=recipe)
        resume_population(resume, console=console)
        out = resume
    else:
        config = _complete(config, recipe)
        out = out or _default_out(config, "population")
        run_population(config, pbt, out, console=console)
    best = PopulationDirectory(out).best
    console.print(f"finished; the best member is the run {best.path}: its lambda over time is {best.schedule}")


def tune(
    config: tyro.conf.OmitArgPrefixes[Config],
    budget: Frames | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    jobs: int = 0,
) -> None:
    """Search around the given settings by successive halving, and write the best as a recipe for `train`.

    Args:
        config: The configuration to search around; --frames is the length of a full run.
        budget: Frames for all runs together, at least twice --frames. It decides how many configurations are tried.
        out: Directory of the tune; runs/SUITE/tune-SEED unless given.
        resume: Continue the killed tune in this directory instead.
        jobs: Runs at a time; one per core unless given.
    """
    from kickstarting.tuning.tune import resume_tune, run_tune

    if resume:
        _refuse_with_resume(resume, budget=budget, suite=config.suite or None, out=out)
        resume_tune(resume, jobs=jobs, console=console)
        return
    config = _complete(config)
    if budget is None:
        raise ValueError(f"give --budget FRAMES for all runs together, at least twice --frames: {2 * config.total_frames}")
    run_tune(config, budget, out or _default_out(config, "tune"), jobs=jobs, console=console)


def _complete(config: Config, recipe: Path | None = None) -> Config:
    if not config.suite:
        raise ValueError("name a suite, a .toml file or an environment id (see `kickstart suites`), or give --resume DIR")
    return apply(config, read_recipe(recipe)) if recipe else config


def _refuse_with_resume(resume: Path, **given: object) -> None:
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"--resume {resume} continues with the configuration in that directory; leave out {name} {value}")


def _default_out(config: Config, name: str) -> Path:
    suite = re.sub(r"[^\w.-]+", "-", config.suite.rpartition("/")[2].replace(".toml", ""))
    return Path("runs") / suite.strip("-") / f"{name}-{config.seed}"


def evaluate(
    ref: tyro.conf.Positional[str],
    suite: tyro.conf.Positional[str],
    episodes: int = 100,
    greedy: bool = False,
    seed: int = 1_000_003,
    json_file: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Run whole episodes of every task with frozen weights, and print return, success and score.

    Args:
        ref: A run directory, one of its checkpoints, zoo:NAME, or `random`.
        suite: A suite's name, a .toml file, or an environment id.
        episodes: Number of episodes of each task.
        greedy: Take the most likely action instead of sampling.
        seed: Seed of environments and sampling.
        json_file: Also write the numbers to this file.
    """
    from kickstarting.evaluate import evaluate_ref
    from kickstarting.listing import check_json, evaluation_table, write_evaluation

    if json_file:
        check_json(json_file)
    with console.status("evaluating ...", spinner="line") as status:

        def progress(done: int, total: int) -> None:
            status.update(literal(f"evaluating {ref}: {done} of {total} episodes"))

        results = evaluate_ref(ref, suite, episodes=episodes, seed=seed, greedy=greedy, progress=progress)
    console.print(evaluation_table(results))
    if json_file:
        write_evaluation(json_file, results, ref=ref, suite=suite, greedy=greedy, seed=seed)


def compare(
    directories: tyro.conf.Positional[tuple[Path, ...]],
    out: Path = Path("comparison"),
    baseline: str | None = None,
) -> None:
    """Compare runs as the paper's Table 1 does: grouped by name over seeds, with intervals, curves and a page.

    Args:
        directories: Runs, populations (their best member and lineage), or directories that hold some of these.
        out: Directory for comparison.json, the figures and report.html.
        baseline: Name of the group that the others are compared with; `scratch` if there is one, else the first.
    """
    from kickstarting.report import compare_runs, to_rich

    comparison = compare_runs(directories, out=out, baseline=baseline)
    console.print(to_rich(comparison))
    say(console, f"open {ReportDirectory(out).page.resolve()}")


def suites() -> None:
    """List the suites and their tasks."""
    from kickstarting.listing import suite_table
    from kickstarting.suites import builtin_suites, load_suite

    for name in builtin_suites():
        console.print(suite_table(load_suite(name)))
    console.print("Any EnvPool or Gymnasium environment id is a suite, too, and so is a .toml file like these.")


def demo(full: bool = False, out: Path = Path("runs/demo"), frames: Frames | None = None) -> None:
    """Run the main job: a shipped small teacher kickstarts a large student, beside the same student from scratch.

    Args:
        full: Also train the teacher, and run three seeds of everything.
        out: Directory for the runs and the report; an interrupted demo continues there.
        frames: Frames of each student.
    """
    from kickstarting.demo import run_demo

    run_demo(out, full=full, frames=frames, console=console)


def reproduce(
    name: tyro.conf.Positional[str] = "",
    scale: str = "cpu",
    seeds: int | None = None,
    out: Path | None = None,
    resume: bool = False,
    jobs: int = 0,
) -> None:
    """Run one of the paper's experiments to its end and write its table, figures and page. Without a name: list them.

    Args:
        name: Name of the experiment.
        scale: tiny (minutes; tests the machinery), cpu (hours on two cores) or gpu.
        seeds: Runs of each arm; the scale's number unless given.
        out: Directory for all runs of this scale; runs/reproduce/SCALE unless given. Experiments share runs there.
        resume: Continue an experiment that was begun.
        jobs: Runs at a time; one per core unless given.
    """
    from kickstarting.listing import experiment_table
    from kickstarting.reproduce import experiments
    from kickstarting.reproduce import reproduce as run_experiment

    if name:
        run_experiment(name, scale=scale, seeds=seeds, out=out, resume=resume, jobs=jobs, console=console)
        return
    console.print(experiment_table(experiments()))


def main() -> None:
    """Entry point. An error that a user can mend gives one clear line and exit code 1."""
    commands = {"train": train, "population": population, "tune": tune, "evaluate": evaluate, "compare": compare}
    commands |= {"reproduce": reproduce, "demo": demo, "suites": suites}
    try:
        with flowing_help():
            tyro.extras.subcommand_cli_from_dict(commands, prog="kickstart", description=__doc__)
    except (ValueError, TrainingError, SweepError) as error:
        sys.exit(f"kickstart: error: {error}")
    except KeyboardInterrupt:
        command = sys.argv[1] if sys.argv[1:2] and sys.argv[1] in ("population", "tune") else "train"
        sys.exit(f"kickstart: interrupted; the last checkpoint is kept: continue with `kickstart {command} --resume DIR`")


if __name__ == "__main__":
    main()
