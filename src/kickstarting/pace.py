"""How a run is spread over the cores of this machine: tried out on the run itself, for a moment, when it begins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from kickstarting.config import Config
from kickstarting.machine import cores, fastest_threads, resolve_device
from kickstarting.train import train

SECONDS = 1.5
"""Of a trial, after its first update."""
SHORT = 60.0
"""Seconds of a run that is over before the trials have paid."""


@dataclass(frozen=True)
class Trial:
    """How fast a run is with so many learners and threads."""

    learners: int
    torch_threads: int
    frames_per_second: float

    def __str__(self) -> str:
        return (
            f"{self.learners} learner{'s' * (self.learners > 1)} with {self.torch_threads} "
            f"thread{'s' * (self.torch_threads > 1)}{' each' * (self.learners > 1)}: {self.frames_per_second:,.0f} frames/s"
        )


def spread(config: Config) -> tuple[Config, list[Trial]]:
    """The configuration with as many learners, and threads in each, as make it fastest here and now, and what was tried. What it
    says itself is left; one that says something of either, has a GPU, or actors elsewhere, is not tried out."""
    machine = config.machine
    if machine.learners or machine.torch_threads or resolve_device(machine.device) != "cpu" or config.remote.actors:
        return config, []
    tried: list[Trial] = []
    for learners, threads in candidates(config):
        pace = measure(config.changed(learners=learners, torch_threads=threads))
        tried.append(Trial(learners, threads, pace))
        if pace < max(trial.frames_per_second for trial in tried) or config.total_frames < SHORT * pace:
            break  # with yet more learners it is slower still
    best = max(tried, key=lambda trial: trial.frames_per_second)
    return config.changed(learners=best.learners, torch_threads=best.torch_threads), tried


def candidates(config: Config) -> Iterator[tuple[int, int]]:
    """Learners, and threads of each: one learner, and twice as many as long as there is a core for each, and environments."""
    learners, overlapped = 1, 2 if config.machine.overlap else 1
    environments = config.learning.envs_per_task // config.machine.env_groups
    while learners * overlapped <= max(cores(), overlapped) and environments % learners == 0:
        most = max(1, cores() // (learners * overlapped))
        yield learners, fastest_threads(most) if learners == 1 else most
        learners *= 2


def measure(config: Config) -> float:
    """Frames per second of a run's first updates, without the first one. The run itself begins as if this had not been."""
    with closing(train(config.changed(total_frames=10**15, schedule="constant:1", checkpoint_every=str(10**15)))) as updates:
        first = next(updates)
        began = time.perf_counter()
        for update in updates:
            if (seconds := time.perf_counter() - began) > SECONDS:
                return (update.frames - first.frames) / seconds
    raise AssertionError("the run has no end")
