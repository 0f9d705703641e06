"""Teachers in processes of their own: each has loaded all of them once, and labels its share of the actors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from kickstarting.cluster.connect import Cluster
from kickstarting.cluster.crew import Crew, Post
from kickstarting.cluster.events import Said
from kickstarting.cluster.labels import LabelsByActor
from kickstarting.cluster.remote import Observed
from kickstarting.cluster.slots import Slots
from kickstarting.cluster.transport import to_array, to_tensor
from kickstarting.config import Config
from kickstarting.envs import describe
from kickstarting.machine import use_machine
from kickstarting.suites import load_suite
from kickstarting.teachers import build_teachers
from kickstarting.trust import trust
from kickstarting.types import Labels, Trajectory

TICK = 1.0
"""Seconds between two looks at who does not answer."""

Numbers = dict[str, float | None]


class TeacherWorker(Observed):
    """The process: all teachers, and what each of them remembers of the actors whose unrolls come here."""

    def __init__(self, config: Config, paths: Sequence[str], patience: float) -> None:
        super().__init__(paths, patience)
        self._config = config

    def begin(self) -> None:
        """Load the teachers. Raises ValueError if one is not on this node, or another one than the run began with."""
        with self.watched():
            config, teaching = self._config, self._config.teaching
            trust(config.trusted_modules)
            use_machine(max(1, int(config.remote.actor_cpus)), config.machine.precision)
            suite = load_suite(config.suite)
            spaces, names = describe(suite.tasks), [task.name for task in suite.tasks]
            tasks = spaces.task_of_column(config.envs_each, config.machine.env_groups)
            teachers = build_teachers(teaching.references, names, spaces, tasks, optional=teaching.teacher_optional)
            self._slots = Slots(1, tasks)
            self._labels = LabelsByActor(teachers, self._slots)

    def forget(self) -> None:
        self._labels.forget()

    def label(
        self, sources: Sequence[int], gaps: Sequence[int], unrolls: Trajectory, lambdas: Sequence[np.ndarray]
    ) -> tuple[Labels | None, Numbers]:
        """Of some actors' unrolls side by side; tensors are arrays on both ways."""
        with self.watched():
            self._labels.missed(gaps)
            labels = self._labels.labels(sources, unrolls.map(to_tensor), lambdas)
            return labels and labels.map(to_array), self._labels.metrics()


class TeacherWorkers:
    """What `LabelsByActor` does, by other processes at once. Each has the actors whose numbers leave the same remainder.

    The labels of a process that is lost have no weight until another one has taken its place, and, where teachers have a memory,
    until the next episode begins.
    """

    def __init__(self, config: Config, cluster: Cluster, slots: Slots, said: Said) -> None:
        self._config, self._cluster, self._slots = config, cluster, slots
        patience, numbers = config.remote.actor_timeout, range(config.remote.teacher_workers)
        self._crew = Crew(cluster, "teacher worker", numbers, self._make, patience, said)
        self._crew.attend(self._open, self._lost)
        self._waiting: set[int] = set()
        self._found: dict[int, Labels] = {}
        self._numbers: Numbers = {}
        self._asked = True

    def forget(self) -> None:
        for post in self._crew.posts:
            if post.up:
                post.process.forget.remote()

    def label(self, trajectory: Trajectory, lambdas: Sequence[np.ndarray]) -> Trajectory:
        """As `LabelsByActor.label`."""
        slots, before, self._asked = self._slots, self._asked, any(np.any(own) for own in lambdas)
        gaps, self._found = sorted(slots.gaps), {}
        slots.gaps.clear()
        if before and not self._asked:
            self.forget()
        if self._asked:
            self._all_up_once()
            for post in self._crew.posts:
                self._ask(post, gaps, trajectory, lambdas)
            while self._waiting:
                self._crew.receive(TICK)
        if not self._found:
            return slots.by_task(trajectory)
        silent = next(iter(self._found.values())).map(torch.zeros_like)
        labels = Labels.side_by_side([self._found.get(slot, silent) for slot in range(slots.number)])
        return slots.by_task(replace(trajectory, labels=labels.map(lambda x: x.to(trajectory.rewards.device))))

    def metrics(self) -> Numbers:
        return self._numbers

    def close(self) -> None:
        self._crew.close()

    def _make(self, number: int) -> Any:
        options = {"num_cpus": self._config.remote.actor_cpus, "max_restarts": 0, "max_task_retries": 0}
        worker = self._cluster.ray.remote(TeacherWorker).options(**options, scheduling_strategy="SPREAD")
        return worker.remote(self._config, sys.path, self._config.remote.actor_timeout)

    def _open(self, post: Post) -> None:
        self._crew.call(post, self._opened, "begin")

    def _opened(self, post: Post, _: None) -> None:
        post.up = True

    def _lost(self, post: Post, asked: Sequence[str]) -> str:
        self._waiting.discard(post.number)
        return "its labels have no weight for a while"

    def _all_up_once(self) -> None:
        """At the beginning of a run all are waited for."""
        while not all(post.up or post.restarts for post in self._crew.posts):
            self._crew.receive(TICK)

    def _ask(self, post: Post, gaps: Sequence[int], trajectory: Trajectory, lambdas: Sequence[np.ndarray]) -> None:
        slots = self._slots
        own = [slot for slot, actor in enumerate(slots.sources) if actor % len(self._crew.posts) == post.number]
        if not own or not post.up:
            return
        self._waiting.add(post.number)
        sources, unrolls = [slots.sources[slot] for slot in own], slots.some(trajectory, own).map(to_array)
        self._crew.call(post, partial(self._answered, own), "label", sources, gaps, unrolls, lambdas)

    def _answered(self, own: Sequence[int], post: Post, answer: tuple[Labels | None, Numbers]) -> None:
        labels, numbers = answer
        self._waiting.discard(post.number)
        self._numbers = numbers
        for place, slot in enumerate(own if labels else ()):
            assert labels is not None
            self._found[slot] = labels.map(to_tensor).columns(self._slots.columns(place))
