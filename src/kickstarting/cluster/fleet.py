"""What a learner has on a cluster: its actors, the places that their unrolls have in a batch, and what was lost so far."""

from __future__ import annotations

import sys
from typing import Any

from kickstarting.cluster.connect import Cluster
from kickstarting.cluster.crew import Crew
from kickstarting.cluster.events import Said
from kickstarting.cluster.labels import LabelsByActor
from kickstarting.cluster.remote import RemoteActor
from kickstarting.cluster.slots import Slots
from kickstarting.cluster.teachers import TeacherWorkers
from kickstarting.cluster.transport import unroll_bytes
from kickstarting.config import Config
from kickstarting.envs import TaskSpaces
from kickstarting.machine import memory_bytes
from kickstarting.suites import Suite
from kickstarting.teachers import Teachers

SMALLEST_STORE = 128e6
"""Bytes of the object store of a cluster that is begun here."""


class Fleet:
    """The actors of one learner. rank: which of the run's learners that is.

    Raises ValueError if there is no such cluster, or it is too small, or a node does not fit.
    """

    def __init__(self, config: Config, suite: Suite, spaces: TaskSpaces, rank: int, said: Said) -> None:
        self.config, self.remote, self._said = config, config.remote, said
        self._workers: TeacherWorkers | None = None
        learners, repeats = config.machine.num_learners, sum(task.action_repeat for task in suite.tasks)
        self.slots = Slots(self.remote.unrolls // learners, spaces.task_of_column(config.envs_each, config.machine.env_groups))
        self.frames_per_unroll = config.learning.unroll_length * config.envs_each * repeats
        self.lost_unrolls = self.dropped_unrolls = 0
        self.generation = 0
        """Which stretch between two checkpoints this is: what an actor still says of an earlier one is not heard."""
        self.updates = 0
        """Of the learner, since the fleet began."""
        unrolls = (1 + 2 * self.remote.in_flight) * self.remote.actors
        store = min(0.3 * memory_bytes(), max(SMALLEST_STORE, 2 * unrolls * unroll_bytes(config, spaces)))
        self.cluster = Cluster(self.remote.cluster, int(store))
        try:
            if rank == 0:
                self._check()
            self._class, own = self.cluster.ray.remote(RemoteActor), self.remote.actors // learners
            numbers = range(rank * own, (rank + 1) * own)
            self.crew = Crew(self.cluster, "actor", numbers, self._make, self.remote.actor_timeout, said)
        except BaseException:
            self.cluster.close()
            raise

    def labels(self, teachers: Teachers) -> LabelsByActor | TeacherWorkers:
        """Who labels the batches: these teachers, of one actor's columns, or workers that have loaded the same."""
        if self.remote.teacher_workers:
            self._workers = TeacherWorkers(self.config, self.cluster, self.slots, self._said)
            return self._workers
        return LabelsByActor(teachers, self.slots)

    def close(self) -> None:
        """End the actors, and a cluster that was begun for them."""
        if self._workers:
            self._workers.close()
        self.crew.close()
        self.cluster.close()

    def _make(self, number: int) -> Any:
        options = {"num_cpus": self.remote.actor_cpus, "max_restarts": 0, "max_task_retries": 0, "scheduling_strategy": "SPREAD"}
        actor = self._class.options(**options)
        return actor.remote(number, self.config, sys.path, self.remote.actor_timeout)

    def _check(self) -> None:
        actors, workers, each = self.remote.actors, self.remote.teacher_workers, self.remote.actor_cpus
        what = f"{actors} actors" + f" and {workers} teacher workers" * bool(workers) + f" of {each:g} CPUs each"
        most = self.cluster.cpus() / (actors + workers)
        self.cluster.check_cpus((actors + workers) * each, what, f"give fewer --actors, or --actor-cpus of at most {most:.2g}")
        self.cluster.check_nodes()
