"""Tasks and suites, and the scores of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np

from kickstarting.envs.backends import BACKENDS
from kickstarting.envs.preprocessing import Preprocessing
from kickstarting.ranges import Range, shown

SCORE = Range(-1e15, 1e15)


@dataclass(frozen=True)
class Task:
    """One task of a suite. Raises ValueError if its backend cannot preprocess as it says."""

    name: str
    env_id: str
    backend: str = "envpool"
    """A name in `envs.BACKENDS`: envpool, gymnasium, gymnasium-async, gymnasium-vector or deepmind-lab."""
    metric: str = "return"
    """return, or success: 1 if the episode's last reward was positive, else 0."""
    random: Annotated[float | None, SCORE] = None
    """The metric of a uniformly random policy, measured or published."""
    reference: Annotated[float | None, SCORE] = None
    """The metric that scores 100."""
    category: str = ""
    action_repeat: Annotated[int, Range(0, 10**6)] = 0
    """Number of simulator frames in one agent step. Unless given: the backend's own frame skip, or 1 if it has none."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Passed to the backend's `make`."""
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    """Of images, actions and rewards, by names that are the same for every backend (`envs/preprocessing.py`)."""

    def __post_init__(self) -> None:
        if self.preprocessing and self.backend in BACKENDS:
            told = BACKENDS[self.backend].arguments(self.env_id, Preprocessing.of(self.preprocessing))
            for name, value in told.items():
                if (said := self.options.get(name, value)) != value:
                    raise ValueError(f"options say {name} = {shown(said)}, preprocessing {shown(value)}; say it once")
            object.__setattr__(self, "options", {**self.options, **told})
        if self.action_repeat == 0:
            object.__setattr__(self, "action_repeat", self.frame_skip() or 1)

    def frame_skip(self) -> int | None:
        """The backend's own, as far as it is known without making the environment."""
        return BACKENDS[self.backend].frame_skip_of(self.env_id, self.options) if self.backend in BACKENDS else None

    def score(self, metric: float) -> float:
        """100 * (metric - random) / (reference - random), capped at 100; the metric itself where no reference is known."""
        if self.random is None or self.reference is None:
            return metric
        return min(100.0, 100.0 * (metric - self.random) / (self.reference - self.random))

    def score_error(self, metrics: Sequence[float]) -> float:
        """The standard error of the score of these episodes, before the cap."""
        spread = float(np.std(metrics)) / max(1.0, len(metrics) - 1.0) ** 0.5
        return spread if self.random is None or self.reference is None else 100.0 * spread / (self.reference - self.random)

    def metric_of(self, episode_return: float, success: bool) -> float:
        return float(success) if self.metric == "success" else episode_return


@dataclass(frozen=True)
class Suite:
    """A named list of tasks."""

    name: str
    tasks: tuple[Task, ...]
    description: str = ""
    source: str = ""
    """Where its random and reference scores come from: paper and table, or the command that measured them."""
    frames: int = 1_000_000
    """A sensible budget."""
    privileged: tuple[str, ...] = ()
    """Names of observations that are for teachers, and never for a student."""
