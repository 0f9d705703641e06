"""What the arms of an experiment did, over seeds and tasks, with resamples carried along as in `report/resampled.py`: row 0 of the
first axis is the estimate, the others are resamples of the seeds and, within each, of the tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kickstarting.ad.evaluation import FAILED
from kickstarting.ad.plan import Shown
from kickstarting.ad.results import LATEST, read_shares
from kickstarting.ad.steps import REMEDY
from kickstarting.report.resampled import frames_to_reach, ratio
from kickstarting.runs.files import read_json
from kickstarting.runs.layout import RunDirectory

RESAMPLES = 2000
SMOOTH = 5
"""Episodes whose mean counts where it is asked when a curve reaches something."""
SOURCE, RANDOM = "its source", "random actions"


@dataclass(frozen=True)
class Measured:
    """One curve."""

    name: str
    panel: str
    weights: np.ndarray
    """[1 + resamples, seeds * tasks]"""
    shares: np.ndarray
    """Of the optimum, by seed and task [seeds * tasks, rollouts, episodes]."""
    cpu_seconds: float | None = None
    """To collect and to train, mean over seeds; None for what was not trained."""

    @property
    def curve(self) -> np.ndarray:
        """[1 + resamples, episodes]"""
        return self.weights @ self.shares.mean(1)

    @property
    def latest(self) -> np.ndarray:
        """[1 + resamples]"""
        return self.curve[:, -LATEST:].mean(1)

    @property
    def failed(self) -> float:
        """Share of the rows that are below half of their optimum at the end."""
        return float((self.shares[..., -LATEST:].mean(-1) < FAILED).mean())

    def episodes_to(self, levels: np.ndarray) -> np.ndarray:
        """Episodes until the curve is at a level [1 + resamples] of its own in each row; inf if never."""
        width = min(SMOOTH, self.shares.shape[-1])
        smooth = np.lib.stride_tricks.sliding_window_view(self.curve, width, axis=1).mean(-1)
        return frames_to_reach(np.arange(smooth.shape[1]) + (width + 1) / 2, smooth, levels)

    def speedup(self, source: Measured, share: float) -> np.ndarray:
        """Episodes of the source over those of this curve, until each is at a share of the source's last return."""
        level = share * source.latest
        return ratio(source.episodes_to(level), self.episodes_to(level))


def measure(arms: Sequence[Shown]) -> list[Measured]:
    """All curves, the baselines of a panel behind what they are compared with."""
    found = []
    for arm in arms:
        read = [read_shares(path) for path in arm.evaluations]
        rollouts = int(read[0][0]["rollouts"])
        cost = float(
            np.mean([sum(map(_seconds, (*histories, model))) for histories, model in zip(arm.histories, arm.models, strict=True)])
        )
        for outcome in read[0][1]:
            of_seeds = [shares[outcome].astype(float) for _, shares in read]
            tasks = np.stack([x.reshape(-1, rollouts, x.shape[-1]) for x in of_seeds])
            weights = resampled_weights(tasks.shape[0], tasks.shape[1])
            name = _named(outcome, arm.name)
            taken = cost if name == arm.name else None
            found.append(Measured(name, arm.panel, weights, tasks.reshape(-1, *tasks.shape[2:]), taken))
    return found


def resampled_weights(seeds: int, tasks: int) -> np.ndarray:
    """[1 + RESAMPLES, seeds * tasks], rows sum to 1. The same for all arms of one size, so that their ratios are of the same seeds
    and tasks."""
    rng = np.random.default_rng([seeds, tasks])
    weights = np.full((1 + RESAMPLES, seeds, tasks), 1.0 / (seeds * tasks))
    drawn = rng.integers(seeds, size=(RESAMPLES, seeds))
    weights[1:] = 0.0
    for place in range(seeds):
        counts = rng.multinomial(tasks, np.full(tasks, 1.0 / tasks), size=RESAMPLES)
        np.add.at(weights, (np.arange(1, 1 + RESAMPLES), drawn[:, place]), counts / (seeds * tasks))
    return weights.reshape(1 + RESAMPLES, -1)


def by_panel(found: Sequence[Measured]) -> Mapping[str, list[Measured]]:
    """In the order in which panels were first named."""
    panels: dict[str, list[Measured]] = {}
    for one in found:
        panels.setdefault(one.panel, []).append(one)
    return panels


def _named(outcome: str, arm: str) -> str:
    return SOURCE if outcome.startswith("source:") else RANDOM if outcome == "random" else arm


def _seconds(path: Path) -> float:
    return float(read_json(RunDirectory(path).end, remedy=REMEDY)["cpu_seconds"])
