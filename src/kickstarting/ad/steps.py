"""The steps of an experiment: histories are collected, a model is trained on them, and looked at. Each has a directory of its own,
goes on where it was killed, and is done once, however many arms and experiments need it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from rich.console import Console

from kickstarting.ad.collect import CollectConfig, collect, resume_collection
from kickstarting.ad.joined import join_histories
from kickstarting.ad.progress import Progress, clock, shown
from kickstarting.ad.results import HowEvaluated, compared, evaluation_file, write_results
from kickstarting.ad.saved import TrainConfig
from kickstarting.ad.tasks import find_family
from kickstarting.ad.training import resume_model, train_model
from kickstarting.runs.files import read_json, write_json
from kickstarting.runs.layout import HISTORIES, RunDirectory

REMEDY = "remove the directory that it is in, and it is made again"


class Step(Protocol):
    """Work with a directory."""

    unit: ClassVar[str]
    """Of its progress; steps of one unit have one pace."""

    @property
    def out(self) -> Path: ...

    @property
    def size(self) -> float:
        """How much there is to do: the pace of other steps tells how long it takes."""
        ...

    @property
    def seconds(self) -> float | None:
        """CPU seconds that it took; None as long as it is not done."""
        ...

    def work(self, progress: Progress) -> None:
        """Do it, from where it stands."""
        ...


@dataclass(frozen=True)
class Collect:
    """As `kickstart ad collect`."""

    unit: ClassVar = "transitions"
    config: CollectConfig
    out: Path

    @property
    def size(self) -> float:
        family = find_family(self.config.family)
        return self.config.histories * (self.config.episodes or family.episodes) * family.horizon

    @property
    def seconds(self) -> float | None:
        return _cpu_seconds(RunDirectory(self.out).end)

    def work(self, progress: Progress) -> None:
        resume_collection(self.out, progress) if (self.out / HISTORIES).exists() else collect(self.config, self.out, progress)


@dataclass(frozen=True)
class Join:
    """As `kickstart ad join`."""

    unit: ClassVar = "directories"
    directories: tuple[Path, ...]
    out: Path

    @property
    def size(self) -> float:
        return len(self.directories)

    @property
    def seconds(self) -> float | None:
        return _cpu_seconds(RunDirectory(self.out).end)

    def work(self, progress: Progress) -> None:
        began = time.process_time()
        (self.out / HISTORIES).unlink(missing_ok=True)  # of one that was killed
        join_histories(self.directories, self.out)
        write_json(RunDirectory(self.out).end, {"cpu_seconds": time.process_time() - began})


@dataclass(frozen=True)
class Train:
    """As `kickstart ad train`."""

    unit: ClassVar = "updates"
    config: TrainConfig
    histories: Path
    out: Path

    @property
    def size(self) -> float:
        return self.config.updates * self.config.batch

    @property
    def seconds(self) -> float | None:
        return _cpu_seconds(RunDirectory(self.out).end)

    def work(self, progress: Progress) -> None:
        def say(step: int, line: object) -> None:
            progress(step, self.config.updates)

        resume_model(self.out, say) if RunDirectory(self.out).begun else train_model(self.config, self.histories, self.out, say)


@dataclass(frozen=True)
class Evaluate:
    """As `kickstart ad evaluate`."""

    unit: ClassVar = "episodes"
    model: Path
    how: HowEvaluated
    baselines: bool
    out: Path

    @property
    def size(self) -> float:
        return self.how.episodes * self.how.rollouts

    @property
    def seconds(self) -> float | None:
        return _cpu_seconds(evaluation_file(self.out))

    def work(self, progress: Callable[[int, int], None]) -> None:
        began = time.process_time()
        results = compared(self.model, self.how, self.baselines, progress)
        write_results(results, self.out, cpu_seconds=time.process_time() - began)


def carry_out(steps: Sequence[Step], console: Console) -> None:
    """Do what is not done, in order. The time that is left is guessed from the pace of what is."""
    for number, step in enumerate(steps, start=1):
        if step.seconds is None:
            left = _left(steps)
            about = f", about {clock(left)} of CPU time for all" if left else ""
            with shown(console, f"{number} of {len(steps)}{about}: {step.out.name}", step.unit) as progress:
                step.work(progress)


def _left(steps: Sequence[Step]) -> float:
    """Seconds; 0 as long as nothing is known of the pace of some."""
    done = [(step.unit, step.size, step.seconds) for step in steps if step.seconds is not None]
    pace = {
        unit: sum(seconds for other, _, seconds in done if other == unit) / sum(size for other, size, _ in done if other == unit)
        for unit in {unit for unit, _, _ in done}
    }
    missing = [step for step in steps if step.seconds is None]
    return sum(step.size * pace[step.unit] for step in missing) if {step.unit for step in missing} <= pace.keys() else 0.0


def _cpu_seconds(path: Path) -> float | None:
    return float(read_json(path, remedy=REMEDY)["cpu_seconds"]) if path.is_file() else None
