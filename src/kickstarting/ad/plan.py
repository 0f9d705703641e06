"""What an experiment is made of: arms, each with histories, a model of them and how it is looked at, at a scale and for some seeds.

A step's directory is named by all that decides it, so arms and experiments that need the same share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path

from kickstarting.ad.collect import CollectConfig
from kickstarting.ad.model import ModelConfig
from kickstarting.ad.results import HowEvaluated
from kickstarting.ad.saved import TrainConfig
from kickstarting.ad.steps import Collect, Evaluate, Join, Step, Train
from kickstarting.runs.files import digest_of

Data = CollectConfig | tuple[CollectConfig, ...]
LEAST = 20
"""Histories, so that there are some of several tasks at any scale."""
PER_SEED = {"seed", "split_seed", "threads"}
"""Settings that say nothing of what an arm is."""


@dataclass(frozen=True)
class Scale:
    """How much work an experiment is, beside what its arms say, which is for two cores."""

    seeds: int
    histories: float = 1.0
    updates: float = 1.0
    episodes: float = 1.0
    model: ModelConfig | None = None
    """Instead of the arms' own."""
    batch: float = 1.0


SCALES = {
    "tiny": Scale(seeds=1, histories=0.01, updates=0.003, episodes=0.06),
    "cpu": Scale(seeds=3),
    "gpu": Scale(seeds=5, updates=6, episodes=2.5, batch=4, model=ModelConfig(width=256, layers=4, heads=8, feedforward=1024)),
}


@dataclass(frozen=True)
class Shown:
    """A curve of the report: one outcome of an arm, over seeds."""

    name: str
    panel: str
    evaluations: tuple[Path, ...]
    models: tuple[Path, ...]
    histories: tuple[tuple[Path, ...], ...]
    """Of each seed, those that its model was trained on."""
    baselines: bool


@dataclass
class Plan:
    """Collects the steps of an experiment, and what is to be shown."""

    scale: Scale
    out: Path
    seeds: Sequence[int]
    threads: int = 0
    arms: list[Shown] = field(default_factory=list)
    _steps: dict[Path, tuple[int, Step]] = field(default_factory=dict)

    @property
    def steps(self) -> list[Step]:
        """One seed after the other, so that a plan which is cut short says something of all arms."""
        return [step for _, step in sorted(self._steps.values(), key=lambda entry: entry[0])]

    def arm(
        self, name: str, data: Data, train: TrainConfig, how: HowEvaluated, *, panel: str = "", baselines: bool = False
    ) -> None:
        """A curve. data: histories, or several that are joined. baselines: its source and random actions are shown with it."""
        parts, train, how = self._scaled(data if isinstance(data, tuple) else (data,), train, how)
        found = [self._of_seed(seed, parts, train, how, baselines) for seed in self.seeds]
        evaluations, models, histories = zip(*found, strict=True)
        self.arms.append(Shown(name, panel, evaluations, models, histories, baselines))

    def _of_seed(
        self, seed: int, parts: Sequence[CollectConfig], train: TrainConfig, how: HowEvaluated, baselines: bool
    ) -> tuple[Path, Path, tuple[Path, ...]]:
        parts = [replace(part, seed=seed, split_seed=seed) for part in parts]
        train = replace(train, seed=seed, threads=self.threads)
        collected = tuple(self._add(seed, Collect(part, self._path("histories", _name(part), seed, part))) for part in parts)
        name = _name(parts[0]) if len(parts) == 1 else "several"
        source = collected[0]
        if len(collected) > 1:
            source = self._add(seed, Join(collected, self._path("histories", name, seed, *parts)))
        model = self._add(seed, Train(train, source, self._path("models", name, seed, *parts, train)))
        looked = self._path("evaluations", f"{how.family or parts[0].family}-{how.part}", seed, *parts, train, how, baselines)
        return self._add(seed, Evaluate(model, how, baselines, looked)), model, collected

    def _add(self, seed: int, step: Step) -> Path:
        self._steps.setdefault(step.out, (seed, step))
        return step.out

    def _path(self, folder: str, name: str, seed: int, *settings: object) -> Path:
        what = [asdict(x) if is_dataclass(x) and not isinstance(x, type) else x for x in settings]
        plain = [{key: y for key, y in x.items() if key not in PER_SEED} if isinstance(x, dict) else x for x in what]
        return self.out / folder / f"{name}-{digest_of(plain)[:8]}-{seed}"

    def _scaled(
        self, parts: Sequence[CollectConfig], train: TrainConfig, how: HowEvaluated
    ) -> tuple[Sequence[CollectConfig], TrainConfig, HowEvaluated]:
        scale = self.scale
        parts = [replace(part, histories=max(LEAST, round(scale.histories * part.histories))) for part in parts]
        model, batch = scale.model or train.model, round(scale.batch * train.batch)
        train = replace(train, updates=max(2, round(scale.updates * train.updates)), model=model, batch=batch)
        return parts, train, replace(how, episodes=max(2, round(scale.episodes * how.episodes)))


def _name(data: CollectConfig) -> str:
    return f"{data.family}-{data.source}"
