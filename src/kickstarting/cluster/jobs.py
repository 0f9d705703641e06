"""Jobs on a cluster, each a task of Ray: `Backend` of launch/jobs.py. One whose process or node is lost is carried out again."""

from __future__ import annotations

import contextlib
import math
import pickle
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from kickstarting.cluster.config import RemoteConfig
from kickstarting.cluster.connect import DEADLINE, Cluster, in_a_line
from kickstarting.launch.jobs import Job, JobError, Line
from kickstarting.runs.signals import Stopped

R = TypeVar("R")
RETRIES = 10
"""Processes that a job may lose. One that loses more has its own reason."""


@dataclass
class Done:
    """What a job came to where it ran."""

    lines: list[bytes] = field(default_factory=list)
    """Pickled when they were said, since a line may hold what its job goes on changing."""
    result: list[Any] = field(default_factory=list)
    """One, if it came to its end."""
    failed: str = ""


class OnCluster:
    """As many jobs at a time as the cluster has CPUs for; what a job says is heard when it ends. Use as a context.

    A job that writes into a directory needs one that all nodes see. Raises ValueError if there is no such cluster, or it has no
    room for a single job, or a node does not fit.
    """

    def __init__(self, remote: RemoteConfig) -> None:
        self._cluster = Cluster(remote.cluster)
        try:
            parts = 1 + remote.actors + remote.teacher_workers
            what = "a member or run" + f" with its {parts - 1} actors and teacher workers" * (parts > 1)
            most = f"give --actor-cpus of at most {self._cluster.cpus() / parts:.2g}"
            self._cluster.check_cpus(parts * remote.actor_cpus, what, most + ", or fewer --actors" * (parts > 1))
            self._cluster.check_nodes()
        except BaseException:
            self._cluster.close()
            raise
        self.slots = math.floor(self._cluster.cpus() / (parts * remote.actor_cpus) + 1e-9)
        options = {
            "num_cpus": remote.actor_cpus,
            "max_retries": RETRIES,
            "retry_exceptions": False,
            "scheduling_strategy": "SPREAD",
        }
        self._task = self._cluster.ray.remote(carry_out).options(**options)
        self._running: list[Task[Any]] = []

    def __enter__(self) -> OnCluster:
        return self

    def __exit__(self, *error: object) -> None:
        self._cluster.close()

    def start(self, job: Job[R]) -> Task[R]:
        task = Task(job, self._cluster.ray, self._task.remote(pickle.dumps(job), sys.path))
        self._running.append(task)
        return task

    def wait(self, seconds: float) -> None:
        self._running = [task for task in self._running if not task.heard]
        if self._running:
            self._cluster.ray.wait([task.ref for task in self._running], num_returns=1, timeout=seconds)
        else:
            time.sleep(0.05)


class Task(Generic[R]):
    """The handle of a job on a cluster."""

    def __init__(self, job: Job[R], ray: Any, ref: Any) -> None:
        self._job, self._ray, self.ref = job, ray, ref
        self._done = Done()
        self._asked = False
        self.heard = self.ended = False

    def poll(self) -> list[Line]:
        if self.heard:
            self.ended = True
            if not self._done.result and not self._asked:
                log = self._job.log
                raise JobError(f"{self._job.name} failed: {self._done.failed}" + (f"; see {log}" if log else ""))
            return []
        if not self._ray.wait([self.ref], timeout=0)[0]:
            return []
        self.heard = True
        try:
            self._done = self._ray.get(self.ref, timeout=DEADLINE)
        except self._ray.exceptions.RayError as error:
            self._done = Done(failed=in_a_line(error))
        self.ended = bool(self._done.result)
        return [pickle.loads(line) for line in self._done.lines]

    @property
    def done(self) -> bool:
        return self.ended and bool(self._done.result)

    def result(self) -> R:
        return self._done.result[0]

    def ask_to_stop(self) -> None:
        """Ray interrupts the task as Ctrl-C does."""
        self._asked = True
        self._ray.cancel(self.ref, force=False)

    def stop(self) -> None:
        if not self.heard:
            self._ray.cancel(self.ref, force=True)

    def join(self) -> None:
        self._ray.wait([self.ref], timeout=DEADLINE)


def carry_out(job: bytes, paths: Sequence[str]) -> Done:
    """On a node. paths: where the driver finds modules."""
    sys.path += [path for path in paths if path not in sys.path]
    work, done = pickle.loads(job), Done()
    with _output(work.log):
        lines = work.work()
        try:
            while True:
                done.lines.append(pickle.dumps(next(lines)))
        except StopIteration as ended:
            done.result.append(ended.value)
        except Stopped as stopped:
            print(stopped, flush=True)
        except (ValueError, RuntimeError, OSError) as error:
            done.failed = f"error: {error}"
            print(done.failed, flush=True)
    return done


@contextlib.contextmanager
def _output(log: Path | None) -> Iterator[None]:
    """What a job prints goes to its log."""
    if log is None:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        yield
