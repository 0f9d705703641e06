"""`kickstart ad train | evaluate | reproduce | demo`: models that learn from histories, and then in their context."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from kickstarting.ad.player import CHOICES
from kickstarting.ad.saved import TrainConfig
from kickstarting.ad.sources import SOURCES
from kickstarting.ad.tasks import PARTS
from kickstarting.console import say
from kickstarting.help import Where
from kickstarting.ranges import COUNT, SEED, THREADS, Choice, Range
from kickstarting.runs.signals import resumed_by

console = Console()


def train(
    histories: tyro.conf.Positional[Where | None] = None,
    config: tyro.conf.OmitArgPrefixes[TrainConfig] = TrainConfig(),  # noqa: B008
    paper: bool = False,
    out: Where | None = None,
    resume: Where | None = None,
) -> None:
    """Train a sequence model on learning histories.

    Args:
        histories: A directory of histories, as `kickstart ad collect` writes it, or a run with --record-histories.
        config: How the model is trained.
        paper: Take the model, batch and rate of the paper (appendix L) instead of the small and fast ones.
        out: Directory of the model; HISTORIES/model-SEED unless given.
        resume: Go on with the killed training in this directory instead, with its own configuration.
    """
    from kickstarting.ad import saved, training
    from kickstarting.ad.progress import shown

    if (histories is None) == (resume is None):
        raise ValueError("name a directory of histories, or give --resume DIR, and not both")
    with shown(console, "training", "updates") as progress:

        def say_line(step: int, line: Mapping[str, float | None]) -> None:
            progress(step, total, f"loss {line['loss']:.3f}  accuracy {line['accuracy']:.1%}")

        if resume:
            total = saved.config_from_json(saved.read_model_file(resume)["config"]).updates
            training.resume_model(resume, say_line)
            out = resume
        else:
            assert histories is not None
            config = saved.as_in_the_paper(config) if paper else config
            total = config.updates
            out = out or histories / f"model-{config.seed}"
            training.train_model(config, histories, out, say_line)
    say(console, f"finished; the model is in {out}: see it learn in context with `kickstart ad evaluate {out}`")


def evaluate(
    model: tyro.conf.Positional[Where],
    family: str = "",
    suite: str = "",
    part: Annotated[str, Choice(*PARTS)] = "test",
    episodes: Annotated[int, COUNT] = 100,
    rollouts: Annotated[int, COUNT] = 1,
    choice: Annotated[str, Choice(*CHOICES)] = "sample",
    context: Annotated[int, Range(0, 10**5)] = 0,
    prompt: Annotated[str, Choice("", *SOURCES)] = "",
    prompt_after: Annotated[int, Range(0, 10**6)] = 0,
    baselines: bool = True,
    seed: Annotated[int, SEED] = 1_000_003,
    out: Where | None = None,
) -> None:
    """Let a model learn tasks in context, with frozen weights, from an empty context, and print its return by episode.

    Args:
        model: A directory of `kickstart ad train`.
        family: Family of the tasks; that of the histories unless given.
        suite: For a model of a run's histories: where it acts; the run's own suite unless given.
        part: Which tasks: test (look once), validation (for every choice), or train.
        episodes: Episodes of each task, one after the other.
        rollouts: Times that each task is learned, each from an empty context.
        choice: How actions are chosen: sample, greedy (the most likely), or mixed (greedy once a reward is in the context).
        context: Steps that the model looks back on, fewer than it was trained with; 0 is all of them.
        prompt: Episodes by this source stand in the context at the start, as many as it holds.
        prompt_after: Episodes that the source of the prompt has learned from before.
        baselines: Also run the source algorithm and random actions on the same tasks.
        seed: Seed of environments and sampling.
        out: Directory for evaluation.json, returns.npz and curve.png; nothing is written unless given.
    """
    from kickstarting.ad.progress import shown
    from kickstarting.ad.results import HowEvaluated, compared, results_table, write_results

    with shown(console, f"evaluating {model}", "episodes") as progress:
        how = HowEvaluated(family, suite, part, episodes, rollouts, choice, context, prompt, prompt_after, seed)
        results = compared(model, how, baselines, progress)
    console.print(results_table(results))
    if out:
        write_results(results, out)
        say(console, f"open {(out / 'curve.png').resolve()}")


def reproduce(
    name: tyro.conf.Positional[str] = "",
    scale: str = "cpu",
    seeds: Annotated[int, COUNT] | None = None,
    first_seed: Annotated[int, SEED] = 1,
    out: Where | None = None,
    resume: bool = False,
    threads: Annotated[int, THREADS] = 0,
) -> None:
    """Run an experiment to its end: collect, train, evaluate, and write its table, figure and page. Without a name: list them.

    Args:
        name: Name of the experiment.
        scale: tiny (a minute or so; tests the machinery), cpu (up to hours on two cores) or gpu.
        seeds: How many, of everything: tasks that are held out, histories, models; the scale's number unless given.
        first_seed: From which they count. Test tasks of another seed have not been looked at yet.
        out: Directory for all steps of this scale; runs/ad/reproduce/SCALE unless given. Experiments share steps there.
        resume: Continue an experiment that was begun.
        threads: Of torch; all cores unless given.
    """
    from kickstarting.ad.reproduce import experiments
    from kickstarting.ad.reproduce import reproduce as run_experiment
    from kickstarting.listing import experiment_table

    if not name:
        console.print(experiment_table(experiments()))
        return
    with resumed_by(shlex.join(["kickstart", *sys.argv[1:], *(["--resume"] if "--resume" not in sys.argv else [])])):
        run_experiment(
            name, scale=scale, seeds=seeds, first_seed=first_seed, out=out, resume=resume, threads=threads, console=console
        )


def demo(out: Where = Path("runs/ad/demo"), episodes: Annotated[int, COUNT] = 60, seed: Annotated[int, SEED] = 0) -> None:
    """See a shipped model learn in its context: a room that it never saw, episode by episode, with frozen weights.

    Args:
        out: Directory for paths.png, curve.png and path.gif.
        episodes: Episodes of each task.
        seed: Seed of environments and sampling.
    """
    from kickstarting.ad.demo import run_demo

    run_demo(out, episodes=episodes, seed=seed, console=console)
