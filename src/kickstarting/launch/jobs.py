"""Jobs: work that runs somewhere, can be killed, and goes on. Slices of a population's members and runs of a sweep are jobs.

What is to be done is a record, a `Job`. Where it is done is a `Backend`, as those of `local.py`. Whoever has jobs gives both to
`carried_out`, and knows neither processes nor machines.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from kickstarting.runs.signals import Stop, Stopped

K = TypeVar("K")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Line = dict[str, Any]
"""What a job says while it works: plain data, as a line of metrics."""

WAIT = 1.0
"""Seconds after which a display may move though no job said anything."""


class JobError(RuntimeError):
    """A job failed where it ran; the message holds its name and its last words."""


class Job(Protocol[R_co]):
    """A record that holds all that it needs, or the names of files; it can be pickled, its class stands in a module.

    A job that was killed may be started again: from the files that it left it goes on, without files it does all anew and
    ends the same.
    """

    @property
    def name(self) -> str:
        """For people: member 3, run runs/x."""
        ...

    @property
    def log(self) -> Path | None:
        """Where its output goes if it has a process of its own; None: where that of its starter goes."""
        ...

    def work(self) -> Generator[Line, None, R_co]:
        """Do it: yields its lines as it goes, returns its result. ValueError and RuntimeError are for people to read."""
        ...


class Handle(Protocol[R_co]):
    """A job that was started."""

    def poll(self) -> list[Line]:
        """What it said since the last poll; a backend may keep all of it back until the job ends.

        Raises JobError if it failed or died, or what it raised itself if it works in this process.
        """
        ...

    @property
    def done(self) -> bool:
        """Whether it has ended well; seen by `poll`."""
        ...

    def result(self) -> R_co:
        """Of a job that is done."""
        ...

    def ask_to_stop(self) -> None:
        """Ask it to save what it can and end; `poll` gives what it says on the way, and no longer raises for its end."""
        ...

    @property
    def ended(self) -> bool:
        """Whether it works no more: done, or stopped as it was asked; seen by `poll`."""
        ...

    def stop(self) -> None:
        """End it."""
        ...

    def join(self) -> None:
        """Wait until it has ended, after `stop`."""
        ...


class Backend(Protocol):
    """Where jobs run."""

    @property
    def slots(self) -> int:
        """How many jobs run at a time."""
        ...

    def start(self, job: Job[R]) -> Handle[R]: ...

    def wait(self, seconds: float) -> None:
        """Return when a running job may have something to say, and after `seconds` in any case."""
        ...


def carried_out(
    backend: Backend, jobs: Mapping[K, Job[R]], needs: Mapping[K, Collection[K]] | None = None, stop: Stop | None = None
) -> Generator[list[tuple[K, list[Line], Handle[R]]]]:
    """Carry out all jobs, in their order and as many at a time as there are slots; a job waits for those that it needs.

    Yields, once a second or when something was said, for every running job its key, its new lines, and its handle. When a
    job fails, or the iterator is closed (use `contextlib.closing`), the others are stopped. When a signal comes they are asked
    to save, and `Stopped` is raised after their last words.
    """
    waiting, running, needs, asked = dict(jobs), {}, needs or {}, False
    try:
        while waiting or running:
            ready = [key for key in waiting if not any(other in waiting or other in running for other in needs.get(key, ()))]
            if stop and stop.number is not None:
                ready, waiting = [], {}
                for handle in running.values() if not asked else ():
                    handle.ask_to_stop()
                asked = True
            for key in ready[: backend.slots - len(running)]:
                running[key] = backend.start(waiting.pop(key))
            backend.wait(WAIT)
            said = [(key, handle.poll(), handle) for key, handle in running.items()]
            running = {key: handle for key, handle in running.items() if not handle.ended}
            yield said
        if asked and stop and stop.number is not None:
            raise Stopped(stop.number, "stopped")
    finally:
        for handle in running.values():
            handle.stop()
        for handle in running.values():
            handle.join()
