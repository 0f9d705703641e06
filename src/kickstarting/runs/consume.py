"""The consumer of the training loop: keeps in a run's directory what the loop yields."""

from __future__ import annotations

import shlex
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rich.console import Console

from kickstarting.cluster.events import Journal
from kickstarting.cluster.gauges import shown_on_cluster
from kickstarting.config import Config
from kickstarting.console import say, visible
from kickstarting.display import Display
from kickstarting.faults import Fault
from kickstarting.runs.checkpoint import Snapshot, check_space, save_checkpoint, size_of
from kickstarting.runs.configuration import read_teacher_scores, rewrite_config, run_id
from kickstarting.runs.facts import facts_of
from kickstarting.runs.files import write_json
from kickstarting.runs.health import Health
from kickstarting.runs.history import note
from kickstarting.runs.layout import JobDirectory, RunDirectory
from kickstarting.runs.metrics import read_metrics, summarise
from kickstarting.runs.profile import profiled
from kickstarting.runs.recording import Recorder, recorded
from kickstarting.runs.saving import Saving
from kickstarting.runs.signals import Stop, Stopped
from kickstarting.runs.writer import MetricsWriter
from kickstarting.train import Update, train

LOGS_PER_RUN = 200


def consume(
    config: Config,
    directory: RunDirectory,
    snapshot: Snapshot | None,
    stop: Stop,
    display: Display | None,
    bring: Callable[[], None],
    profile: bool = False,
    until: int | None = None,
) -> None:
    """Train from a snapshot, or from the start, to the end, or to the first checkpoint at or after `until` frames.

    bring: called when a checkpoint is there. profile: as of `run`. Raises Stopped, when all is saved, if `stop` asks for it.
    """
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
            journal = Journal(directory.cluster, lambda text: say(show.console, text, style="yellow"), start)
            updates = _updates(config, directory, snapshot, saving, journal)
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


def _updates(
    config: Config, directory: RunDirectory, snapshot: Snapshot | None, saving: Saving, journal: Journal
) -> Iterator[Update]:
    """Of the loop; on their way they are recorded as histories if the run keeps any, and shown on the cluster if it is on one."""
    start = snapshot.record["frames"] if snapshot else 0
    recorder = Recorder(directory, config, start) if config.run.record_histories else None
    scores = read_teacher_scores(directory)
    updates = train(config, snapshot, scores, saving=saving, with_trajectories=recorder is not None, said=journal)
    updates = recorded(updates, recorder) if recorder else updates
    return shown_on_cluster(updates, visible(str(directory.path))) if config.remote.actors else updates


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


def resume_command(out: Path) -> str:
    return f"kickstart train --resume {shlex.quote(str(out))}"
