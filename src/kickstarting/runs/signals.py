"""Signals that ask a run to stop: it saves at the next update, says how to go on, and exits with 128 + the signal.

SIGTERM and SIGUSR1 come from schedulers, SIGINT from Ctrl-C, SIGHUP from a terminal that was closed. A second one does not wait.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP")


class Stopped(SystemExit):
    """Work ended because a signal asked for it."""

    def __init__(self, number: int, what: str, how: str = "") -> None:
        super().__init__(128 + number)
        self.number, self.what, self.how = number, what, how

    def __str__(self) -> str:
        return f"{self.what} on {signal.Signals(self.number).name}" + (f"; go on with `{self.how}`" if self.how else "")


class Stop:
    """What was asked of this process."""

    def __init__(self) -> None:
        self.number: int | None = None
        """Of the signal that came; None as long as none did."""
        self._waits = 0

    @contextmanager
    def at_a_good_moment(self) -> Iterator[None]:
        """Within, a first signal only sets `number`, and whoever works looks at it when it can save. Without, it ends the work."""
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1

    def came(self, number: int, frame: FrameType | None) -> None:
        """The handler."""
        again, self.number = self.number is not None, number
        if again or not self._waits:
            raise Stopped(number, "stopped")


_stop: Stop | None = None


@contextmanager
def listening() -> Iterator[Stop]:
    """Listen to the signals; one listener serves the whole process. In a thread that is not the main one nothing is heard, and
    what the process ignores, as under nohup, stays ignored."""
    global _stop
    if _stop is not None or threading.current_thread() is not threading.main_thread():
        yield _stop or Stop()
        return
    _stop = Stop()
    before = {}
    for name in SIGNALS:
        number = getattr(signal, name, None)  # Windows lacks some
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, _stop.came)
    try:
        yield _stop
    finally:
        _stop = None
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


@contextmanager
def resumed_by(command: str) -> Iterator[None]:
    """Let a `Stopped` from within say that this command goes on."""
    try:
        yield
    except Stopped as stopped:
        raise Stopped(stopped.number, stopped.what, command) from stopped
