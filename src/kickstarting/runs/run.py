"""A run directory: consumes the training loop and keeps what it yields.

config.json  metrics.jsonl  tensorboard/  checkpoints/  teacher_scores.json  finished.json
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from kickstarting.algo.distributions import Categorical, MultiCategorical
from kickstarting.algo.losses import mask_logits
from kickstarting.config import Config, read_config
from kickstarting.display import Display
from kickstarting.envs import describe
from kickstarting.evaluate import measure_teachers as evaluate_teachers
from kickstarting.runs.checkpoint import Snapshot, latest_checkpoint, load_checkpoint, save_checkpoint, write_json
from kickstarting.runs.health import Facts, Health
from kickstarting.runs.metrics import MetricsWriter, read_metrics
from kickstarting.runs.profile import profiled
from kickstarting.suites import load_suite
from kickstarting.teachers import build_teachers
from kickstarting.train import Update, build, train

LOGS_PER_RUN = 200
AVERAGED = ("loss", "rho", "rho_clipped", "explained_variance", "grad_norm", "grad_clipped", "teacher_acts")


def run(config: Config, out: Path, *, display: Display | None = None, profile: bool = False) -> None:
    """Train from the start into a new directory; profile: also print where the time goes and write trace.json.

    Raises ValueError if the directory holds a run already.
    """
    if (out / "config.json").exists():
        raise ValueError(f"{out} already holds a run; choose another --out, or continue it with --resume {out}")
    config.check()
    config = config.on_this_machine()
    teacher_scores = measure_teachers(config)  # and with it every error that can be found before the work
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "teacher_scores.json", teacher_scores)
    write_json(out / "config.json", {**config.to_json(), "versions": versions()})
    _consume(config, out, None, display, profile)


def resume(out: Path, *, display: Display | None = None, until: int | None = None) -> None:
    """Continue a killed run from its newest checkpoint (or from the start, if it has none yet); until: stop at the first
    checkpoint at or after so many frames, from where the run goes on another time."""
    config = read_config(out / "config.json")
    if (out / "finished.json").exists():
        raise ValueError(f"{out} is finished ({config.total_frames} frames); there is nothing to resume")
    has_checkpoint = (out / "checkpoints").is_dir() and any((out / "checkpoints").glob("[0-9]*"))
    snapshot = load_checkpoint(latest_checkpoint(out)) if has_checkpoint else None
    _consume(config, out, snapshot, display, until=until)


def _consume(
    config: Config,
    out: Path,
    snapshot: Snapshot | None,
    display: Display | None,
    profile: bool = False,
    until: int | None = None,
) -> None:
    start = snapshot.record["frames"] if snapshot else 0
    lines = [line for line in read_metrics(out / "metrics.jsonl") if line["frames"] <= start] if snapshot else []
    spent = max((line["seconds"] for line in lines), default=0.0)
    health = Health(facts_of(config, out), lines)
    writer = MetricsWriter(out, frames=start)
    started, frames = time.perf_counter(), start
    try:
        with display or Display(config) as show:
            updates = train(config, snapshot, _teacher_scores(out))
            updates = profiled(updates, out / "trace.json", show.console) if profile else updates
            for update, metrics in logged(updates, config.total_frames, start):
                frames, metrics["seconds"] = update.frames, spent + time.perf_counter() - started
                notices = health.see({"frames": frames, **metrics})
                metrics |= health.metrics()
                writer.write(frames, metrics)
                show(frames, metrics, tuple(health.standing.values()))
                show.say(notices)
                if update.snapshot:
                    save_checkpoint(out / "checkpoints", update.snapshot)
                    if until is not None and until <= frames < config.total_frames:
                        return
        write_json(out / "finished.json", {"frames": frames, "seconds": spent + time.perf_counter() - started})
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


def summarise(updates: list[dict[str, float | None]]) -> dict[str, float | None]:
    """Losses, times and shares of transitions and steps are means over the updates; scores and hyperparameters are the last."""
    last = dict(updates[-1])
    for name, value in last.items():
        averaged = name.endswith(AVERAGED) or name.startswith("seconds/")
        if averaged and value is not None:
            last[name] = float(np.mean([value for u in updates if (value := u.get(name)) is not None]))
    return last


def measure_teachers(config: Config) -> dict[str, dict]:
    """Each teacher's score on the tasks that it teaches, sampled episodes; checks suite, network and teachers on the way."""
    suite, spaces, _, _ = build(config)
    tasks = spaces.task_of_column(config.envs_per_task, config.env_groups)
    teachers = build_teachers(config.references, [task.name for task in suite.tasks], spaces, tasks)
    taught = {int(tasks[column]) for teacher in teachers.assignments for column in teacher.columns}
    if taught and (alone := [task.name for i, task in enumerate(suite.tasks) if i not in taught]):
        Console().print(f"no teacher for {', '.join(alone)}: learned from rewards alone", highlight=False)
    scores = evaluate_teachers(teachers, suite, tasks, config.seed)
    follows_scores = any(schedule.uses_progress for schedule in config.teacher_schedules())
    for name, score in scores.items():
        if useless := score["no_better_than_random"]:
            heard = "not listened to there" if follows_scores else "listened to all the same, as --schedule says"
            Console().print(f"{name} is no better than random on {', '.join(useless)}: {heard}", highlight=False)
    return scores


def _teacher_scores(out: Path) -> dict[str, dict] | None:
    path = out / "teacher_scores.json"
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
        max_grad_norm=config.learner.max_grad_norm,
        schedule=config.schedule,
        teacher_scores={name: entry["tasks"] for name, entry in (_teacher_scores(out) or {}).items()},
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
