"""All replicas of a run: one in this process, the others each in a process of its own, and all of them step as one.

A process is joined to this one by a socket, and ends with it, however that ends. What is said
on the socket is a call of the other's Replica, its result, or what it raised; an empty message is a turn at the barrier.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import numpy as np

from kickstarting.actor import Episode
from kickstarting.cluster.connect import Cluster
from kickstarting.cluster.events import Said, nobody
from kickstarting.cluster.learners import FarReplica, join_all
from kickstarting.config import Config
from kickstarting.console import keep_streams
from kickstarting.learner import Hyperparameters
from kickstarting.ranks import ReplicaError, SharedMemory
from kickstarting.replica import Outcome, Replica
from kickstarting.runs.checkpoint import Snapshot
from kickstarting.runs.signals import SIGNALS
from kickstarting.types import Trajectory

PATIENCE = 60.0
"""Seconds that a process has to end."""
METRICS = 64
"""The most numbers that a step reports."""


class Replicas:
    """What `Replica` does, by all of a run's replicas together. `own` is the one in this process.

    Raises what one of them raises: EnvironmentFault, TrainingError, or ReplicaError if its process is gone.
    """

    def __init__(self, config: Config, said: Said = nobody) -> None:
        self._others: list[Other] | list[FarReplica] = []
        self._columns = 0
        with contextlib.ExitStack() as undo:
            if config.machine.num_learners == 1:
                self.own = undo.enter_context(contextlib.closing(Replica(config, said=said)))
            elif config.remote.actors:
                self._join_far(config, said, undo)
            else:
                self._join(config, undo)
            self._undo = undo.pop_all()
        self._columns = config.envs_learned * len(self.own.suite.tasks)

    def _join(self, config: Config, undo: contextlib.ExitStack) -> None:
        """The others in processes of this machine."""
        size = config.machine.num_learners
        self._others = others = [undo.enter_context(contextlib.closing(Other(rank))) for rank in range(1, size)]
        for other in others:  # they start while this one builds
            other.send((sys.path, config))
        self.own = undo.enter_context(contextlib.closing(Replica(config)))
        room = sum(p.numel() for p in self.own.learner.network.parameters()) + METRICS + 2 * len(self.own.suite.tasks)
        with _shared_file(SharedMemory.bytes_for(size, room)) as file:
            for other in others:
                other.send((size, file, room))
            self.own.learner.join(SharedMemory(0, size, file, room, partial(_barrier, others)))
            _barrier(others)  # all have opened it

    def _join_far(self, config: Config, said: Said, undo: contextlib.ExitStack) -> None:
        """The others in processes on the cluster."""
        cluster = undo.enter_context(contextlib.closing(Cluster(config.remote.cluster)))
        self._others = others = [
            undo.enter_context(contextlib.closing(FarReplica(rank, config, cluster, said)))
            for rank in range(1, config.machine.num_learners)
        ]
        self.own = undo.enter_context(contextlib.closing(Replica(config, said=said)))
        join_all(self.own, others, config.remote.actor_timeout)

    def load(self, snapshot: Snapshot) -> None:
        self._all("load", snapshot)

    def begin(self, frames: int, seam: int) -> None:
        self._all("begin", frames, seam)

    def update(self, hyperparameters: Hyperparameters, lambdas: Sequence[np.ndarray], with_trajectory: bool = False) -> Outcome:
        """Of all columns, those of the first replica first."""
        outcomes = self._all("update", hyperparameters, lambdas, with_trajectory)
        first = outcomes[0]
        if len(outcomes) == 1:
            return first
        episodes = [_moved(e, rank * self._columns) for rank, outcome in enumerate(outcomes) for e in outcome.episodes]
        trajectories = [outcome.trajectory for outcome in outcomes if outcome.trajectory]
        metrics = _together([outcome.metrics for outcome in outcomes])
        return Outcome(first.losses, episodes, metrics, Trajectory.side_by_side(trajectories) if trajectories else None)

    def end(self) -> None:
        self._all("end")

    def close(self) -> None:
        self._undo.close()

    def _all(self, call: str, *arguments: Any) -> list[Any]:
        for other in self._others:
            other.send((call, arguments))
        result = getattr(self.own, call)(*arguments)
        return [result, *(other.receive() for other in self._others)]


class Other:
    """The handle of a replica in a process of its own."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from kickstarting.replicas import main; main({theirs.fileno()}, {rank})"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C reaches the first replica alone
            )

    def send(self, what: object) -> None:
        with contextlib.suppress(OSError):  # it died, as `receive` will say
            self.connection.send_bytes(pickle.dumps(what))

    def receive(self) -> Any:
        """What it says next; raised if it is an exception."""
        try:
            message = self.connection.recv_bytes()
        except (EOFError, OSError):
            code = self._process.wait(PATIENCE)
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            remedy = "resume from the last checkpoint, with more memory if it ran out"
            raise ReplicaError(f"learner {self.rank} {how}; {remedy}") from None
        result = pickle.loads(message) if message else None
        if isinstance(result, BaseException):
            raise result
        return result

    def close(self) -> None:
        self.connection.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def _shared_file(size: int) -> Any:
    """A file of so many bytes, in memory where the system has a place for that; gone at the end, when all have opened it."""
    memory = Path("/dev/shm")
    with tempfile.NamedTemporaryFile(prefix="kickstarting-", dir=memory if os.access(memory, os.W_OK) else None) as file:
        file.truncate(size)
        yield file.name


def _barrier(others: Sequence[Other]) -> None:
    for other in others:
        other.receive()
    for other in others:
        other.connection.send_bytes(b"")


def _moved(episode: Episode, columns: int) -> Episode:
    return episode._replace(column=episode.column + columns)


TOTALS = ("queue", "actors_alive", "restarts", "dropped_unrolls", "lost_unrolls", "frames_per_second")
"""Metrics of a replica that add up over all."""


def _together(metrics: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    names = dict.fromkeys(name for own in metrics for name in own)
    return {name: _of_all(name, [own.get(name) for own in metrics]) for name in names}


def _of_all(name: str, values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    total = sum(known) if name.partition("/")[0] in TOTALS else sum(known) / len(known)
    return max(known) if name == "lag/max" else total


def main(socket: int, rank: int) -> None:
    """One replica, in a process that `Other` started."""
    keep_streams()
    for name in SIGNALS:
        if number := getattr(signal, name, None):
            signal.signal(number, signal.SIG_IGN)  # the first replica decides when to stop
    starter = Connection(socket)
    with contextlib.suppress(EOFError, OSError):  # whoever started it is gone
        _serve(starter, rank)


def _serve(starter: Connection, rank: int) -> None:
    def receive() -> Any:
        return pickle.loads(starter.recv_bytes())

    def barrier() -> None:
        starter.send_bytes(b"")
        starter.recv_bytes()

    sys.path[:], config = receive()
    replica = None
    try:
        replica = Replica(config, rank)
        shared: tuple[int, str, int] = receive()
        replica.learner.join(SharedMemory(rank, *shared, barrier))
        barrier()
        while True:
            call, arguments = receive()
            starter.send_bytes(pickle.dumps(getattr(replica, call)(*arguments)))
    except Exception as error:  # if it is that the starter is gone, nobody hears it
        starter.send_bytes(_pickled(error))
    finally:
        if replica:
            replica.close()


def _pickled(error: Exception) -> bytes:
    try:
        pickle.loads(said := pickle.dumps(error))
        return said
    except Exception:
        return pickle.dumps(ReplicaError(f"{type(error).__name__}: {' '.join(str(error).split())}"))
