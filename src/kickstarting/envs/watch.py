"""Environments that do not answer: found by a thread that looks at the clock, named with the stack of where Python stands."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
import weakref
from types import FrameType, TracebackType
from typing import Any

from kickstarting.envs.protocol import EnvironmentFault

TIMEOUT = 300.0
"""Seconds."""
GRACE = 10.0
"""Seconds in which a thread must react to the fault that is raised in it; C++ code does not."""
PATIENCE = 60.0
"""Seconds, at least, in which the main thread must take notice of another thread's fault."""


class Watch:
    """Looks how long calls into environments take: `with watch: env.step(...)`. limit: seconds, 0 for no watch.

    A call of the main thread that takes longer is interrupted by an EnvironmentFault (through SIGALRM, whose handler is ours
    while a watch is open). Another thread cannot be interrupted: `fault` is there for the main thread to `raise_fault`. Where
    that does not help, since C++ code hangs, message and stack go to stderr and the process ends with exit code 1.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.task = ""
        """What is watched."""
        self.fault: EnvironmentFault | None = None
        self._taken = False
        self._calls, self._thread = 0, 0
        if limit > 0:
            _OPEN.add(self)
            _install()
            interval = min(1.0, limit / 20)
            threading.Thread(target=_look, args=(weakref.ref(self), interval), name="watch", daemon=True).start()

    def __enter__(self) -> None:
        if self.fault:
            raise self.fault
        self._calls += 1
        self._thread = threading.get_ident()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._thread = 0

    def raise_fault(self) -> None:
        """Raise what another thread's call came to, if it hangs."""
        if self.fault:
            self._taken = True
            raise self.fault

    def close(self) -> None:
        _OPEN.discard(self)
        _restore()

    def _judge(self, waited: float) -> bool:
        """Do what is to be done about a call that has taken `waited` seconds; whether there is nothing left to wait for."""
        if self.fault is None and waited > self.limit:
            self.fault = self._describe()
            if _is_main(self._thread) and signal.getsignal(signal.SIGALRM) is _interrupt:
                signal.pthread_kill(self._thread, signal.SIGALRM)
        rest = GRACE if _is_main(self._thread) else max(PATIENCE, self.limit)
        return not self._taken and waited > self.limit + rest

    def _describe(self) -> EnvironmentFault:
        frame = sys._current_frames().get(self._thread)
        stack = "".join(traceback.format_stack(frame)) if frame else ""
        fault = EnvironmentFault(
            f"it has not answered for {self.limit:g} seconds",
            "give --environment-timeout more seconds if it is only slow, or 0 to wait forever",
        )
        fault.task = self.task
        fault.add_note(f"Python stands at (most recent call last):\n{stack}")
        return fault


_OPEN: weakref.WeakSet[Watch] = weakref.WeakSet()
_before: Any = None
"""The handler of SIGALRM before ours; None where ours is not in place."""


def _look(reference: weakref.ref[Watch], interval: float) -> None:
    """Counts its own ticks, so that a process that was stopped for an hour has not waited for an hour."""
    calls, waited = -1, 0.0
    while True:
        time.sleep(interval)
        watch = reference()
        if watch is None or watch not in _OPEN:
            return
        if not watch._thread or watch._calls != calls:
            calls, waited = watch._calls, 0.0
        else:
            waited += interval
            if watch._judge(waited) and watch._thread and watch._calls == calls:
                _end(watch.fault)
        del watch


def _end(fault: EnvironmentFault | None) -> None:
    print(
        f"error: {fault}; nothing but the end of the process stops it", *getattr(fault, "__notes__", ()), sep="\n", file=sys.stderr
    )
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(1)


def _is_main(thread: int) -> bool:
    return thread == threading.main_thread().ident


def _install() -> None:
    global _before
    if _before is None and threading.current_thread() is threading.main_thread():
        _before = signal.signal(signal.SIGALRM, _interrupt) or signal.SIG_DFL


def _restore() -> None:
    global _before
    if not _OPEN and _before is not None and threading.current_thread() is threading.main_thread():
        if signal.getsignal(signal.SIGALRM) is _interrupt:
            signal.signal(signal.SIGALRM, _before)
        _before = None


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise the fault of the main thread's call, if it is still under way; what is not ours is passed on."""
    faults = [watch for watch in _OPEN if watch.fault]
    for watch in faults:
        if watch.fault and _is_main(watch._thread):
            raise watch.fault
    if not faults and callable(_before):
        _before(number, frame)
