"""The configuration of a run: frozen dataclasses, saved with the run, checked with reasons before any long work."""

from __future__ import annotations

import ast
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import tyro

from kickstarting.algo.parsing import nearest, parse_frames, parse_rate, parse_schedule
from kickstarting.algo.schedules import Schedule
from kickstarting.learner import LearnerConfig
from kickstarting.machine import MachineConfig
from kickstarting.teachers.build import pinned
from kickstarting.teachers.config import TeachingConfig
from kickstarting.teachers.references import parse_reference

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Group = TypeVar("Group", bound="DataclassInstance")

Frames = Annotated[
    int,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="FRAMES",
        instance_from_str=lambda words: int(words[0] if words[0].lstrip("+-").isdigit() else parse_frames(words[0], 0)),
        is_instance=lambda x: isinstance(x, int),
        str_from_instance=lambda x: [str(x)],
    ),
]
"""A number of frames, on the command line also as 250k or 1.5M."""


SCHEDULED = ("learning_rate", "entropy_cost", "policy_cost", "baseline_cost")
"""What is a number or a schedule, in the order of the learner's `Hyperparameters`."""


@dataclass(frozen=True)
class LearningConfig:
    """How the student learns: from how much experience, at which rate, at which costs."""

    learning_rate: str = "linear:3e-3:3e-4:100%"
    """A number or a schedule."""
    entropy_cost: str = "0.01"
    """A number or a schedule."""
    policy_cost: str = "1"
    """Weight of the policy gradient and the entropy, a number or a schedule. step:0:1:5% warms up the critic before the rewards
    may change the policy. 0, with --baseline-cost 0, is policy distillation on the student's own trajectories."""
    baseline_cost: str = "0.5"
    """Weight of the critic's loss, a number or a schedule."""
    envs_per_task: int = 16
    unroll_length: int = 32
    learner: LearnerConfig = field(default_factory=LearnerConfig)

    def check(self, total_frames: int) -> None:
        """Raise ValueError, with the remedy, for what cannot work."""
        self.learner.check()
        for name in ("envs_per_task", "unroll_length"):
            _at_least_1(name, getattr(self, name))
        for name in SCHEDULED:
            parse_rate(name, getattr(self, name), total_frames)


@dataclass(frozen=True)
class RunConfig:
    """What a run keeps, and how it is measured."""

    checkpoint_every: str = "20%"
    """Frames between checkpoints. Environments restart there, so that a resumed run equals an uninterrupted one."""
    score_window: int = 50
    """Number of episodes of each task over which the training score is averaged."""


@dataclass(frozen=True)
class Config:
    """Everything that determines a run: what is learned, and how, in groups. Each setting has a name of its own in all groups, and
    so it has on the command line, in `Config.of` and in `changed`."""

    suite: tyro.conf.Positional[str] = ""
    """A suite's name or .toml file, or an environment id. :TASK,PATTERN behind a suite takes only those tasks."""
    network: str = "large"
    """small, large, or package.module:Class."""
    network_options: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="network-option")] = ()
    """KEY=VALUE, overrides the network's preset: lstm=512, channels=(16,32)."""
    total_frames: Annotated[Frames, tyro.conf.arg(name="frames")] = 1_000_000
    """Simulator frames to train for: 250000, 250k, 1.5M."""
    seed: int = 0
    name: str = ""
    """Reports treat runs of one name as seeds of one experiment; `scratch` or `kickstarted` unless given."""
    teaching: tyro.conf.OmitArgPrefixes[TeachingConfig] = field(default_factory=TeachingConfig)
    learning: tyro.conf.OmitArgPrefixes[LearningConfig] = field(default_factory=LearningConfig)
    run: tyro.conf.OmitArgPrefixes[RunConfig] = field(default_factory=RunConfig)
    machine: tyro.conf.OmitArgPrefixes[MachineConfig] = field(default_factory=MachineConfig)

    @staticmethod
    def of(suite: str = "", **settings: Any) -> Config:
        """A configuration by the names of its settings, whichever group they stand in. Raises ValueError for unknown names."""
        return changed(Config(suite), settings)

    def changed(self, **settings: Any) -> Config:
        """With some settings changed. Raises ValueError for unknown names."""
        return changed(self, settings)

    def check(self) -> None:
        """Raise ValueError, with the remedy, for what cannot work. Called before any work; not on construction, where a
        command line would bury the reason."""
        _at_least_1("total_frames", self.total_frames)
        self.learning.check(self.total_frames)
        self.teaching.check(self.total_frames, self.learning.envs_per_task)
        _at_least_1("score_window", self.run.score_window)
        parse_frames(self.run.checkpoint_every, self.total_frames)
        self.machine.check()
        self.parsed_network_options()

    @property
    def group(self) -> str:
        return self.name or ("kickstarted" if self.teaching.teachers else "scratch")

    @property
    def checkpoint_frames(self) -> int:
        return max(1, int(parse_frames(self.run.checkpoint_every, self.total_frames)))

    def on_this_machine(self) -> Config:
        """With what `auto` means here written out, and teachers pinned, so that a run resumes as it began."""
        teaching = dataclasses.replace(self.teaching, teachers=pinned(self.teaching.references))
        return dataclasses.replace(self, machine=self.machine.here(), teaching=teaching)

    def parsed(self, name: str) -> Schedule:
        """The schedule in the setting `name`."""
        return parse_schedule(flat(self)[name], self.total_frames)

    def parsed_network_options(self) -> dict[str, Any]:
        options = {}
        for option in self.network_options:
            key, separator, value = option.partition("=")
            try:
                options[key] = ast.literal_eval(value)
            except (ValueError, SyntaxError):
                options[key] = value
            if not separator or not key:
                raise ValueError(f"network option {option!r} is not KEY=VALUE")
        return options

    def to_json(self) -> dict[str, Any]:
        teachers = [reference.to_json() for reference in self.teaching.references]
        data = {**dataclasses.asdict(self), "name": self.group}
        return {**data, "teaching": {**data["teaching"], "teachers": teachers}}


def _at_least_1(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} is {value}; it must be at least 1")


GROUPS = ("teaching", "learning", "learner", "loss", "run", "machine")


def flat(config: Any) -> dict[str, Any]:
    """Every setting by its own name, whichever group of a configuration it stands in."""
    values: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        values |= flat(value) if f.name in GROUPS else {f.name: value}
    return values


def types_of(config: type) -> dict[str, Any]:
    """The type of every setting, by its own name."""
    types: dict[str, Any] = {}
    for name, hint in get_type_hints(config).items():
        types |= types_of(hint) if name in GROUPS else {name: hint}
    return types


def changed(config: Group, settings: Mapping[str, Any]) -> Group:
    """A configuration, or a group of one, with some of its settings changed, by their own names, or whole groups by theirs.
    Raises ValueError, with the nearest names, for one that it does not have."""
    for name in settings:
        if name not in (*(known := flat(config)), *GROUPS):
            raise ValueError(f"there is no setting {name!r}; {nearest(name, known)}")
    return _changed(config, settings)


def _changed(config: Group, settings: Mapping[str, Any]) -> Group:
    values: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        value = settings.get(f.name, getattr(config, f.name))
        values[f.name] = _changed(value, settings) if f.name in GROUPS else value
    return dataclasses.replace(config, **values)


_BEFORE = {"epochs": 1, "policy_clip": 0.0, "normalise_returns": False, "normalise_advantages": False}
"""What a configuration of version 0.1 does not name, and meant."""


def config_from_json(data: dict[str, Any]) -> Config:
    """The inverse of `Config.to_json`, also for configurations of earlier versions, which had fewer groups. Raises ValueError,
    naming the key, if it does not fit."""
    values = _ungrouped({name: value for name, value in data.items() if name != "versions"})
    if "optimiser" not in values:
        raise ValueError("no configuration that this version reads: it does not say how to learn")
    if "epochs" not in values:
        epsilon = 1e-8 if values["optimiser"] == "adam" and values.get("epsilon") is None else values.get("epsilon")
        values |= {**_BEFORE, "epsilon": epsilon}
    try:
        values["teachers"] = tuple(map(parse_reference, values.get("teachers", ())))
        values |= {name: tuple(values[name]) for name, value in flat(Config()).items() if value == () and name in values}
        return changed(Config(), values)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no configuration that this version reads: {error}") from error


def _ungrouped(data: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in data.items():
        values |= _ungrouped(value) if name in GROUPS and isinstance(value, Mapping) else {name: value}
    return values


def read_config(path: Path) -> Config:
    """The configuration of a saved run. Raises ValueError if the file is missing, damaged, or of another version."""
    try:
        return config_from_json(json.loads(path.read_text()))
    except OSError as error:
        raise ValueError(f"no run at {path.parent}: {path.name} cannot be read ({error.strerror})") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
