"""A run: consumes the training loop and keeps what it yields in a directory (`layout.RunDirectory`)."""

from __future__ import annotations

import importlib.metadata
import math
import platform
import shlex
import subprocess
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from kickstarting.algo.distributions import Categorical, MultiCategorical
from kickstarting.algo.losses import mask_logits
from kickstarting.cluster.events import Journal
from kickstarting.cluster.gauges import shown_on_cluster
from kickstarting.config import Config
from kickstarting.console import say, visible
from kickstarting.display import Display
from kickstarting.envs import describe
from kickstarting.faults import Fault
from kickstarting.pace import spread
from kickstarting.runs.checkpoint import (
    CheckpointError,
    Snapshot,
    check_space,
    load_checkpoint,
    remedy,
    save_checkpoint,
    size_of,
)
from kickstarting.runs.configuration import begin_run, read_config, read_teacher_scores, rewrite_config, run_id
from kickstarting.runs.files import write_json
from kickstarting.runs.health import Health
from kickstarting.runs.history import note
from kickstarting.runs.layout import STATE, JobDirectory, RunDirectory
from kickstarting.runs.metrics import read_metrics, summarise
from kickstarting.runs.mirror import begin_mirror, check_vacant, mirrored
from kickstarting.runs.ownership import check_free, written_by_us
from kickstarting.runs.profile import profiled
from kickstarting.runs.recording import Recorder, recorded
from kickstarting.runs.saving import Saving
from kickstarting.runs.signals import Stop, Stopped, listening
from kickstarting.runs.symptoms import Facts
from kickstarting.runs.teachers import measure_teachers
from kickstarting.runs.writer import MetricsWriter
from kickstarting.suites import load_suite
from kickstarting.train import Update, train
from kickstarting.trust import trust

LOGS_PER_RUN = 200


def run(config: Config, out: Path, *, display: Display | None = None, profile: bool = False, mirror: str | None = None) -> None:
    """Train from the start into a new directory; profile: also print where the time goes and write trace.json. mirror: URL of a
    place on storage that keeps a copy (`mirror.py`).

    Raises ValueError, before any work, if anything does not fit, or the directory holds something already, or somebody writes it;
    Stopped, when all is saved, if a signal asks for it.
    """
    directory = RunDirectory(out)
    config.check()
    if config.remote.cluster and not config.remote.actors:
        raise ValueError(f"cluster is {config.remote.cluster!r}, but actors is 0; give --actors N, or leave it out")
    check_free(out, "run", resume_command(out))
    if mirror is not None:
        check_vacant(mirror, out)
    with listening() as stop, written_by_us(out):
        check_free(out, "run", resume_command(out))  # who held the lock before us may have begun one
        pinned = config.on_this_machine()
        teacher_scores = measure_teachers(pinned, out)  # and with it every error that can be found before the work
        config, tried = spread(config)
        if len(tried) > 1:
            say(Console(), f"tried {'; '.join(map(str, tried))}")
        config = replace(pinned, machine=config.machine.here())
        begin_run(directory, config, teacher_scores, versions())
        note(directory.history, "began", frames=0)
        if mirror is not None:
            begin_mirror(out, mirror)
        with mirrored(out) as bring:
            _consume(config, directory, None, stop, display, bring, profile)


def resume(
    out: Path,
    *,
    display: Display | None = None,
    until: int | None = None,
    learning_rate: str | None = None,
    environment_timeout: float | None = None,
    cluster: str | None = None,
    trust_modules: Sequence[str] = (),
) -> None:
    """Continue a killed run from its newest checkpoint (or from the start, if it has none yet); until: stop at the first
    checkpoint at or after so many frames, from where the run goes on another time.

    learning_rate: a lower one from here on. environment_timeout, cluster: another one. trust_modules: what the run's files may
    name.

    Raises ValueError if a file or a teacher that the run reads is not the one that it began with; otherwise as `run`.
    """
    directory = RunDirectory(out)
    trust(trust_modules)
    if not directory.begun:
        read_config(directory.config)  # says what is missing
    with listening() as stop, written_by_us(out):
        config = read_config(directory.config).changed(trust_modules=tuple(trust_modules))
        if directory.finished:
            raise ValueError(f"{out} is finished ({config.total_frames} frames); there is nothing to resume")
        config.check_inputs()
        snapshot = newest_snapshot(directory)
        start = snapshot.record["frames"] if snapshot else 0
        given = {"learning_rate": learning_rate, "environment_timeout": environment_timeout, "cluster": cluster}
        if changes := {name: value for name, value in given.items() if value is not None}:
            config = _changed(config, changes, start)
            rewrite_config(directory, config)
        note(directory.history, "resumed", frames=start, **changes)
        with mirrored(out) as bring:
            _consume(config, directory, snapshot, stop, display, bring, until=until)


def newest_snapshot(directory: RunDirectory) -> Snapshot | None:
    """Of the run whose configuration lies beside it; None if it has saved none yet."""
    newest = directory.newest_checkpoint
    if newest is None:
        return None
    snapshot = load_checkpoint(newest, run=run_id(directory.config))
    if missing := {"frames", "learner_steps", "scores"} - snapshot.record.keys():
        raise CheckpointError(f"{newest / STATE} lacks {min(missing)}; {remedy(newest)}")
    return snapshot


def resume_command(out: Path) -> str:
    return f"kickstart train --resume {shlex.quote(str(out))}"


def _changed(config: Config, changes: Mapping[str, Any], start: int) -> Config:
    """With some settings changed. Raises ValueError if the learning rate is then higher anywhere from `start` on."""
    changed = config.changed(**changes)
    changed.check()
    before, now = (c.parsed("learning_rate") for c in (config, changed))
    moments = np.linspace(start, config.total_frames, 1000, dtype=int).tolist()
    if any(now.at(frames) > before.at(frames) * (1 + 1e-9) for frames in moments):
        raise ValueError(
            f"learning_rate {changed.learning.learning_rate!r} is above the run's {config.learning.learning_rate!r}; a resumed run "
            "may be given a lower one only: begin a new run for any other change"
        )
    return changed


def _consume(
    config: Config,
    directory: RunDirectory,
    snapshot: Snapshot | None,
    stop: Stop,
    display: Display | None,
    bring: Callable[[], None],
    profile: bool = False,
    until: int | None = None,
) -> None:
    start = snapshot.record["frames"] if snapshot else 0
    lines = [line for line in read_metrics(directory.metrics) if line["frames"] <= start] if snapshot else []
    spent = max((line["seconds"] for line in lines), default=0.0)
    health = Health(facts_of(config, directory.path), lines)
    writer = MetricsWriter(directory.path, frames=start)
    started, frames, saved, run = time.perf_counter(), start, start, run_id(directory.config)

    def keep_distance(frames: int) -> None:
        rewrite_config(directory, config.changed(checkpoint_every=str(frames)))

    def save(snapshot: Snapshot) -> None:
        save_checkpoint(directory.checkpoints, snapshot, run=run)
        bring()
        if short_of := check_space(directory.path, size_of(snapshot)):
            say(show.console, short_of, style="yellow")

    at = config.run.frames_at(config.total_frames)
    saving = Saving(config.checkpoint_frames, at, stop=stop, decided=keep_distance)
    try:
        with display or Display(config) as show, stop.at_a_good_moment():
            recorder = Recorder(directory, config, start) if config.run.record_histories else None
            scores = read_teacher_scores(directory)
            journal = Journal(directory.cluster, lambda text: say(show.console, text, style="yellow"), start)
            updates = train(config, snapshot, scores, saving=saving, with_trajectories=recorder is not None, said=journal)
            updates = recorded(updates, recorder) if recorder else updates
            updates = shown_on_cluster(updates, visible(str(directory.path))) if config.remote.actors else updates
            updates = profiled(updates, directory.trace, show.console) if profile else updates
            for update, metrics in logged(updates, config.total_frames, start):
                frames = journal.frames = update.frames
                metrics["seconds"] = spent + time.perf_counter() - started
                notices = health.see({"frames": frames, **metrics})
                metrics |= health.metrics()
                writer.write(frames, metrics)
                show(frames, metrics, tuple(health.standing.values()))
                show.say(notices)
                if update.snapshot:
                    save(update.snapshot)
                    saved = frames
                    if stop.number is not None and frames < config.total_frames:
                        note(directory.history, "stopped", frames=frames, signal=stop.number)
                        raise Stopped(stop.number, f"saved at {frames} frames", resume_command(directory.path))
                    if until is not None and until <= frames < config.total_frames:
                        return
        write_json(directory.end, {"frames": frames, "seconds": spent + time.perf_counter() - started})
        note(directory.history, "finished", frames=frames)
    except Fault as fault:
        _keep(fault, directory, saved)
        raise
    finally:
        writer.close()


def _keep(fault: Fault, directory: RunDirectory, saved: int) -> None:
    """Save what a fault left of the training, unless that is no more than was saved, and say how to go on."""
    if fault.snapshot and fault.snapshot.record["frames"] > saved:
        save_checkpoint(directory.checkpoints, fault.snapshot, run=run_id(directory.config))
        saved = fault.snapshot.record["frames"]
    say(Console(), f"saved at {saved} frames; go on with `{resume_command(directory.path)}`")
    note(directory.history, "failed", frames=saved, reason=str(fault))
    with JobDirectory(directory.path).log.open("a", encoding="utf-8") as log:
        log.write("".join(traceback.format_exception(fault)))


def logged(updates: Iterable[Update], total_frames: int, start: int) -> Iterator[tuple[Update, dict[str, float | None]]]:
    """What is worth a line: some hundred updates of a run, and every checkpoint, each with the metrics since the one before."""
    every, last, logged_at, kept = max(1, total_frames // LOGS_PER_RUN), start, time.perf_counter(), []
    for update in updates:
        kept.append(update.metrics)
        if update.frames // every > last // every or update.snapshot:
            now = time.perf_counter()
            yield update, {**summarise(kept), "frames_per_second": (update.frames - last) / (now - logged_at)}
            last, logged_at, kept = update.frames, now, []


def facts_of(config: Config, out: Path) -> Facts:
    """What the metrics of this run are judged by."""
    suite = load_suite(config.suite)
    spaces = describe(suite.tasks, timeout=config.machine.environment_timeout)
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
        teacher_scores={name: entry["tasks"] for name, entry in (read_teacher_scores(RunDirectory(out)) or {}).items()},
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
