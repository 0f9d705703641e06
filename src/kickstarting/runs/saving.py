"""When a run saves. A checkpoint is a seam, where the environments restart, so this is a part of what determines a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from kickstarting.runs.signals import Stop

MINUTES = 10.0
"""What a killed run may lose."""
MEASURED = 20.0
"""Seconds of training, after the first update, from which the distance of checkpoints is chosen."""


class Saving:
    """Asked after every update: at multiples of `every` frames, at the frames `at`, and when a signal came.

    every: None chooses what takes about ten minutes, from the first seconds of training, and says it to `decided`.
    """

    def __init__(
        self,
        every: int | None,
        at: Sequence[int] = (),
        *,
        stop: Stop | None = None,
        decided: Callable[[int], None] | None = None,
    ) -> None:
        self.every = every
        self._at = tuple(at)
        self._stop = stop
        self._decided = decided
        self._since: tuple[float, int] | None = None

    def __call__(self, before: int, frames: int) -> bool:
        """Whether an update that led from `before` to `frames` ends with a checkpoint."""
        if self.every is None:
            self._measure(frames)
        crossed = self.every is not None and before // self.every < frames // self.every
        asked = self._stop is not None and self._stop.number is not None
        return crossed or asked or any(before < x <= frames for x in self._at)

    def _measure(self, frames: int) -> None:
        now = time.monotonic()
        if self._since is None:
            self._since = now, frames
        elif now - self._since[0] > MEASURED:
            self.every = ten_minutes((frames - self._since[1]) / (now - self._since[0]))
            if self._decided:
                self._decided(self.every)


def ten_minutes(frames_per_second: float) -> int:
    """At most ten minutes in frames, as 1, 2 or 5 times a power of ten: two runs that are about as fast save at the same frames,
    and only then they can be equal."""
    most, power = max(1.0, 60 * MINUTES * frames_per_second), 1
    while 10 * power <= most:
        power *= 10
    return max(n for n in (1, 2, 5) if n * power <= most) * power
