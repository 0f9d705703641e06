"""The other learners of a run, each a replica in a process of its own somewhere on the cluster."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from kickstarting.cluster.connect import DEADLINE, Cluster, engine, in_a_line
from kickstarting.cluster.events import Event, Said
from kickstarting.cluster.gloo import Gloo, free_port
from kickstarting.cluster.remote import Observed
from kickstarting.config import Config
from kickstarting.ranks import ReplicaError
from kickstarting.replica import Replica


class RemoteReplica(Observed):
    """The process: a replica, and what happened to its actors since it last answered."""

    def __init__(self, rank: int, config: Config, paths: Sequence[str], patience: float) -> None:
        super().__init__(paths, patience)
        self._rank, self._config = rank, config
        self._events: list[Event] = []

    def build(self) -> None:
        self._replica = Replica(self._config, self._rank, self._events.append)

    def join(self, size: int, meeting: tuple[str, int]) -> None:
        self._replica.learner.join(Gloo(self._rank, size, meeting, own_host(), self._patience))

    def call(self, method: str, arguments: Sequence[Any]) -> tuple[Any, list[Event]]:
        with self.watched():
            result = getattr(self._replica, method)(*arguments)
        events, self._events[:] = list(self._events), []
        return result, events

    def close(self) -> None:
        self._replica.close()


class FarReplica:
    """The handle of one: what is sent is a call, and `receive` gives its result, or raises what it raised."""

    def __init__(self, rank: int, config: Config, cluster: Cluster, said: Said) -> None:
        self._ray, self._said, self._name = cluster.ray, said, f"learner {rank}"
        self._patience = 3 * config.remote.actor_timeout  # its actors may be replaced meanwhile
        options = {"num_cpus": config.machine.threads_each(), "max_restarts": 0, "max_task_retries": 0}
        replica = cluster.ray.remote(RemoteReplica).options(**options, scheduling_strategy="SPREAD")
        self._process = replica.remote(rank, config, sys.path, self._patience)
        self._answer = self._process.build.remote()

    def join(self, size: int, meeting: tuple[str, int]) -> None:
        self._get()
        self._answer = self._process.join.remote(size, meeting)

    def joined(self) -> None:
        self._get()

    def send(self, what: tuple[str, Sequence[Any]]) -> None:
        self._answer = self._process.call.remote(*what)

    def receive(self) -> Any:
        result, events = self._get()
        for event in events:
            self._said(event)
        return result

    def close(self) -> None:
        if self._ray.is_initialized():
            self._ray.wait([self._process.close.remote()], timeout=DEADLINE)
            self._ray.kill(self._process, no_restart=True)

    def _get(self) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(self._answer, timeout=self._patience)
        except errors.RayTaskError as error:
            raise error.cause from error
        except errors.RayError as error:
            raise ReplicaError(f"{self._name} is lost: {in_a_line(error)}; resume from the last checkpoint") from error


def join_all(own: Replica, others: Sequence[FarReplica], seconds: float) -> None:
    """Let a replica in this process and others step as one."""
    host = own_host()
    meeting, size = (host, free_port(host)), len(others) + 1
    for other in others:
        other.join(size, meeting)
    own.learner.join(Gloo(0, size, meeting, host, seconds))
    for other in others:
        other.joined()


def own_host() -> str:
    """This node's address, by which others reach it."""
    return engine().util.get_node_ip_address()
