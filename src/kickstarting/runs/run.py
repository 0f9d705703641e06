"""A run: begun in a new directory (`layout.RunDirectory`), or gone on with from its newest checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from kickstarting.config import Config
from kickstarting.console import say
from kickstarting.display import Display
from kickstarting.inputs import check_inputs
from kickstarting.pace import spread
from kickstarting.runs.checkpoint import CheckpointError, Snapshot, load_checkpoint, remedy
from kickstarting.runs.configuration import begin_run, read_config, rewrite_config, run_id
from kickstarting.runs.consume import consume, resume_command
from kickstarting.runs.history import note
from kickstarting.runs.layout import STATE, RunDirectory
from kickstarting.runs.mirror import begin_mirror, check_vacant, mirrored
from kickstarting.runs.ownership import check_free, written_by_us
from kickstarting.runs.signals import listening
from kickstarting.runs.teachers import measure_teachers
from kickstarting.runs.versions import versions
from kickstarting.trust import trust


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
        config, tried = spread(config.changed(precision=pinned.machine.precision))
        if len(tried) > 1:
            say(Console(), f"tried {'; '.join(map(str, tried))}")
        config = replace(pinned, machine=config.machine.here())
        begin_run(directory, config, teacher_scores, versions())
        note(directory.history, "began", frames=0)
        if mirror is not None:
            begin_mirror(out, mirror)
        with mirrored(out) as bring:
            consume(config, directory, None, stop, display, bring, profile)


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
        check_inputs(config.inputs)
        snapshot = newest_snapshot(directory)
        start = snapshot.record["frames"] if snapshot else 0
        given = {"learning_rate": learning_rate, "environment_timeout": environment_timeout, "cluster": cluster}
        if changes := {name: value for name, value in given.items() if value is not None}:
            config = _changed(config, changes, start)
            rewrite_config(directory, config)
        note(directory.history, "resumed", frames=start, **changes)
        with mirrored(out) as bring:
            consume(config, directory, snapshot, stop, display, bring, until=until)


def newest_snapshot(directory: RunDirectory) -> Snapshot | None:
    """Of the run whose configuration lies beside it; None if it has saved none yet."""
    newest = directory.newest_checkpoint
    if newest is None:
        return None
    snapshot = load_checkpoint(newest, run=run_id(directory.config))
    if missing := {"frames", "learner_steps", "scores"} - snapshot.record.keys():
        raise CheckpointError(f"{newest / STATE} lacks {min(missing)}; {remedy(newest)}")
    return snapshot


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
