"""Jobs on this machine: one after the other in this process, or each in a process of its own."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from multiprocessing import connection
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import IO, Any, Generic, TypeVar, cast

from kickstarting.console import keep_streams
from kickstarting.launch.jobs import Job, JobError, Line
from kickstarting.runs.signals import Stopped, listening

R = TypeVar("R")
PATIENCE = 60.0
"""Seconds that a job has to save and end when it is stopped."""


class InProcess:
    """One job after the other in this process; a poll works until the job says something. What a job raises is raised here."""

    slots = 1

    def start(self, job: Job[R]) -> Working[R]:
        return Working(job.work())

    def wait(self, seconds: float) -> None:
        """Not at all: a poll is the work."""


class Working(Generic[R]):
    """The handle of a job in this process."""

    def __init__(self, work: Generator[Line, None, R]) -> None:
        self._work = work
        self._result: list[R] = []

    def poll(self) -> list[Line]:
        try:
            return [next(self._work)]
        except StopIteration as ended:
            self._result = [ended.value]
            return []

    @property
    def done(self) -> bool:
        return bool(self._result)

    def result(self) -> R:
        return self._result[0]

    @property
    def ended(self) -> bool:
        return self.done

    def ask_to_stop(self) -> None:
        """It is this process that the signal came to: the job hears it itself."""

    def stop(self) -> None:
        self._work.close()

    def join(self) -> None:
        """It ended with `stop`."""


class Processes:
    """Each job in a process of its own, so many at a time. A process ends with the one that started it, however that ends."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._speaking: list[Child[Any]] = []

    def start(self, job: Job[R]) -> Child[R]:
        child = Child(job)
        self._speaking.append(child)
        return child

    def wait(self, seconds: float) -> None:
        self._speaking = [child for child in self._speaking if not child.silent]
        if self._speaking:
            connection.wait([child.connection for child in self._speaking], seconds)
        else:
            time.sleep(0.05)  # until they have ended


class Child(Generic[R]):
    """The handle of a job in a process of its own: `python -m kickstarting.launch.local`, joined to this one by a socket."""

    def __init__(self, job: Job[R]) -> None:
        self._job = job
        self._result: list[R] = []
        self._ended = self._asked = False
        self.silent = False
        """Whether its end of the socket is closed."""
        self.connection, theirs = Pipe()
        with theirs, _appending(job.log) as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kickstarting.launch.local", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT if log else None,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C reaches its starter alone, which asks it to stop
            )
        with contextlib.suppress(OSError):  # it died at once, as `poll` will say
            _send(self.connection, job)

    def poll(self) -> list[Line]:
        ended = self._process.poll() is not None  # asked first: what it said is then all there
        lines = self._heard()
        if ended and not self._ended:
            self._ended = True
            self.connection.close()
            if (self._process.returncode or not self._result) and not self._asked:
                raise JobError(self._last_words())
        return lines

    @property
    def done(self) -> bool:
        return self._ended and bool(self._result)

    @property
    def ended(self) -> bool:
        return self._ended

    def result(self) -> R:
        return self._result[0]

    def ask_to_stop(self) -> None:
        self._asked = True
        self._process.terminate()

    def stop(self) -> None:
        self._process.terminate()

    def join(self) -> None:
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.connection.close()

    def _heard(self) -> list[Line]:
        lines = []
        try:
            while not self.silent and self.connection.poll():
                kind, value = _receive(self.connection)
                if kind == "line":
                    lines.append(value)
                else:
                    self._result = [value]
        except (EOFError, OSError):
            self.silent = True
        return lines

    def _last_words(self) -> str:
        log = self._job.log
        words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log else []
        said = words[-1] if words else f"exit {self._process.returncode}"
        return f"{self._job.name} failed: {said}" + (f"; see {log}" if log else "")


def _send(to: Connection, what: object) -> None:
    """By value. A connection's own `send` shares tensors by handles, which only a child of multiprocessing may open."""
    to.send_bytes(pickle.dumps(what))


def _receive(sender: Connection) -> Any:
    return pickle.loads(sender.recv_bytes())


@contextlib.contextmanager
def _appending(log: Path | None) -> Iterator[IO[str] | None]:
    if log is None:
        yield None
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        yield file


def main() -> None:
    """One job, in a process that `Child` started."""
    keep_streams()
    starter = Connection(int(sys.argv[1]))
    job = cast(Job[Any], _receive(starter))

    def end_with_starter() -> None:
        """A job that outlived its starter would write over the one that takes its place."""
        with contextlib.suppress(EOFError, OSError):
            starter.recv_bytes()
        os._exit(1)

    threading.Thread(target=end_with_starter, daemon=True).start()
    work = job.work()
    try:
        with listening():
            while True:
                _send(starter, ("line", next(work)))
    except StopIteration as ended:
        _send(starter, ("result", ended.value))
    except Stopped as stopped:
        print(stopped, flush=True)
        sys.exit(stopped.code)
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
