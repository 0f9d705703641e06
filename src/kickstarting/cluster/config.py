"""What of a run happens on a cluster, as it is configured."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import Annotated, Any

from kickstarting.ranges import COUNT, Declaration, Range, shown

LOCAL, AUTO = "local", "auto"
MOST = 10_000


class Address(Declaration):
    """HOST:PORT, `auto`, `local`, or nothing."""

    def check(self, name: str, value: Any, total_frames: int = 1) -> None:
        if value not in ("", LOCAL, AUTO) and not re.fullmatch(r"[\w.-]+:[0-9]{1,5}|\[[0-9a-fA-F:]+\]:[0-9]{1,5}", value):
            raise ValueError(f"{name} is {shown(value)}; it must be HOST:PORT, auto for the cluster of this machine, or local")


@dataclass(frozen=True)
class RemoteConfig:
    """What of a run happens on a cluster (docs/cluster.md)."""

    cluster: Annotated[str, Address()] = ""
    """Ray cluster to work on: HOST:PORT; auto, which is the one that this machine belongs to; or local, one of this machine alone
    that begins and ends with the command, which is what --actors takes unless this is given."""
    actors: Annotated[int, Range(0, MOST)] = 0
    """Actors on the cluster, each in a process of its own with an equal share of every task's environments. 0 acts in the learner's
    own process."""
    actor_cpus: Annotated[float, Range(0, 1024, low_open=True)] = 1.0
    """CPUs that the cluster keeps for each actor, teacher worker, and member or run of many. An actor's torch has as many threads,
    at least one."""
    in_flight: Annotated[int, Range(1, 100)] = 2
    """Unrolls of each actor that are under way, or wait for the learner, at most."""
    batch_unrolls: Annotated[int, Range(0, MOST)] = 0
    """Unrolls that the learner steps on at once, the oldest ones, whoever made them. 0 is as many as there are actors."""
    max_lag: Annotated[int, Range(0, 10**6)] = 0
    """Updates by which the policy that acted may be behind the learner's. An unroll of an older one is dropped, and counted. 0
    drops none."""
    publish_every: Annotated[int, COUNT] = 1
    """Updates after which the actors get new weights."""
    lockstep: bool = False
    """Wait for an unroll of every actor before each update, and act with the weights of that moment, so that a run is a function of
    its configuration. With one actor it is the run without a cluster, bit for bit."""
    actor_timeout: Annotated[float, Range(1, 10**9)] = 300.0
    """Seconds without an unroll after which an actor counts as stuck: where it stands is said, and another one takes its place. An
    unroll must take less."""
    teacher_workers: Annotated[int, Range(0, MOST)] = 0
    """Processes on the cluster that ask the teachers, each about its share of the actors. 0 asks them in the learner's process."""

    def check(self, learners: int, overlap: bool, histories: bool, teachers: bool) -> None:
        """Raise ValueError, with the remedy, for what cannot work together."""
        if not self.actors:
            if given := [f.name for f in fields(self) if f.name in NEED_ACTORS and getattr(self, f.name) != f.default]:
                raise ValueError(f"{given[0]} is {getattr(self, given[0])}, but actors is 0; give --actors N, or leave it out")
            return
        if overlap:
            raise ValueError(
                f"overlap is set, and actors is {self.actors}: these act beside the learner anyway; leave one of them out"
            )
        if histories and not self.lockstep:
            raise ValueError(
                f"record_histories is set, and actors is {self.actors}: a history has its place in every batch only in lockstep; "
                "give --lockstep, too"
            )
        for name, value in (("actors", self.actors), ("batch_unrolls", self.unrolls)):
            if value % learners:
                raise ValueError(f"{name} is {value}; learners, which is {learners}, must divide it evenly")
        if self.unrolls > self.actors * self.in_flight and not self.lockstep:
            raise ValueError(
                f"batch_unrolls is {self.unrolls}, but {self.actors} actors with {self.in_flight} unrolls in flight each have at "
                f"most {self.actors * self.in_flight}; lower it, or raise --in-flight"
            )
        if self.lockstep and self.unrolls != self.actors:
            raise ValueError(
                f"batch_unrolls is {self.unrolls}; in lockstep it is the number of actors, {self.actors}: leave it out"
            )
        if 0 < self.max_lag < self.structural_lag:
            raise ValueError(f"max_lag is {self.max_lag}, below {self.structural_in_words}; raise it, or lower --in-flight")
        if self.teacher_workers and not teachers:
            raise ValueError(f"teacher_workers is {self.teacher_workers}, but there is no teacher; give --teacher, or leave it out")

    @property
    def unrolls(self) -> int:
        """Of a batch."""
        return self.batch_unrolls or self.actors

    @property
    def structural_lag(self) -> int:
        """Updates between the weights of an unroll and the step on it if nothing is slow."""
        ahead = 0 if self.lockstep else math.ceil(self.actors * self.in_flight / self.unrolls)
        return ahead + self.publish_every - 1

    @property
    def structural_in_words(self) -> str:
        ahead = (
            "0 in lockstep" if self.lockstep else f"{self.actors} actors * {self.in_flight} in flight / {self.unrolls} in a batch"
        )
        return f"the {self.structural_lag} updates that this run has anyway ({ahead} + publish_every {self.publish_every} - 1)"


NEED_ACTORS = ("in_flight", "batch_unrolls", "max_lag", "publish_every", "lockstep", "teacher_workers")
"""Settings that say something of actors only."""
