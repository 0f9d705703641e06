"""Schedules: frames -> value. For lambda (Schmitt et al. 2018, section 5.1.1), learning rate and entropy cost alike.

One class for each kind; how it is written (`parsing.py` reads it), with a horizon in frames or as a share of the run:

    0.5                               constant
    step:0:1:5%                       0 for a twentieth of the run, then 1
    linear:1:0:20%                    from 1 to 0 over the first fifth of the run, then 0
    cosine:1:0:20%                    the same end points along half a cosine
    exponential:1:10%[:FLOOR]         halves every tenth of the run
    progress:1[:HORIZON]              falls as the student's score approaches the teacher's; 0 from HORIZON on
    evidence:1[:RELEASE[:HORIZON]]    falls to 0 over RELEASE frames in which the student is as good as its teacher; 0 from
                                      HORIZON on whatever it is (10% and 60% unless given)
    piecewise:0=SCHEDULE;5%=SCHEDULE  one schedule after the other, each from its frames on, as a population evolves them
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, ClassVar

import numpy as np

Value = float | np.ndarray
IN_FRAMES = ("horizon", "release")
"""Fields that are frames; the others are values."""


class Schedule(ABC):
    """A value of time and, if it `uses_progress`, of how far the student has come. Its fields are in the order of the text."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    start: float
    horizon: float
    """Frames until it stands still, or has halved if it is exponential; inf if there is no such moment."""

    @abstractmethod
    def at(self, frames: int, progress: Value = 0.0) -> Value:
        """The value after `frames` frames.

        progress: how far the student is from random (0) to its teacher (1) or, for `Evidence`, through its release; one
        number or one for each task; the value has its shape. Other kinds do not read it.
        """

    @property
    def parts(self) -> tuple[Schedule, ...]:
        """Itself, or the pieces of a piecewise one."""
        return (self,)

    def now(self, frames: int) -> Schedule:
        """Itself, or the piece that holds after `frames` frames."""
        return self

    @property
    def uses_progress(self) -> bool:
        """Whether the teacher's score must be known."""
        return any(isinstance(part, Progress | Evidence) for part in self.parts)

    @property
    def lowest(self) -> float:
        return min(end for part in self.parts for end in part._ends())

    @property
    def highest(self) -> float:
        return max(end for part in self.parts for end in part._ends())

    def scaled(self, factor: float, horizon: float | None = None) -> Schedule:
        """The same shape with `factor` times its values, over `horizon` frames instead of its own, if it has one."""
        scaled = self.changed(values=lambda value: value * factor)
        return scaled if horizon is None or "horizon" not in self._numbers() else replace(scaled, horizon=horizon)

    def changed(self, values: Callable[[float], float] = float, frames: Callable[[float], float] = float) -> Schedule:
        """With each of its values and all that is frames changed: `frames=lambda x: 2 * x` stretches it."""
        numbers = self._numbers().items()
        return replace(self, **{name: frames(x) if name in IN_FRAMES else values(x) for name, x in numbers if math.isfinite(x)})

    @property
    def spec(self) -> str:
        """The text from which `parse_schedule` makes an equal schedule, in frames; defaults at its end are left out."""
        defaults = {f.name: f.default for f in fields(self)}
        numbers = [repr(x) for name, x in self._numbers().items() if x != defaults[name]]
        return ":".join([type(self).__name__.lower(), *numbers])

    def _numbers(self) -> dict[str, float]:
        return {f.name: getattr(self, f.name) for f in fields(self) if f.init}

    def _ends(self) -> list[float]:
        """What its values lie between."""
        values = [x for name, x in self._numbers().items() if name not in IN_FRAMES]
        return [*values, 0.0] if self.uses_progress else values

    def _passed(self, frames: int) -> float:
        """The share of the horizon that has passed."""
        return min(frames / self.horizon, 1.0)


@dataclass(frozen=True)
class Constant(Schedule):
    """The same value throughout."""

    start: float
    horizon: float = field(default=math.inf, init=False)

    def at(self, frames: int, progress: Value = 0.0) -> Value:
        return self.start


@dataclass(frozen=True)
class _FromTo(Schedule):
    start: float
    end: float
    horizon: float


class Step(_FromTo):
    """`start` before the horizon, `end` from it on."""

    def at(self, frames: int, progress: Value = 0.0) -> Value:
        return self.start if self._passed(frames) < 1.0 else self.end


class Linear(_FromTo):
    """A straight line from `start` to `end`."""

    def at(self, frames: int, progress: Value = 0.0) -> Value:
        return self.start + (self.end - self.start) * self._passed(frames)


class Cosine(_FromTo):
    """Half a wave of the cosine from `start` to `end`."""

    def at(self, frames: int, progress: Value = 0.0) -> Value:
        return self.end + (self.start - self.end) * 0.5 * (1.0 + math.cos(math.pi * self._passed(frames)))


@dataclass(frozen=True)
class Exponential(Schedule):
    """Halves with every horizon, and stays at the floor."""

    start: float
    horizon: float
    floor: float = 0.0

    def at(self, frames: int, progress: Value = 0.0) -> Value:
        return max(self.floor, self.start * 0.5 ** (frames / self.horizon))


@dataclass(frozen=True)
class Progress(Schedule):
    """Falls with the student's progress from random to its teacher, and is 0 from the horizon on."""

    start: float
    horizon: float = math.inf

    def at(self, frames: int, progress: Value = 0.0) -> Value:
        return self.start * np.clip(1.0 - np.asarray(progress), 0.0, 1.0) * (self._passed(frames) < 1.0)


@dataclass(frozen=True)
class Evidence(Schedule):
    """Falls while the student is as good as its teacher: `progress` is the share of `release` for which it was."""

    start: float
    release: float = field(metadata={"unless given": "10%"})
    """Frames of being as good as the teacher that set the student free."""
    horizon: float = field(metadata={"unless given": "60%"})

    def at(self, frames: int, progress: Value = 0.0) -> Value:
        late = 2.0 * (1.0 - self._passed(frames))  # the horizon comes slowly: over its second half
        return self.start * np.clip(np.minimum(1.0 - np.asarray(progress), late), 0.0, 1.0)


@dataclass(frozen=True)
class Piecewise(Schedule):
    """One schedule after another. Raises ValueError unless the pieces begin at 0 frames and rise."""

    pieces: tuple[tuple[float, Schedule], ...]
    """(frames, schedule): each holds from its frames on, and counts from the start of the run as all do."""
    start: float = field(init=False)
    horizon: float = field(default=math.inf, init=False)

    def __post_init__(self) -> None:
        since = [frames for frames, _ in self.pieces]
        if since[0] != 0 or since != sorted(set(since)):
            raise ValueError(f"it begins at {since[0]:g} frames, not at 0" if since[0] else "its frames do not rise")
        object.__setattr__(self, "start", self.pieces[0][1].start)

    def at(self, frames: int, progress: Value = 0.0) -> Value:
        return self.now(frames).at(frames, progress)

    @property
    def parts(self) -> tuple[Schedule, ...]:
        return tuple(part for _, part in self.pieces)

    def now(self, frames: int) -> Schedule:
        return next((part for since, part in reversed(self.pieces) if since <= frames), self.parts[0])

    def changed(self, values: Callable[[float], float] = float, frames: Callable[[float], float] = float) -> Schedule:
        return Piecewise(tuple((since and frames(since), part.changed(values, frames)) for since, part in self.pieces))

    @property
    def spec(self) -> str:
        return f"piecewise:{';'.join(f'{since!r}={part.spec}' for since, part in self.pieces)}"
