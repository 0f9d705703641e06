"""The command `kickstart`."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from kickstarting.ad.commands import ad
from kickstarting.config import Config, Frames, flat
from kickstarting.console import keep_streams, literal, say, visible
from kickstarting.faults import Fault
from kickstarting.help import Where, flowing_help
from kickstarting.launch.sweep import SweepError
from kickstarting.learner import TrainingError
from kickstarting.population.config import PopulationConfig
from kickstarting.ranges import COUNT, FRAMES, JOBS, PORT, SEED, Choice, Name, Range, checked
from kickstarting.replicas import ReplicaError
from kickstarting.runs.layout import PopulationDirectory, ReportDirectory
from kickstarting.runs.signals import Stopped, listening, resumed_by
from kickstarting.trust import CODE, PICKLE, trust
from kickstarting.tuning.recipe import apply, read_recipe

console = Console()
FORMATS = ("safetensors", "onnx", "torch-export")
TRUST = ("trust_module", "trust_pickle", "trust_code")
"""Options that belong to a command, not to a run."""


def train(
    config: tyro.conf.OmitArgPrefixes[Config],
    out: Where | None = None,
    resume: Where | None = None,
    recipe: Where | None = None,
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
        given = _only_with_resume(resume, config, "learning_rate", "environment_timeout", *TRUST)
        changes = {name: value for name, value in flat(config).items() if name in given - set(TRUST)}
        runs.resume(resume, **{**changes, "trust_modules": config.trusted_modules})
        say(console, f"finished; the run is in {resume}")
        return
    config = _complete(config, recipe)
    config.check()
    out = out or _default_out(config, config.group)
    runs.run(config, out, profile=profile)
    say(console, f"finished; the run is in {out}: compare it with `kickstart compare {out} ...`")


def population(
    config: tyro.conf.OmitArgPrefixes[Config],
    pbt: tyro.conf.OmitArgPrefixes[PopulationConfig],
    out: Where | None = None,
    resume: Where | None = None,
    recipe: Where | None = None,
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
        given = _only_with_resume(resume, config, "environment_timeout", *TRUST)
        timeout = config.machine.environment_timeout if "environment_timeout" in given else None
        resume_population(resume, console=console, environment_timeout=timeout, trust_modules=config.trusted_modules)
        out = resume
    else:
        config = _complete(config, recipe)
        out = out or _default_out(config, "population")
        run_population(config, pbt, out, console=console)
    best = PopulationDirectory(out).best
    say(console, f"finished; the best member is the run {best.path}: its lambda over time is {best.schedule}")


def tune(
    config: tyro.conf.OmitArgPrefixes[Config],
    budget: Annotated[Frames, FRAMES] | None = None,
    out: Where | None = None,
    resume: Where | None = None,
    jobs: Annotated[int, JOBS] = 0,
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
        _only_with_resume(resume, config, "jobs", *TRUST)
        resume_tune(resume, jobs=jobs, console=console, trust_modules=config.trusted_modules)
        return
    config = _complete(config)
    if budget is None:
        raise ValueError(f"give --budget FRAMES for all runs together, at least twice --frames: {2 * config.total_frames}")
    run_tune(config, budget, out or _default_out(config, "tune"), jobs=jobs, console=console)


def _complete(config: Config, recipe: Path | None = None) -> Config:
    if not config.suite:
        raise ValueError("name a suite, a .toml file or an environment id (see `kickstart suites`), or give --resume DIR")
    return apply(config, read_recipe(recipe)) if recipe else config


def _only_with_resume(resume: Path, config: Config, *allowed: str) -> set[str]:
    """What was given beside --resume, as names of options. Raises ValueError if anything but these was, even if it changes
    nothing: the configuration in the directory holds."""
    given = {word.partition("=")[0].removeprefix("--").removeprefix("no-") for word in sys.argv[1:] if word.startswith("--")}
    given = {name.replace("-", "_").rpartition(".")[2] for name in given} - {"resume"}
    for name in sorted(given - set(allowed)) + ([config.suite] if config.suite else []):
        may = " and ".join(f"--{name.replace('_', '-')}" for name in allowed)
        raise ValueError(
            f"--resume {resume} continues with the configuration in that directory; leave out {name.replace('_', '-')} (only {may} "
            "may be given with it)"
        )
    return given


def _default_out(config: Config, name: str) -> Path:
    suite = re.sub(r"[^\w.-]+", "-", config.suite.rpartition("/")[2].replace(".toml", "")).strip("-.")[:60]
    return Path("runs") / (suite or "suite") / f"{name}-{config.seed}"


def evaluate(
    ref: tyro.conf.Positional[str],
    suite: tyro.conf.Positional[str],
    episodes: Annotated[int, COUNT] = 100,
    greedy: bool = False,
    seed: Annotated[int, SEED] = 1_000_003,
    teacher_adapters: str = "",
    trust_module: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    trust_pickle: bool = False,
    trust_code: bool = False,
    json_file: Annotated[Where | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Run whole episodes of every task with frozen weights, and print return, success and score.

    Args:
        ref: A run directory, one of its checkpoints, zoo:NAME, or `random`.
        suite: A suite's name, a .toml file, or an environment id.
        episodes: Number of episodes of each task.
        greedy: Take the most likely action instead of sampling.
        seed: Seed of environments and sampling.
        teacher_adapters: What stands between the environments and the policy, as for `train`.
        trust_module: A module whose code may run because the checkpoint, or the suite's file, names it.
        trust_pickle: Read teachers from pickles, which can run any code of whoever made the file.
        trust_code: Load teachers that are programs (TorchScript, torch.export), which can run any code of whoever made the file.
        json_file: Also write the numbers to this file.
    """
    from kickstarting.evaluate import evaluate_ref
    from kickstarting.listing import check_json, evaluation_table, write_evaluation

    trust((*trust_module, *(PICKLE,) * trust_pickle, *(CODE,) * trust_code))
    if json_file:
        check_json(json_file)
    with console.status("evaluating ...", spinner="line") as status:

        def progress(done: int, total: int) -> None:
            status.update(literal(f"evaluating {ref}: {done} of {total} episodes"))

        options = {"episodes": episodes, "seed": seed, "greedy": greedy, "progress": progress}
        results = evaluate_ref(ref, suite, teacher_adapters, **options)
    console.print(evaluation_table(results))
    if json_file:
        write_evaluation(json_file, results, ref=ref, suite=suite, greedy=greedy, seed=seed)


def check(
    ref: tyro.conf.Positional[str],
    suite: tyro.conf.Positional[str],
    teacher_adapters: str = "",
    episodes: Annotated[int, COUNT] = 64,
    seed: Annotated[int, SEED] = 1_000_003,
    trust_module: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    trust_pickle: bool = False,
    trust_code: bool = False,
    json_file: Annotated[Where | None, tyro.conf.arg(name="json")] = None,
    out: Where | None = None,
) -> None:
    """See whether a teacher can teach a suite: play it in several ways, listen to what it says, and say what is wrong.

    The exit code is 1 if it cannot.

    Args:
        ref: The teacher, as --teacher of `train` takes it.
        suite: A suite's name, a .toml file, or an environment id.
        teacher_adapters: What stands between the environments and the teacher, as NAME or NAME+NAME.
        episodes: Number of episodes of each task, for each way of playing.
        seed: Seed of environments and sampling.
        trust_module: A module whose code may run because the teacher's, or the suite's file, names it.
        trust_pickle: Read teachers from pickles, which can run any code of whoever made the file.
        trust_code: Load teachers that are programs (TorchScript, torch.export), which can run any code of whoever made the file.
        json_file: Also write the numbers to this file.
        out: Directory for a page with the table and a clip of the teacher.
    """
    from kickstarting.checking import run_check

    trust((*trust_module, *(PICKLE,) * trust_pickle, *(CODE,) * trust_code))
    if not run_check(ref, suite, teacher_adapters, episodes=episodes, seed=seed, json_file=json_file, out=out, console=console):
        sys.exit(1)


def export(
    ref: tyro.conf.Positional[str],
    out: Where,
    format: Annotated[str, Choice(*FORMATS)] = "safetensors",
    suite: str = "",
    name: Annotated[str, Name()] = "",
    license: str = "",
    episodes: Annotated[int, COUNT] = 100,
    seed: Annotated[int, SEED] = 1_000_003,
    trust_module: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
) -> None:
    """Write a policy to a folder that others can load, with a card and scores, as model hubs take it.

    Args:
        ref: A run directory, one of its checkpoints, or zoo:NAME.
        out: The folder.
        format: safetensors; onnx or torch-export add the policy as a program, for those who do not have this package.
        suite: What it is scored on; the run's own suite unless given.
        name: Of the policy on its card; that of the directory unless given.
        license: Of the policy, as model hubs write it: apache-2.0, cc-by-4.0 ...
        episodes: Number of episodes of each task that are scored.
        seed: Seed of environments and sampling.
        trust_module: A module whose code may run because the checkpoint, or the suite's file, names it.
    """
    from kickstarting.export import export as write_export
    from kickstarting.listing import evaluation_table

    trust(trust_module)
    what = {"format": format, "suite_name": suite, "name": name, "license": license, "episodes": episodes, "seed": seed}
    with console.status("evaluating ...", spinner="line"):
        results = write_export(ref, out, **what)
    console.print(evaluation_table(results))
    say(console, f"written to {out}; as a teacher: --teacher {shlex.quote(str(out))}")


def watch(
    ref: tyro.conf.Positional[str],
    suite: tyro.conf.Positional[str],
    out: Where,
    task: str = "",
    teacher: str = "",
    teacher_adapters: str = "",
    steps: Annotated[int, COUNT] = 300,
    per_second: Annotated[float, Range(0.1, 60)] = 6.0,
    seed: Annotated[int, SEED] = 0,
    greedy: bool = False,
    trust_module: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    trust_pickle: bool = False,
    trust_code: bool = False,
) -> None:
    """Write a clip of a policy that plays one episode, with its action probabilities and values beside it.

    Args:
        ref: A run directory, one of its checkpoints, zoo:NAME, or any teacher.
        suite: A suite's name, a .toml file, or an environment id.
        out: The clip, a .gif or .mp4.
        task: The task of the suite; its first unless given.
        teacher: A teacher whose probabilities and values are shown beside those of the policy, at the same steps.
        teacher_adapters: What stands between the environments and the teacher, or without one the policy, as NAME or NAME+NAME.
        steps: The longest clip; a longer episode is cut there.
        per_second: Steps in a second of the clip.
        seed: Seed of the episode.
        greedy: Take the most likely action instead of sampling.
        trust_module: A module whose code may run because the checkpoint, or the suite's file, names it.
        trust_pickle: Read teachers from pickles, which can run any code of whoever made the file.
        trust_code: Load teachers that are programs (TorchScript, torch.export), which can run any code of whoever made the file.
    """
    from kickstarting.teachers.adapters import parse_adapters
    from kickstarting.watch import watch as write_clip

    trust((*trust_module, *(PICKLE,) * trust_pickle, *(CODE,) * trust_code))
    what = {"task": task, "teacher": teacher, "adapters": parse_adapters(teacher_adapters), "steps": steps, "greedy": greedy}
    with console.status("watching ...", spinner="line"):
        recording = write_clip(ref, suite, out, per_second=per_second, seed=seed, **what)
    last = recording.moments[-1]
    say(console, f"{len(recording.moments) - 1} steps of {recording.title}, return {last.total:.3g}: {out}")


def compare(
    directories: tyro.conf.Positional[tuple[Path, ...]],
    out: Where = Path("comparison"),
    baseline: str | None = None,
    clip: bool = True,
) -> None:
    """Compare runs as the paper's Table 1 does: grouped by name over seeds, with intervals, curves and a page.

    Args:
        directories: Runs, populations (their best member and lineage), or directories that hold some of these.
        out: Directory for comparison.json, the figures and report.html.
        baseline: Name of the group that the others are compared with; `scratch` if there is one, else the first.
        clip: Show an episode of a student and its teacher, where a run has a checkpoint.
    """
    from kickstarting.report import check_out, compare_runs, to_rich
    from kickstarting.watch import clip_of_runs

    check_out(out)
    shown = clip_of_runs(directories, console) if clip else None
    comparison = compare_runs(directories, out=out, baseline=baseline, clip=shown)
    console.print(to_rich(comparison))
    say(console, f"open {ReportDirectory(out).page.resolve()}")


def serve(
    ref: tyro.conf.Positional[str],
    port: Annotated[int, PORT] = 8000,
    host: str = "127.0.0.1",
    token_from: str = "",
    trust_module: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    trust_pickle: bool = False,
    trust_code: bool = False,
) -> None:
    """Serve a teacher to other processes and machines, where `--teacher http://HOST:PORT` names it (docs/serving.md).

    Args:
        ref: Any reference to a teacher, as --teacher takes it.
        port: To listen on; 0 takes a free one.
        host: Address to listen on; another than this machine's own needs a token.
        token_from: Name of the environment variable with the token that requests must bring.
        trust_module: A module whose code may run because the teacher's file names it.
        trust_pickle: Read teachers from pickles, which can run any code of whoever made the file.
        trust_code: Load teachers that are programs (TorchScript, torch.export), which can run any code of whoever made the file.
    """
    from kickstarting.serve import serve_ref

    trust((*trust_module, *(PICKLE,) * trust_pickle, *(CODE,) * trust_code))
    serve_ref(ref, host=host, port=port, token_from=token_from, said=lambda text: say(console, text))


def suites() -> None:
    """List the suites and their tasks."""
    from kickstarting.listing import suite_table
    from kickstarting.suites import builtin_suites, load_suite

    for name in builtin_suites():
        console.print(suite_table(load_suite(name)))
    console.print("Any EnvPool or Gymnasium environment id is a suite, too, and so is a .toml file like these.")


def demo(full: bool = False, out: Where = Path("runs/demo"), frames: Annotated[Frames, FRAMES] | None = None) -> None:
    """Run the main job: a shipped small teacher kickstarts a large student, beside the same student from scratch.

    Args:
        full: Also train the teacher, and run three seeds of everything.
        out: Directory for the runs and the report; an interrupted demo continues there.
        frames: Frames of each student.
    """
    from kickstarting.demo import run_demo

    with resumed_by(_again()):
        run_demo(out, full=full, frames=frames, console=console)


def reproduce(
    name: tyro.conf.Positional[str] = "",
    scale: str = "cpu",
    seeds: Annotated[int, COUNT] | None = None,
    out: Where | None = None,
    resume: bool = False,
    jobs: Annotated[int, JOBS] = 0,
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
        with resumed_by(_again("--resume")):
            run_experiment(name, scale=scale, seeds=seeds, out=out, resume=resume, jobs=jobs, console=console)
        return
    console.print(experiment_table(experiments()))


def _again(*more: str) -> str:
    """This command, to be typed again."""
    return shlex.join(["kickstart", *sys.argv[1:], *(word for word in more if word not in sys.argv)])


def main() -> None:
    """Entry point. An error that a user can mend gives one clear line and exit code 1; a signal gives 128 + its number."""
    commands = {"train": train, "population": population, "tune": tune, "evaluate": evaluate, "check": check, "compare": compare}
    commands |= {"export": export, "watch": watch, "reproduce": reproduce, "demo": demo, "suites": suites, "serve": serve}
    commands |= {"ad": ad}
    keep_streams()
    try:
        with listening(), flowing_help():
            commands = {name: checked(command) for name, command in commands.items()}
            tyro.extras.subcommand_cli_from_dict(commands, prog="kickstart", description=__doc__)
    except (ValueError, OSError, TrainingError, Fault, ReplicaError, SweepError) as error:
        sys.exit(f"kickstart: error: {visible(str(error))}")
    except Stopped as stopped:
        print(f"kickstart: {visible(str(stopped))}", file=sys.stderr)
        sys.exit(stopped.code)


if __name__ == "__main__":
    main()
