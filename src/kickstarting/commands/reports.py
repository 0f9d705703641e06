"""`kickstart compare | metrics | suites | demo | reproduce`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from kickstarting.cluster.config import Address
from kickstarting.config import Frames
from kickstarting.console import say
from kickstarting.help import Where
from kickstarting.ranges import COUNT, FRAMES, JOBS, PORT
from kickstarting.runs.signals import resumed_by

console = Console()


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
    from kickstarting.report.layout import ReportDirectory
    from kickstarting.watch import clip_of_runs

    check_out(out)
    shown = clip_of_runs(directories, console) if clip else None
    comparison = compare_runs(directories, out=out, baseline=baseline, clip=shown)
    console.print(to_rich(comparison))
    say(console, f"open {ReportDirectory(out).page.resolve()}")


def metrics(
    directories: tyro.conf.Positional[tuple[Path, ...]],
    host: str = "127.0.0.1",
    port: Annotated[int, PORT] = 9400,
) -> None:
    """Serve the last metrics of runs to Prometheus, while they train or later, until a signal comes (docs/metrics.md).

    Args:
        directories: Runs, populations (each member is a run), or directories that hold some of these.
        host: Address to serve at; whoever reaches it reads names of runs and tasks, and all numbers.
        port: 0 takes a free one.
    """
    from kickstarting.runs.prometheus import serve_metrics

    serve_metrics(directories, host=host, port=port, said=lambda text: say(console, text))


def suites(name: tyro.conf.Positional[str] = "") -> None:
    """List the suites, and the teachers that come with the package.

    Args:
        name: Show the tasks of this suite instead, with their scores and where these come from.
    """
    from kickstarting.listing import suite_table, suites_table, zoo_table
    from kickstarting.suites import builtin_suites, load_suite

    if name:
        console.print(suite_table(load_suite(name)))
        return
    console.print(suites_table([load_suite(name) for name in builtin_suites()]))
    console.print(
        "`kickstart suites NAME` shows its tasks. Any EnvPool or Gymnasium environment id is a suite, too, and so is a .toml file."
    )
    console.print(zoo_table())


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
    cluster: Annotated[str, Address()] = "",
    record_histories: bool = False,
) -> None:
    """Run one of the paper's experiments to its end and write its table, figures and page. Without a name: list them.

    Args:
        name: Name of the experiment.
        scale: tiny (minutes; tests the machinery), cpu (hours on two cores) or gpu.
        seeds: Runs of each arm; the scale's number unless given.
        out: Directory for all runs of this scale; runs/reproduce/SCALE unless given. Experiments share runs there.
        resume: Continue an experiment that was begun.
        jobs: Runs at a time; one per core unless given.
        cluster: Ray cluster to run on instead: HOST:PORT, auto or local (docs/cluster.md); all its nodes must see OUT.
        record_histories: Keep every transition of every student, for Algorithm Distillation (docs/histories.md).
    """
    from kickstarting.listing import experiment_table
    from kickstarting.reproduce import experiments
    from kickstarting.reproduce import reproduce as run_experiment

    if name:
        with resumed_by(_again("--resume")):
            how = {"scale": scale, "seeds": seeds, "out": out, "resume": resume, "jobs": jobs, "cluster": cluster}
            run_experiment(name, **how, record_histories=record_histories, console=console)
        return
    console.print(experiment_table(experiments()))


def _again(*more: str) -> str:
    """This command, to be typed again."""
    return shlex.join(["kickstart", *sys.argv[1:], *(word for word in more if word not in sys.argv)])
