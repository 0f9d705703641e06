"""The configuration of a run: one frozen dataclass, saved with the run, checked with reasons before any long work."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import tyro

from kickstarting.algo.losses import LossConfig
from kickstarting.algo.parsing import parse_frames, parse_schedule
from kickstarting.algo.schedules import Piecewise, Schedule
from kickstarting.learner import LearnerConfig
from kickstarting.machine import PRECISIONS, check_device, fastest_threads, resolve_device, resolve_precision
from kickstarting.teachers import Reference, parse_reference, pinned
from kickstarting.teachers.adapters import parse_adapters

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


TeacherEntry = Annotated[
    str | Reference,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="[PATTERN=]REF",
        instance_from_str=lambda words: words[0],
        is_instance=lambda x: isinstance(x, str | Reference),
        str_from_instance=lambda x: [str(x)],
    ),
]
"""A teacher as it is written; read with adapters and pins in `Config.references`."""

SCHEDULED = ("learning_rate", "entropy_cost", "policy_cost", "baseline_cost")
"""What is a number or a schedule, in the order of the learner's `Hyperparameters`."""


@dataclass(frozen=True)
class Config:
    """Everything that determines a run."""

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
    teachers: Annotated[tyro.conf.UseAppendAction[tuple[TeacherEntry, ...]], tyro.conf.arg(name="teacher")] = ()
    """[PATTERN=]REF of each teacher: a run directory or zoo:NAME, which teaches the tasks that the glob pattern matches."""
    teacher_adapters: tuple[str, ...] = ()
    """What stands between the environments and each teacher, as NAME or NAME+NAME: identity, or mask for a teacher with fewer or
    more discrete actions. Identity for each unless given."""
    teacher_shares: tuple[float, ...] = ()
    """rho of each teacher, in lambda_i = alpha * rho_i; 1 each unless given."""
    schedule: str = "evidence:1"
    """alpha, the teachers' weight over time: evidence:FROM[:RELEASE[:FRAMES]], constant:V, step:FROM:TO:FRAMES,
    linear:FROM:TO:FRAMES, cosine:FROM:TO:FRAMES, exponential:FROM:HALF_LIFE[:FLOOR], progress:FROM[:FRAMES]. FRAMES may be a
    share of the run, such as 20%. Or the schedule.json that a population evolved."""
    learning_rate: str = "linear:3e-3:3e-4:100%"
    """A number or a schedule."""
    entropy_cost: str = "0.01"
    """A number or a schedule."""
    policy_cost: str = "1"
    """Weight of the policy gradient and the entropy, a number or a schedule. step:0:1:5% warms up the critic before the rewards
    may change the policy. 0, with --baseline-cost 0, is policy distillation on the student's own trajectories."""
    teacher_acts: str = "0"
    """Probability that a teacher acts in an episode of its task instead of the student, a number or a schedule. V-trace corrects
    for it. The student always keeps one environment of every task, and its score counts its own episodes only."""
    baseline_cost: str = "0.5"
    """Weight of the critic's loss, a number or a schedule."""
    envs_per_task: int = 16
    unroll_length: int = 32
    learner: tyro.conf.OmitArgPrefixes[LearnerConfig] = field(default_factory=LearnerConfig)
    checkpoint_every: str = "20%"
    """Frames between checkpoints. Environments restart there, so that a resumed run equals an uninterrupted one."""
    score_window: int = 50
    """Number of episodes of each task over which the training score is averaged."""
    precision: str = "auto"
    """Precision of convolutions and linear layers: float32, bfloat16, or auto, which is bfloat16 where the hardware has it. A run
    keeps the precision that it began with."""
    device: str = "auto"
    """cpu, cuda, or auto, which is cuda where there is a GPU."""
    overlap: bool = False
    """Act on the next unroll while the learner steps on the last one, in two threads. The policy that acts is then one update
    behind, and V-trace corrects for that."""
    env_groups: int = 1
    """Number of groups in which the environments step: while one group steps, the network chooses actions for the next."""
    torch_threads: int = 0
    """Threads of torch, with --overlap for each of the two threads. 0 takes as many as are fastest here and now, at most one per
    core."""
    environment_threads: int = 0
    """Threads of each task's pool of environments. 0 takes one, or more where there are more cores than tasks."""

    def check(self) -> None:
        """Raise ValueError, with the remedy, for what cannot work. Called before any work; not on construction, where a
        command line would bury the reason."""
        self.learner.check()
        for name in ("total_frames", "envs_per_task", "unroll_length", "score_window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.teacher_shares and len(self.teacher_shares) != len(self.teachers):
            raise ValueError(f"{len(self.teacher_shares)} teacher_shares for {len(self.teachers)} teachers; give one each, or none")
        if self.teacher_adapters and len(self.teacher_adapters) != len(self.teachers):
            raise ValueError(
                f"{len(self.teacher_adapters)} teacher_adapters for {len(self.teachers)} teachers; give one each, or none "
                "(identity changes nothing)"
            )
        for adapters in self.teacher_adapters:
            parse_adapters(adapters)
        parsed = {f"schedule of teacher {i}": schedule for i, schedule in enumerate(self.teacher_schedules())}
        if not self.teachers:
            parsed["schedule"] = self.parsed("schedule")
        for name, schedule in {
            **parsed,
            **{name: self.parsed(name) for name in (*SCHEDULED, "teacher_acts")},
        }.items():
            text = self.schedule if name.startswith("schedule") else getattr(self, name)
            if schedule.lowest < 0:
                raise ValueError(f"{name} {text!r} falls below 0; weights, rates and costs are never negative")
            if not name.startswith("schedule") and schedule.uses_progress:
                raise ValueError(f"{name} {text!r} follows progress; only the teachers' weight can")
        self._check_teacher_acts(self.parsed("teacher_acts").highest)
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {self.precision!r}; known: {', '.join(PRECISIONS)}")
        check_device(self.device)
        parse_frames(self.checkpoint_every, self.total_frames)
        self.parsed_network_options()

    def _check_teacher_acts(self, highest: float) -> None:
        if highest > 1:
            raise ValueError(f"teacher_acts {self.teacher_acts!r} rises to {highest:g}; it is a probability, at most 1")
        if highest > 0 and not self.teachers:
            raise ValueError(
                f"teacher_acts is {self.teacher_acts!r}, but there is no teacher to act; give --teacher REF, or leave it at 0"
            )
        if highest > 0 and self.envs_per_task < 2:
            raise ValueError(
                f"teacher_acts is {self.teacher_acts!r}, but envs_per_task is {self.envs_per_task}, and one environment of every "
                "task is left to the student; give at least 2"
            )

    @property
    def group(self) -> str:
        return self.name or ("kickstarted" if self.teachers else "scratch")

    @property
    def references(self) -> tuple[Reference, ...]:
        """The teachers, read."""
        read = tuple(parse_reference(teacher) for teacher in self.teachers)
        if not self.teacher_adapters:
            return read
        return tuple(dataclasses.replace(r, adapters=parse_adapters(a)) for r, a in zip(read, self.teacher_adapters, strict=True))

    @property
    def checkpoint_frames(self) -> int:
        return max(1, int(parse_frames(self.checkpoint_every, self.total_frames)))

    def threads_each(self) -> int:
        """torch's threads for each thread that runs a network."""
        return self.torch_threads or max(1, (os.cpu_count() or 1) // (2 if self.overlap else 1))

    def on_this_machine(self) -> Config:
        """With what `auto` means here written out, and teachers pinned, so that a run resumes as it began."""
        device = resolve_device(self.device)
        threads = self.torch_threads or fastest_threads(self.threads_each())
        precision = resolve_precision(self.precision, device)
        teachers = pinned(self.references)
        return dataclasses.replace(self, device=device, precision=precision, torch_threads=threads, teachers=teachers)

    def parsed(self, name: str) -> Schedule:
        """The schedule in the field `name`."""
        return parse_schedule(getattr(self, name), self.total_frames)

    def teacher_schedules(self) -> list[Schedule]:
        """alpha for each teacher: one schedule for all, or each teacher's own from an evolved schedule.json.

        Raises ValueError if the file cannot be read or is about other teachers.
        """
        if not self.schedule.endswith(".json"):
            return [self.parsed("schedule")] * len(self.teachers)
        try:
            data = json.loads(Path(self.schedule).read_text())
            frames = [float(since) for since in data["frames"]]
            evolved = {
                ref: Piecewise(tuple(zip(frames, [parse_schedule(spec, self.total_frames) for spec in specs], strict=True)))
                for ref, specs in data["teachers"].items()
            }
        except OSError as error:
            raise ValueError(f"schedule {self.schedule} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"{self.schedule} is no evolved schedule ({error}); give a population's best/schedule.json") from error
        ours = [str(reference) for reference in self.references]
        if sorted(evolved) != sorted(ours):
            raise ValueError(
                f"schedule {self.schedule} is for teachers {', '.join(sorted(evolved))}, this run has "
                f"{', '.join(sorted(ours)) or 'none'}; give the same --teacher references"
            )
        return [evolved[ref] for ref in ours]

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
        teachers = [reference.to_json() for reference in self.references]
        return {**dataclasses.asdict(self), "name": self.group, "teachers": teachers}


def flat(config: Any) -> dict[str, Any]:
    """Every setting by its own name, whichever group of a configuration it stands in."""
    values: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        values |= flat(value) if dataclasses.is_dataclass(value) else {f.name: value}
    return values


def changed(config: Group, settings: Mapping[str, Any]) -> Group:
    """A configuration, or a group of one, with some of its settings changed, by their flat names."""
    values: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            values[f.name] = changed(value, settings)
        elif f.name in settings:
            values[f.name] = settings[f.name]
    return dataclasses.replace(config, **values)


_BEFORE = {
    "epochs": 1,
    "policy_clip": 0.0,
    "normalise_returns": False,
    "normalise_advantages": False,
}
"""What a configuration of version 0.1 does not name, and meant."""


def _learner_of_any_version(learner: dict[str, Any]) -> LearnerConfig:
    if "epochs" not in learner:
        epsilon = 1e-8 if learner["optimiser"] == "adam" and learner["epsilon"] is None else learner["epsilon"]
        learner = {**learner, **_BEFORE, "epsilon": epsilon}
    if "loss" not in learner:  # its fields stood among the learner's
        of_loss = {f.name for f in dataclasses.fields(LossConfig)}
        loss = {name: value for name, value in learner.items() if name in of_loss}
        learner = {name: value for name, value in learner.items() if name not in of_loss} | {"loss": loss}
    return LearnerConfig(**{**learner, "loss": LossConfig(**learner["loss"])})


def config_from_json(data: dict[str, Any]) -> Config:
    """The inverse of `Config.to_json`. Raises ValueError, naming the key, if it does not fit."""
    values: dict[str, Any] = {name: value for name, value in data.items() if name != "versions"}
    try:
        values["learner"] = _learner_of_any_version(values["learner"])
        values["teachers"] = tuple(map(parse_reference, values.get("teachers", ())))
        tuples = {f.name for f in dataclasses.fields(Config) if f.default == ()}
        values |= {name: tuple(values[name]) for name in tuples & values.keys()}
        return Config(**values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no configuration that this version reads: {error}") from error


def read_config(path: Path) -> Config:
    """The configuration of a saved run. Raises ValueError if the file is missing, damaged, or of another version."""
    try:
        return config_from_json(json.loads(path.read_text()))
    except OSError as error:
        raise ValueError(f"no run at {path.parent}: {path.name} cannot be read ({error.strerror})") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
