"""A slice: a member's training from its last snapshot to its next checkpoint, as a job."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from kickstarting.algo.parsing import parse_frames
from kickstarting.config import Config
from kickstarting.faults import Fault
from kickstarting.hyperparameters import Scheduled
from kickstarting.launch.jobs import Line
from kickstarting.population.config import PopulationConfig
from kickstarting.population.evolve import member_schedules
from kickstarting.population.state import Population
from kickstarting.runs.checkpoint import Snapshot
from kickstarting.runs.consume import logged
from kickstarting.runs.layout import PopulationDirectory, RunDirectory
from kickstarting.runs.recording import Recorder, recorded
from kickstarting.runs.saving import Saving
from kickstarting.runs.signals import Stopped, listening
from kickstarting.train import Update, train


@dataclass(frozen=True)
class Slice:
    """A function of what it holds: wherever it runs, and however often it was killed, it says the same lines (times apart) and
    ends with the same snapshot."""

    name: str
    config: Config
    snapshot: Snapshot | None
    scheduled: Scheduled
    teacher_scores: dict[str, Any]
    until: int
    """Frames at which it ends."""
    directory: RunDirectory
    """Of the member, where its histories go on, if they are recorded."""
    log: None = None

    def work(self) -> Generator[Line, None, Snapshot]:
        """Lines of metrics with their frames; {"snapshot": ...} at checkpoints on the way, from where it can be started again; once
        {"checkpoint_every": frames} if their distance was to be measured. Returns the last snapshot."""
        start = self.snapshot.record["frames"] if self.snapshot else 0
        decided: list[int] = []
        with listening() as stop, stop.at_a_good_moment():
            at = (self.until, *self.config.run.frames_at(self.config.total_frames))
            saving = Saving(self.config.checkpoint_frames, at, stop=stop, decided=decided.append)
            with closing(self._updates(start, saving)) as updates:
                try:
                    for update, metrics in logged(updates, self.config.total_frames, start):
                        yield {"frames": update.frames, **metrics}
                        if decided:
                            yield {"checkpoint_every": decided.pop()}
                        if update.snapshot and update.frames >= self.until:
                            return update.snapshot
                        if update.snapshot:
                            yield {"snapshot": update.snapshot}
                        if update.snapshot and stop.number is not None:
                            raise Stopped(stop.number, f"{self.name} saved at {update.frames} frames")
                except Fault as fault:
                    if fault.snapshot and fault.snapshot.record["frames"] > start:
                        yield {"snapshot": fault.snapshot}
                    raise
        raise AssertionError("training ended without a checkpoint")

    def _updates(self, start: int, saving: Saving) -> Generator[Update]:
        recorder = Recorder(self.directory, self.config, start) if self.config.run.record_histories else None
        with_trajectories = recorder is not None
        updates = train(
            self.config, self.snapshot, self.teacher_scores, self.scheduled, saving=saving, with_trajectories=with_trajectories
        )
        return recorded(updates, recorder) if recorder else updates


def slices(
    state: Population,
    config: Config,
    population: PopulationConfig,
    teacher_scores: dict[str, Any],
    under_way: Mapping[int, Snapshot],
    out: PopulationDirectory,
) -> dict[int, Slice]:
    """Of all members that have not yet ended this round; under_way: where those stand that were interrupted in it.
    out: the population's directory."""
    frames = max(1, int(parse_frames(population.slice, config.total_frames)))
    began = max(snapshot.record["frames"] if snapshot else 0 for snapshot in state.snapshots)
    until = min(config.total_frames, max((state.round + 1) * frames, began + 1))  # a slice is one update at least
    return {
        i: Slice(
            name=f"member {i}",
            config=member_config(config, i),
            snapshot=under_way.get(i, snapshot),
            scheduled=member_schedules(config, state.values[i]),
            teacher_scores=teacher_scores,
            until=until,
            directory=out.member(i),
        )
        for i, snapshot in enumerate(state.snapshots)
        if i not in under_way or under_way[i].record["frames"] < until
    }


def member_config(config: Config, member: int) -> Config:
    """The configuration with a member's name, its seed for all that is random in its training, and its part of `checkpoint_at`."""
    at = tuple(text.removeprefix(f"{member}:") for text in config.run.checkpoint_at)
    return replace(config.changed(checkpoint_at=at), name=f"member {member}", seed=1000 * config.seed + member)
