"""A slice: a member's training from its last snapshot to its next checkpoint, as a job."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

from kickstarting.algo.parsing import parse_frames
from kickstarting.config import Config
from kickstarting.hyperparameters import Scheduled
from kickstarting.launch.jobs import Line
from kickstarting.population.config import PopulationConfig
from kickstarting.population.evolve import member_schedules
from kickstarting.population.state import Population
from kickstarting.runs.checkpoint import Snapshot
from kickstarting.runs.run import logged
from kickstarting.train import train


@dataclass(frozen=True)
class Slice:
    """A function of what it holds: wherever it runs, and however often it was killed, it says the same lines (times apart) and
    ends with the same snapshot."""

    name: str
    config: Config
    snapshot: Snapshot | None
    scheduled: Scheduled
    teacher_scores: dict[str, Any]
    log: None = None

    def work(self) -> Generator[Line, None, Snapshot]:
        """Lines of metrics with their frames; returns the next snapshot."""
        start = self.snapshot.record["frames"] if self.snapshot else 0
        updates = train(self.config, self.snapshot, self.teacher_scores, self.scheduled)
        for update, metrics in logged(updates, self.config.total_frames, start):
            yield {"frames": update.frames, **metrics}
            if update.snapshot:
                return update.snapshot
        raise AssertionError("training ended without a checkpoint")


def slices(state: Population, config: Config, population: PopulationConfig, teacher_scores: dict[str, Any]) -> dict[int, Slice]:
    """Of all members, from where the population stands."""
    frames = max(1, int(parse_frames(population.slice, config.total_frames)))
    return {
        i: Slice(
            name=f"member {i}",
            config=member_config(config, i).changed(checkpoint_every=str(frames)),
            snapshot=snapshot,
            scheduled=member_schedules(config, state.values[i]),
            teacher_scores=teacher_scores,
        )
        for i, snapshot in enumerate(state.snapshots)
    }


def member_config(config: Config, member: int) -> Config:
    """The configuration with a member's name, and with its seed for all that is random in its training."""
    return replace(config, name=f"member {member}", seed=1000 * config.seed + member)
