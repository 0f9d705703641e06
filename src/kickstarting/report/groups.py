"""Groups of runs over seeds, and their curves on one frame axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kickstarting.report.runs import LAMBDA, TASK_SCORE, Run

AXIS_POINTS = 1001  # a level is located to a thousandth of the budget, and 2000 resamples of a curve stay at 16 MB
FINAL_SHARE = 0.05


@dataclass(frozen=True, eq=False)
class Group:
    """The runs of one name. frames: the axis [N] where every seed has a score, evenly spaced, up to the shortest run."""

    name: str
    runs: tuple[Run, ...]
    frames: np.ndarray
    smooth_frames: int | None = None

    @property
    def budget(self) -> int:
        return int(self.frames[-1])

    @property
    def tasks(self) -> tuple[str, ...]:
        return self.runs[0].names(TASK_SCORE)

    @property
    def teachers(self) -> tuple[str, ...]:
        """Teachers with a logged lambda in any of the runs."""
        return tuple(dict.fromkeys(teacher for run in self.runs for teacher in run.names(LAMBDA)))

    def curves(self, column: str) -> np.ndarray:
        """The column of every seed on `frames`: [R, N]. Linear between lines."""
        rows = []
        for run in self.runs:
            frames, values = run.curve(column)
            if not len(frames):
                raise ValueError(f"{run.directory} has no number for {column!r} but other runs of {self.name!r} do; leave it out")
            rows.append(np.interp(self.frames, frames, _smooth(frames, values, self.smooth_frames)))
        return np.stack(rows)

    def task_curves(self) -> np.ndarray:
        """[K, R, N], in the order of `tasks`."""
        return np.stack([self.curves(TASK_SCORE + task) for task in self.tasks])

    def final(self, curves: np.ndarray) -> np.ndarray:
        """Mean over the last 5 % of frames: [..., N] -> [...]."""
        return curves[..., self.frames >= (1.0 - FINAL_SHARE) * self.frames[-1]].mean(axis=-1)


def group_runs(runs: Sequence[Run], smooth_frames: int | None = None) -> tuple[Group, ...]:
    """Group runs by name, in order of appearance. smooth_frames: length of a trailing mean over each run; None: as logged."""
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        by_name.setdefault(run.name, []).append(run)
    groups = tuple(
        Group(name, tuple(sorted(members, key=lambda run: run.seed)), _axis(members), smooth_frames)
        for name, members in by_name.items()
    )
    first = runs[0]
    for run in runs:
        differing = set(run.names(TASK_SCORE)) ^ set(first.names(TASK_SCORE))
        if differing:
            raise ValueError(
                f"{first.directory} and {run.directory} do not score the same tasks of suite {run.suite!r}: only one of them has "
                f"{', '.join(sorted(differing))}; compare runs of one version of the suite"
            )
    return groups


def _axis(runs: Sequence[Run]) -> np.ndarray:
    first = max(runs, key=lambda run: run.curve("score")[0][0])
    last = min(runs, key=lambda run: run.curve("score")[0][-1])
    start, end = first.curve("score")[0][0], last.curve("score")[0][-1]
    if start > end:
        raise ValueError(
            f"{first.directory} has no score before {start} frames and {last.directory} none after {end}, so the seeds of "
            f"{first.name!r} share no frames; leave the shorter run out"
        )
    return np.unique(np.linspace(start, end, AXIS_POINTS))


def _smooth(frames: np.ndarray, values: np.ndarray, window: int | None) -> np.ndarray:
    """Mean of the lines of the last `window` frames, the present one included."""
    if window is None:
        return values
    sums = np.concatenate([[0.0], np.cumsum(values)])
    here = np.arange(1, len(frames) + 1)
    before = np.searchsorted(frames, frames - window, side="right")
    return (sums[here] - sums[before]) / (here - before)
