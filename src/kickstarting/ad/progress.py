"""How far a long command is, and when it ends: a line that moves on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status

from kickstarting.console import literal, say

PLAIN_EVERY = 10.0
"""Seconds between plain lines."""


class Progress:
    """Says `what: done of total unit, time left`, and what else is known."""

    def __init__(self, console: Console, what: str, unit: str, status: Status | None) -> None:
        self._console, self._what, self._unit, self._status = console, what, unit, status
        self._first: tuple[float, int] | None = None
        self._said = time.monotonic()

    def __call__(self, done: int, total: int, more: str = "") -> None:
        now = time.monotonic()
        self._first = self._first or (now, done)
        text = f"{self._what}: {done:,} of {total:,} {self._unit}{f'  {more}' if more else ''}{self._left(now, done, total)}"
        if self._status:
            self._status.update(literal(text))
        elif now - self._said >= PLAIN_EVERY:
            self._said = now
            say(self._console, text)

    def _left(self, now: float, done: int, total: int) -> str:
        assert self._first
        since, before = now - self._first[0], done - self._first[1]
        return f"  left {clock(since / before * (total - done))}" if before > 0 and done < total else ""


def clock(seconds: float) -> str:
    """H:MM:SS."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


@contextmanager
def shown(console: Console, what: str, unit: str) -> Iterator[Progress]:
    """A progress that is shown as long as the block lasts."""
    if console.is_terminal:
        with console.status(literal(f"{what} ..."), spinner="line") as status:
            yield Progress(console, what, unit, status)
    else:
        yield Progress(console, what, unit, None)
