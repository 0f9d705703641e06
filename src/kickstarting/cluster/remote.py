"""The actor's side: an `Actor` in a process of its own, somewhere on a cluster."""

from __future__ import annotations

import faulthandler
import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from kickstarting.actor import Unrolls
from kickstarting.assembly import build, make_actor, make_env, seed_of
from kickstarting.cluster.connect import DEADLINE, engine, name_of, versions
from kickstarting.cluster.transport import Unroll, arrays_to_weights, to_array
from kickstarting.config import Config
from kickstarting.envs import MultiTaskEnv
from kickstarting.teachers import Teachers, build_teachers


@dataclass(frozen=True)
class Place:
    """Where a process is, and where it writes its stack if it takes too long."""

    node: str
    """Ray's id of the node."""
    name: str
    """For people."""
    process: int
    file: int
    """Descriptor of an open file that has no name, so that nothing is left behind however the process ends."""
    versions: dict[str, str]


class Observed:
    """What every process of a run on a cluster has: a place, and a stack for whoever asks why it does not answer."""

    def __init__(self, paths: Sequence[str], patience: float) -> None:
        """paths: where the driver finds modules. patience: seconds that one call may take."""
        sys.path += [path for path in paths if path not in sys.path]
        self._patience, self._stack = patience, tempfile.TemporaryFile()  # noqa: SIM115

    def where(self) -> Place:
        node = engine().get_runtime_context().get_node_id()
        return Place(node, name_of(socket.gethostname(), node), os.getpid(), self._stack.fileno(), versions())

    @contextmanager
    def watched(self) -> Iterator[None]:
        """The stack of all threads is written, without Python's lock, if what is within takes nearly too long."""
        faulthandler.dump_traceback_later(0.8 * self._patience, file=self._stack)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            self._stack.seek(0)
            self._stack.truncate()


class RemoteActor(Observed):
    """Acts with the weights that each call names, in environments that it opens at every seam.

    number: which share of the environments it has, of all that the configuration makes.
    """

    def __init__(self, number: int, config: Config, paths: Sequence[str], patience: float) -> None:
        super().__init__(paths, patience)
        threads, here = max(1, int(config.remote.actor_cpus)), config.machine
        machine = replace(
            here, device="cpu", overlap=False, torch_threads=threads, environment_threads=here.environment_threads or 1
        )
        self._number, self._config = number, replace(config, machine=machine)
        self._student: Any = None
        self._teachers: Teachers | None = None
        self._env: MultiTaskEnv | None = None
        self._actor: Unrolls | None = None
        self._version = self._generation = -1

    def begin(self, generation: int, frames: int, seam: int, restart: int) -> None:
        """Open the environments of a stretch between two checkpoints."""
        with self.watched():
            self.end()
            self._student = self._student or build(self._config)
            suite, spaces, _, learner = self._student
            config, number = self._config, self._number
            self._env = make_env(config, suite, seam, number, restart)
            if config.parsed("teacher_acts").highest > 0 and self._teachers is None:
                names, columns = [task.name for task in suite.tasks], self._env.task_of_column
                self._teachers = build_teachers(config.teaching.references, names, spaces, columns)
            seed = seed_of(config, seam, number, restart)
            self._actor = make_actor(config, suite, self._env, learner, self._teachers, frames, seed)
            self._generation, self._version = generation, -1

    def unroll(self, generation: int, version: int, weights: list[Any]) -> Unroll:
        """T steps with the weights behind the reference in the list, which are only fetched if they are new here."""
        with self.watched():
            if self._actor is None or generation != self._generation:
                raise RuntimeError(f"actor {self._number} is of generation {self._generation}, asked for one of {generation}")
            if version != self._version:
                self._actor.load(arrays_to_weights(engine().get(weights[0], timeout=max(DEADLINE, self._patience))))
                self._version = version
            trajectory = self._actor.unroll().map(to_array)
            return Unroll(version, trajectory, self._actor.drain_episodes(), self._actor.metrics())

    def end(self) -> None:
        """Close the environments."""
        env, self._env, self._actor = self._env, None, None
        if env is not None:
            env.close()
