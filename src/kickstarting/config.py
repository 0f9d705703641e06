"""The configuration of a run: frozen dataclasses, saved with the run, checked with reasons before any long work."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from kickstarting.algo.parsing import AUTO, parse_frames, parse_schedule
from kickstarting.algo.schedules import Schedule
from kickstarting.cluster.config import RemoteConfig
from kickstarting.envs import describe
from kickstarting.envs.joint import TaskSpaces
from kickstarting.inputs import Input, inputs_of
from kickstarting.learning import USUAL, LearningConfig, usual
from kickstarting.machine import MachineConfig
from kickstarting.networks import check_network, usual_options
from kickstarting.ranges import COUNT, FRAMES, SEED, Name, Range, check_fields, shown
from kickstarting.runs.histories import arrow
from kickstarting.settings import changed, flat
from kickstarting.spaces import kind_of
from kickstarting.suites import load_suite
from kickstarting.suites.suite import env_in, suite_file
from kickstarting.teachers.build import pinned
from kickstarting.teachers.config import TeachingConfig
from kickstarting.teachers.origins import named_modules
from kickstarting.trust import TrustConfig, module_in, trust

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


FORMAT = 2
"""Of configurations as JSON; those of earlier versions do not say one."""


@dataclass(frozen=True)
class RunConfig:
    """What a run keeps, and how it is measured."""

    checkpoint_every: str = "auto"
    """Frames between checkpoints, or a share of the run; auto is about ten minutes, measured when the run begins, and kept.
    Environments restart there, so that a resumed run equals an uninterrupted one."""
    checkpoint_at: tuple[str, ...] = ()
    """Further frames to save at, which repeats a run that a signal stopped there; of a population's member as MEMBER:FRAMES."""
    record_histories: bool = False
    """Keep every transition of every environment in histories.arrow, for Algorithm Distillation (docs/histories.md)."""
    score_window: Annotated[int, COUNT] = 50
    """Number of episodes of each task over which the training score is averaged."""
    score_frames: Annotated[Frames, Range(0, 10**15)] = 0
    """Average over the episodes that ended in the last so many frames of the suite instead, as 30M in the paper; 0 for episodes."""

    def check(self, total_frames: int) -> None:
        """Raise ValueError, with the remedy, for what cannot work."""
        if self.record_histories:
            arrow()
        if self.checkpoint_every != AUTO:
            parse_frames(self.checkpoint_every, total_frames)
        for text in self.checkpoint_at:
            member, _, frames = text.rpartition(":")
            if not (member.isdecimal() or not member):
                raise ValueError(f"checkpoint_at {text!r} is neither FRAMES nor MEMBER:FRAMES, as 250k or 3:250k")
            parse_frames(frames, total_frames)

    def frames_at(self, total_frames: int) -> tuple[int, ...]:
        """`checkpoint_at`, without what is for members."""
        return tuple(int(parse_frames(text, total_frames)) for text in self.checkpoint_at if ":" not in text)


@dataclass(frozen=True)
class Config:
    """Everything that determines a run: what is learned, and how, in groups. Each setting has a name of its own in all groups, and
    so it has on the command line, in `Config.of` and in `changed`."""

    suite: tyro.conf.Positional[str] = ""
    """A suite's name or .toml file, or an environment id. :TASK,PATTERN behind a suite takes only those tasks."""
    network: str = "large"
    """small, large, or package.module:Class."""
    network_options: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="network-option")] = ()
    """KEY=VALUE, overrides the network's preset: lstm=512, channels=(16,32). Unless given: on images lstm=0 if they come
    stacked, as in Atari, and normalise=False else; on vectors, with continuous actions, normalise_observations=True,
    state_independent_std=True and initial_std=0.37."""
    total_frames: Annotated[Frames, tyro.conf.arg(name="frames"), FRAMES] = 1_000_000
    """Simulator frames to train for: 250000, 250k, 1.5M."""
    seed: Annotated[int, SEED] = 0
    name: Annotated[str, Name()] = ""
    """Reports treat runs of one name as seeds of one experiment; `scratch` or `kickstarted` unless given."""
    inputs: Annotated[tuple[Input, ...], tyro.conf.Fixed, tyro.conf.Suppress] = ()
    """The files that the run reads, pinned when it begins."""
    teaching: tyro.conf.OmitArgPrefixes[TeachingConfig] = field(default_factory=TeachingConfig)
    learning: tyro.conf.OmitArgPrefixes[LearningConfig] = field(default_factory=LearningConfig)
    run: tyro.conf.OmitArgPrefixes[RunConfig] = field(default_factory=RunConfig)
    machine: tyro.conf.OmitArgPrefixes[MachineConfig] = field(default_factory=MachineConfig)
    remote: tyro.conf.OmitArgPrefixes[RemoteConfig] = field(default_factory=RemoteConfig)
    trusting: tyro.conf.OmitArgPrefixes[TrustConfig] = field(default_factory=TrustConfig)

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
        check_fields(self, max(1, self.total_frames))
        self.teaching.check(self.total_frames, self.learning.envs_per_task)
        self.run.check(self.total_frames)
        self.learning.check(self.machine.env_groups, self.shares, "actors" if self.remote.actors else "learners")
        self.machine.check()
        histories, teachers = self.run.record_histories, bool(self.teaching.teachers)
        self.remote.check(self.machine.num_learners, self.machine.overlap, histories, teachers)
        check_network(self.network, self.parsed_network_options())

    @property
    def group(self) -> str:
        return self.name or ("kickstarted" if self.teaching.teachers else "scratch")

    @property
    def checkpoint_frames(self) -> int | None:
        """Frames between checkpoints; None if they follow time."""
        every = self.run.checkpoint_every
        return None if every == AUTO else max(1, int(parse_frames(every, self.total_frames)))

    @property
    def shares(self) -> int:
        """Into how many equal parts the environments of each task are split: one for each actor."""
        return self.remote.actors or self.machine.num_learners

    @property
    def envs_each(self) -> int:
        """Environments of each task that one actor has."""
        return self.learning.envs_per_task // self.shares

    @property
    def envs_per_update(self) -> int:
        """Environments of each task in what all learners together step on."""
        return self.envs_each * self.remote.unrolls if self.remote.actors else self.learning.envs_per_task

    @property
    def envs_learned(self) -> int:
        """Environments of each task in what one learner steps on."""
        return self.envs_per_update // self.machine.num_learners

    @property
    def column_groups(self) -> int:
        """In how many groups the columns stand, each with its share of every task: those of one learner behind those of another."""
        together = self.envs_learned > self.envs_each  # several actors' columns are put in the order of the tasks
        return self.machine.num_learners * (1 if together else self.machine.env_groups)

    @property
    def named_modules(self) -> list[str]:
        """What this configuration names to be imported, as package.module:Name."""
        of_teachers = [name for teacher in self.teaching.references for name in named_modules(teacher.ref)]
        return [name for name in (self.network, env_in(self.suite), *of_teachers) if module_in(name)]

    @property
    def trusted_modules(self) -> tuple[str, ...]:
        """Those that whoever wrote this configuration named, and the formats that they trust."""
        return (*self.trusting.names, *map(module_in, self.named_modules))

    def on_this_machine(self) -> Config:
        """With what `auto` means here written out, and all that the run reads pinned: paths absolute, contents by SHA-256. So a
        run resumes as it began, or not at all. Learning rate and network options go by what is observed."""
        suite, schedule = suite_file(self.suite), self.teaching.schedule
        teachers = pinned(self.teaching.references)
        settings: dict[str, Any] = {"teachers": teachers, "inputs": self.inputs or inputs_of(suite, schedule)}
        if self.teaching.teacher_adapters:
            settings["teacher_adapters"] = tuple("+".join(teacher.adapters) for teacher in teachers)
        if suite and ".toml" in self.suite:
            settings["suite"] = self.suite.replace(str(suite), str(suite.resolve()), 1)
        if schedule.endswith(".json"):
            settings["schedule"] = str(Path(schedule).resolve())
        images = any(kind_of(name, space) in ("grid", "pixels") for name, space in self._seen().observation_space.items())
        return dataclasses.replace(self.as_usual().changed(**settings), machine=self.machine.here(images))

    def as_usual(self, began_with: Mapping[str, Any] | None = None) -> Config:
        """With the settings of learning and the network's options that are usual in these environments, where none are given.

        began_with: the options of the network that goes on, instead of those that are usual now.
        """
        seen, given = self._seen(), self.parsed_network_options()
        if began_with is None:
            began_with = usual_options(self.network, seen.observation_space, seen.action_space, given)
        written = (f"{option}={value}" for option, value in began_with.items() if option not in given)
        values = flat(self)
        settings = {name: usual(name, seen) for name in USUAL if values[name] in (AUTO, None)}
        return self.changed(**settings, network_options=(*written, *self.network_options))

    def parsed(self, name: str) -> Schedule:
        """The schedule in the setting `name`."""
        return parse_schedule(self.written(name), self.total_frames)

    def written(self, name: str) -> str:
        """The text of a setting that is a schedule. For `auto` the suite's environments are asked what they are."""
        text = flat(self)[name]
        return usual(name, self._seen()) if text == AUTO else text

    def _seen(self) -> TaskSpaces:
        trust(self.trusted_modules)
        return describe(load_suite(self.suite).tasks, timeout=self.machine.environment_timeout)

    def parsed_network_options(self) -> dict[str, Any]:
        options = {}
        for option in self.network_options:
            key, separator, value = option.partition("=")
            try:
                options[key] = ast.literal_eval(value)
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # a word, or what Python cannot read
                options[key] = value
            if not separator or not key:
                raise ValueError(f"network option {shown(option)} is not KEY=VALUE")
        return options

    def to_json(self) -> dict[str, Any]:
        teachers = [reference.to_json() for reference in self.teaching.references]
        data = {"format": FORMAT, **dataclasses.asdict(self), "name": self.group}
        del data["trusting"]
        return {**data, "teaching": {**data["teaching"], "teachers": teachers}}
