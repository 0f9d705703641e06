"""A run: consumes the training loop and keeps what it yields in a directory (`layout.RunDirectory`)."""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from rich.console import Console

from kickstarting.algo.distributions import Categorical, MultiCategorical
from kickstarting.algo.losses import mask_logits
from kickstarting.config import Config, read_config
from kickstarting.display import Display
from kickstarting.envs import describe
from kickstarting.evaluate import measure_teachers as evaluate_teachers
from kickstarting.runs.checkpoint import Snapshot, load_checkpoint, save_checkpoint
from kickstarting.runs.files import write_json
from kickstarting.runs.health import Facts, Health
from kickstarting.runs.layout import RunDirectory
from kickstarting.runs.metrics import read_metrics, summarise
from kickstarting.runs.profile import profiled
from kickstarting.runs.writer import MetricsWriter
from kickstarting.suites import load_suite
from kickstarting.teachers import build_teachers
from kickstarting.train import Update, build, train

LOGS_PER_RUN = 200


def run(config: Config, out: Path, *, display: Display | None = None, profile: bool = False) -> None:
    """Train from the start into a new directory; profile: also print where the time goes and write trace.json.

    Raises ValueError if the directory holds a run already.
    """
    directory = RunDirectory(out)
    if directory.begun:
        raise ValueError(f"{out} already holds a run; choose another --out, or continue it with --resume {out}")
    config.check()
    config = config.on_this_machine()
    teacher_scores = measure_teachers(config)  # and with it every error that can be found before the work
    out.mkdir(parents=True, exist_ok=True)
    write_json(directory.teacher_scores, teacher_scores)
    write_json(directory.config, {**config.to_json(), "versions": versions()})
    _consume(config, directory, None, display, profile)


def resume(out: Path, *, display: Display | None = None, until: int | None = None) -> None:
    """Continue a killed run from its newest checkpoint (or from the start, if it has none yet); until: stop at the first
    checkpoint at or after so many frames, from where the run goes on another time."""
    directory = RunDirectory(out)
    config = read_config(directory.config)
    if directory.finished:
        raise ValueError(f"{out} is finished ({config.total_frames} frames); there is nothing to resume")
    newest = directory.newest_checkpoint
    _consume(config, directory, load_checkpoint(newest) if newest else None, display, until=until)


def _consume(
    config: Config,
    directory: RunDirectory,
    snapshot: Snapshot | None,
    display: Display | None,
    profile: bool = False,
    until: int | None = None,
) -> None:
    start = snapshot.record["frames"] if snapshot else 0
    lines = [line for line in read_metrics(directory.metrics) if line["frames"] <= start] if snapshot else []
    spent = max((line["seconds"] for line in lines), default=0.0)
    health = Health(facts_of(config, directory.path), lines)
    writer = MetricsWriter(directory.path, frames=start)
    started, frames = time.perf_counter(), start
    try:
        with display or Display(config) as show:
            updates = train(config, snapshot, _teacher_scores(directory))
            updates = profiled(updates, directory.trace, show.console) if profile else updates
            for update, metrics in logged(updates, config.total_frames, start):
                frames, metrics["seconds"] = update.frames, spent + time.perf_counter() - started
                notices = health.see({"frames": frames, **metrics})
                metrics |= health.metrics()
                writer.write(frames, metrics)
                show(frames, metrics, tuple(health.standing.values()))
                show.say(notices)
                if update.snapshot:
                    save_checkpoint(directory.checkpoints, update.snapshot)
                    if until is not None and until <= frames < config.total_frames:
                        return
        write_json(directory.end, {"frames": frames, "seconds": spent + time.perf_counter() - started})
    finally:
        writer.close()


def logged(updates: Iterable[Update], total_frames: int, start: int) -> Iterator[tuple[Update, dict[str, float | None]]]:
    """What is worth a line: some hundred updates of a run, and every checkpoint, each with the metrics since the one before."""
    every, last, logged_at, kept = max(1, total_frames // LOGS_PER_RUN), start, time.perf_counter(), []
    for update in updates:
        kept.append(update.metrics)
        if update.frames // every > last // every or update.snapshot:
            now = time.perf_counter()
            yield update, {**summarise(kept), "frames_per_second": (update.frames - last) / (now - logged_at)}
            last, logged_at, kept = update.frames, now, []


def measure_teachers(config: Config) -> dict[str, dict]:
    """Each teacher's score on the tasks that it teaches, sampled episodes; checks suite, network and teachers on the way."""
    suite, spaces, _, _ = build(config)
    tasks = spaces.task_of_column(config.learning.envs_per_task, config.machine.env_groups)
    teachers = build_teachers(config.teaching.references, [task.name for task in suite.tasks], spaces, tasks)
    taught = {int(tasks[column]) for teacher in teachers.assignments for column in teacher.columns}
    if taught and (alone := [task.name for i, task in enumerate(suite.tasks) if i not in taught]):
        Console().print(f"no teacher for {', '.join(alone)}: learned from rewards alone", highlight=False)
    scores = evaluate_teachers(teachers, suite, tasks, config.seed)
    follows_scores = any(schedule.uses_progress for schedule in config.teaching.schedules(config.total_frames))
    for name, score in scores.items():
        if useless := score["no_better_than_random"]:
            heard = "not listened to there" if follows_scores else "listened to all the same, as --schedule says"
            Console().print(f"{name} is no better than random on {', '.join(useless)}: {heard}", highlight=False)
    return scores


def _teacher_scores(directory: RunDirectory) -> dict[str, dict] | None:
    path = directory.teacher_scores
    return json.loads(path.read_text()) if path.exists() else None


def facts_of(config: Config, out: Path) -> Facts:
    """What the metrics of this run are judged by."""
    suite = load_suite(config.suite)
    spaces = describe(suite.tasks)
    distribution, most = spaces.distribution, math.nan
    if isinstance(distribution, Categorical | MultiCategorical):  # one column stands for all of a task
        logits = mask_logits(torch.zeros(len(suite.tasks), distribution.size), spaces.action_mask(envs_per_task=1))
        most = float(distribution.entropy(logits).mean())
    return Facts(
        total_frames=config.total_frames,
        tasks=tuple(task.name for task in suite.tasks),
        points=all(task.random is not None and task.reference is not None for task in suite.tasks),
        most_entropy=most,
        max_grad_norm=config.learning.learner.max_grad_norm,
        schedule=config.teaching.schedule,
        teacher_scores={name: entry["tasks"] for name, entry in (_teacher_scores(RunDirectory(out)) or {}).items()},
    )


def versions() -> dict[str, str]:
    """What a result depends on besides its configuration."""
    names = ("kickstarting", "torch", "numpy", "gymnasium", "envpool")
    found = {name: importlib.metadata.version(name) for name in names}
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return {
        **found,
        "python": platform.python_version(),
        "platform": platform.machine(),
        "commit": git.stdout.strip() or "none",
        "torch_threads": str(torch.get_num_threads()),
    }
