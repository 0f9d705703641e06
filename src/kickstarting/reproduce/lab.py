"""What the experiments share: scales, and the recipes of teachers, students and populations.

Runs lie in one directory for all experiments of a scale, so that an arm which two experiments have in common is trained once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kickstarting.config import Config
from kickstarting.launch.sweep import Evolution
from kickstarting.population.config import PopulationConfig
from kickstarting.suites import load_suite

SUITE = "grid-30"


@dataclass(frozen=True)
class Scale:
    """How much work an experiment may be."""

    tasks: tuple[str, ...]
    """Of the suite, for the experiments on many tasks."""
    frames: int
    """Of each student."""
    teacher_frames: int
    expert_frames: int
    envs_per_task: int
    members: int
    """Of a population."""
    seeds: int
    network: str = "large"
    """Of the students."""
    expert_envs: int = 64
    score_window: int = 50
    slice: str = "8%"
    """Of a population."""


SCALES = {
    "tiny": Scale(
        tasks=("two_rooms", "go_to_object"),
        frames=24_000,
        teacher_frames=24_000,
        expert_frames=24_000,
        envs_per_task=8,
        members=2,
        seeds=1,
        network="small",
        expert_envs=16,
        score_window=4,
        slice="50%",
    ),
    "cpu": Scale(
        tasks=(
            "crossing_easy",
            "two_rooms",
            "lava_gap",
            "memory_7",
            "go_to_object",
            "go_to_local",
            "pick_up",
            "door_key",
            "unlock",
            "key_corridor",
        ),
        frames=1_500_000,
        teacher_frames=3_000_000,
        expert_frames=2_000_000,
        envs_per_task=16,
        members=8,
        seeds=3,
    ),
    "gpu": Scale(
        tasks=tuple(task.name for task in load_suite(SUITE).tasks),
        frames=100_000_000,
        teacher_frames=100_000_000,
        expert_frames=10_000_000,
        envs_per_task=32,
        members=8,
        seeds=3,
    ),
}


@dataclass
class Lab:
    """Collects the runs of an experiment. Teachers are registered when a student asks for them."""

    scale: Scale
    out: Path
    seeds: int
    runs: dict[Path, Config | Evolution] = field(default_factory=dict)
    compared: list[Path] = field(default_factory=list)
    """The students that the report is about."""
    record_histories: bool = False
    """Of the students."""

    def suite(self, tasks: Sequence[str] = ()) -> str:
        return f"{SUITE}:{','.join(tasks or self.scale.tasks)}"

    def teacher(self, network: str = "small") -> str:
        """The reference of an agent trained on all tasks from scratch."""
        name, frames = f"{network} teacher", self.scale.teacher_frames
        config = self._config(suite=self.suite(), name=name, network=network, total_frames=frames)
        return self._register("teachers", config)

    def expert(self, task: str, network: str = "small", **changes: Any) -> str:
        """The reference of an agent trained on one task from scratch."""
        name = " ".join(("expert", task, *([network] if network != "small" else [])))
        alone = {
            "name": name,
            "network": network,
            "total_frames": self.scale.expert_frames,
            "envs_per_task": self.scale.expert_envs,
        }
        config = self._config(suite=self.suite([task]), **{**alone, **changes})
        return self._register("teachers", config)

    def experts(self, tasks: Sequence[str] = (), network: str = "small") -> tuple[str, ...]:
        """PATTERN=REF of an expert for every task."""
        return tuple(f"{task}={self.expert(task, network)}" for task in tasks or self.scale.tasks)

    def random_teacher(self) -> str:
        """The reference of a teacher that has learned nothing."""
        config = self._config(suite=self.suite(), name="random teacher", network="small", total_frames=1, learning_rate="0")
        return self._register("teachers", config)

    def student(self, name: str, seed: int, *, tasks: Sequence[str] = (), **changes: Any) -> None:
        """A run that is compared under this name."""
        config = self._config(suite=self.suite(tasks), name=name, seed=seed, **{**self._budget(tasks), **self._kept(), **changes})
        self.compared.append(Path(self._register("students", config)))

    def students(self, name: str, **changes: Any) -> None:
        """A run of every seed."""
        for seed in range(self.seeds):
            self.student(name, seed, **changes)

    def populations(self, name: str, *, tasks: Sequence[str] = (), pbt: dict[str, Any] | None = None, **changes: Any) -> None:
        """A population of every seed, compared under this name by its best member."""
        for seed in range(self.seeds):
            config = self._config(
                suite=self.suite(tasks), name=name, seed=seed, **{**self._budget(tasks), **self._kept(), **changes}
            )
            evolving = PopulationConfig(**{"members": self.scale.members, "slice": self.scale.slice, **PBT, **(pbt or {})})
            path = self.out / "students" / f"{_slug(name)}-{seed}"
            self.runs[path] = Evolution(config, evolving)
            self.compared.append(path)

    def _budget(self, tasks: Sequence[str]) -> dict[str, int]:
        """As many frames for each task as the students of all tasks have."""
        share = len(tasks) / len(self.scale.tasks) if tasks else 1
        return {"total_frames": round(self.scale.frames * share)}

    def _kept(self) -> dict[str, bool]:
        return {"record_histories": True} if self.record_histories else {}

    def _config(self, **changes: Any) -> Config:
        scale = self.scale
        shared: dict[str, Any] = {"network": scale.network, "total_frames": scale.frames, "envs_per_task": scale.envs_per_task}
        shared |= {"score_window": scale.score_window, "accept_weak_teachers": True}  # what they are worth is the question
        return Config.of(**{**shared, **changes})

    def _register(self, folder: str, config: Config) -> str:
        path = self.out / folder / f"{_slug(config.name)}-{config.seed}"
        if self.runs.setdefault(path, config) != config:
            raise ValueError(f"two different runs of one experiment are called {config.name!r}; rename one")
        return str(path)


PBT: dict[str, Any] = {
    "burn_in": "8%",
    "alpha_range": "0.3:2",
    "rho_range": "1:1:1",
    "perturb_factor": 1.5,
}
"""Learning rate and entropy cost begin at the defaults; how strong the teachers are, and for how long, is open."""


def _slug(name: str) -> str:
    return re.sub(r"[^\w.]+", "-", name).strip("-")
