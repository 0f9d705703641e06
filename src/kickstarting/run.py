"""A run directory: consumes the training loop and keeps what it yields.

config.json  metrics.jsonl  tensorboard/  checkpoints/  teacher_scores.json  finished.json
"""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from kickstarting.checkpoint import Snapshot, latest_checkpoint, load_checkpoint, save_checkpoint, write_json
from kickstarting.config import Config, read_config
from kickstarting.display import Display
from kickstarting.evaluate import evaluate
from kickstarting.metrics import MetricsWriter, read_metrics
from kickstarting.profile import profiled
from kickstarting.teachers import build_teachers
from kickstarting.train import Update, build, train

TEACHER_EPISODES = 64
LOGS_PER_RUN = 200


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


def resume(out: Path, *, display: Display | None = None) -> None:
    """Continue a killed run from its newest checkpoint (or from the start, if it has none yet)."""
    config = read_config(out / "config.json")
    if (out / "finished.json").exists():
        raise ValueError(f"{out} is finished ({config.total_frames} frames); there is nothing to resume")
    has_checkpoint = (out / "checkpoints").is_dir() and any((out / "checkpoints").glob("[0-9]*"))
    snapshot = load_checkpoint(latest_checkpoint(out)) if has_checkpoint else None
    _consume(config, out, snapshot, display)


def _consume(config: Config, out: Path, snapshot: Snapshot | None, display: Display | None, profile: bool = False) -> None:
    start = snapshot.record["frames"] if snapshot else 0
    lines = read_metrics(out / "metrics.jsonl") if snapshot else []
    spent = max((line["seconds"] for line in lines if line["frames"] <= start), default=0.0)
    writer = MetricsWriter(out, frames=start)
    started, frames = time.perf_counter(), start
    try:
        with display or Display(config) as show:
            updates = train(config, snapshot)
            updates = profiled(updates, out / "trace.json", show.console) if profile else updates
            for update, metrics in logged(updates, config.total_frames, start):
                frames, metrics["seconds"] = update.frames, spent + time.perf_counter() - started
                writer.write(frames, metrics)
                show(frames, metrics)
                if update.snapshot:
                    save_checkpoint(out / "checkpoints", update.snapshot)
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
    """Losses, times and the share that teachers acted are means over the updates; scores and hyperparameters are the last."""
    last = dict(updates[-1])
    for name, value in last.items():
        averaged = name.endswith(("_loss", "loss", "rho", "grad_norm", "teacher_acts")) or name.startswith("seconds/")
        if averaged and value is not None:
            last[name] = float(np.mean([value for u in updates if (value := u.get(name)) is not None]))
    return last


def measure_teachers(config: Config) -> dict[str, dict]:
    """Each teacher's score on the tasks that it teaches, sampled episodes; checks suite, network and teachers on the way."""
    suite, env, _, _ = build(config)
    env.close()
    teachers = build_teachers(config.teachers, [task.name for task in suite.tasks], env)
    taught = {int(env.task_of_column[column]) for teacher in teachers.teachers for column in teacher.columns}
    if taught and (alone := [task.name for i, task in enumerate(suite.tasks) if i not in taught]):
        Console().print(f"no teacher for {', '.join(alone)}: learned from rewards alone", highlight=False)
    scores = {}
    for teacher in teachers.teachers:
        tasks = np.unique(env.task_of_column[teacher.columns.numpy()])
        taught = replace(suite, tasks=tuple(suite.tasks[i] for i in tasks))
        results = evaluate(teacher.network, taught, episodes=TEACHER_EPISODES, seed=config.seed)
        scores[teacher.name] = {
            "score": float(np.mean([r.score for r in results])),
            "tasks": {r.task: r.score for r in results},
            "episodes": TEACHER_EPISODES,
        }
    return scores


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
