"""Schedules: frames -> value. For lambda (Schmitt et al. 2018, section 5.1.1), learning rate and entropy cost alike.

A schedule is written NAME:NUMBER:...; a horizon is in frames (2e6, 1.5M) or a share of the run (20%):

    0.5                               constant
    constant:1
    step:0:1:5%                       0 for a twentieth of the run, then 1
    linear:1:0:20%                    from 1 to 0 over the first fifth of the run, then 0
    cosine:1:0:20%                    the same end points along half a cosine
    exponential:1:10%[:FLOOR]         halves every tenth of the run
    progress:1[:HORIZON]              falls as the student's score approaches the teacher's; 0 from HORIZON on
    evidence:1[:RELEASE[:HORIZON]]    falls to 0 over RELEASE frames in which the student is as good as its teacher; 0 from
                                      HORIZON on whatever it is (10% and 60% unless given)

`stretches` is the kind of a schedule that a population evolved: one schedule after the other, from a file.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, replace

import numpy as np

Value = float | np.ndarray


@dataclass(frozen=True)
class Schedule:
    """A value of time and, for `progress` and `evidence`, of how far the student has come."""

    spec: str
    kind: str
    start: float
    end: float = 0.0
    horizon: float = math.inf
    release: float = math.inf
    """Of the kind `evidence`: frames of being as good as the teacher that set the student free."""
    stretches: tuple[tuple[float, Schedule], ...] = ()
    """(frames, schedule) of the kind `stretches`, rising in frames; each schedule holds from its frames on."""

    def at(self, frames: int, progress: Value = 0.0) -> Value:
        """The value after `frames` frames.

        progress: how far the student is from random (0) to its teacher (1) or, for `evidence`, through its release; one
        number or one for each task; the value has its shape. Other kinds do not read it.
        """
        x = min(frames / self.horizon, 1.0)
        match self.kind:
            case "step":
                return self.start if x < 1.0 else self.end
            case "linear":
                return self.start + (self.end - self.start) * x
            case "cosine":
                return self.end + (self.start - self.end) * 0.5 * (1.0 + math.cos(math.pi * x))
            case "exponential":
                return max(self.end, self.start * 0.5 ** (frames / self.horizon))
            case "progress":
                return self.start * np.clip(1.0 - np.asarray(progress), 0.0, 1.0) * (x < 1.0)
            case "evidence":  # the horizon comes slowly: over its second half
                return self.start * np.clip(np.minimum(1.0 - np.asarray(progress), 2.0 * (1.0 - x)), 0.0, 1.0)
            case "stretches":
                return self.now(frames).at(frames, progress)
            case _:
                return self.start

    @property
    def uses_progress(self) -> bool:
        """Whether the teacher's score must be known."""
        return any(part.kind in ("progress", "evidence") for part in self.parts)

    @property
    def parts(self) -> tuple[Schedule, ...]:
        """Itself, or the stretches of an evolved one."""
        return tuple(part for _, part in self.stretches) or (self,)

    def now(self, frames: int) -> Schedule:
        """The schedule that holds at the moment: a stretch of an evolved one, or itself."""
        return next((part for since, part in reversed(self.stretches) if since <= frames), self)

    def scaled(self, factor: float, horizon: float | None = None) -> Schedule:
        """The same shape with `factor` times its values, over `horizon` frames instead of its own if one is given."""
        start, end = self.start * factor, self.end * factor
        horizon = self.horizon if horizon is None or self.kind == "constant" else horizon
        numbers = {
            "constant": [start],
            "progress": [start, horizon],
            "evidence": [start, self.release, horizon],
            "exponential": [start, horizon, end],
        }
        written = [repr(x) for x in numbers.get(self.kind, [start, end, horizon]) if math.isfinite(x)]
        return replace(self, spec=":".join([self.kind, *written]), start=start, end=end, horizon=horizon)


EVIDENCE = ("10%", "60%")
"""Release and horizon of the kind `evidence` unless given."""

_ARGUMENTS = {  # kind: (fewest, most) numbers behind the name
    "constant": (1, 1),
    "step": (3, 3),
    "linear": (3, 3),
    "cosine": (3, 3),
    "exponential": (2, 3),
    "progress": (1, 2),
    "evidence": (1, 3),
}


def parse_schedule(spec: str | float, total_frames: int) -> Schedule:
    """Read a schedule. total_frames: what a percentage refers to.

    Raises ValueError, naming the nearest known kind, if the name is unknown, a number cannot be read, or their count is wrong.
    """
    text = str(spec).strip()
    name, *arguments = text.split(":")
    if not arguments and name not in _ARGUMENTS:
        name, arguments = "constant", [text]
    if name not in _ARGUMENTS:
        raise ValueError(f"unknown schedule {text!r}; {nearest(name, _ARGUMENTS)}")
    fewest, most = _ARGUMENTS[name]
    if not fewest <= len(arguments) <= most:
        raise ValueError(f"schedule {text!r} has {len(arguments)} numbers; {name} takes {fewest} to {most}, as in {_example(name)}")
    if name in ("constant", "progress"):
        horizon = parse_frames(arguments[1], total_frames) if len(arguments) == 2 else math.inf
        return Schedule(text, name, _number(arguments[0], text), horizon=horizon)
    if name == "exponential":
        floor = _number(arguments[2], text) if len(arguments) == 3 else 0.0
        return Schedule(text, name, _number(arguments[0], text), floor, parse_frames(arguments[1], total_frames))
    if name == "evidence":
        release, horizon = (parse_frames(x, total_frames) for x in (*arguments[1:], *EVIDENCE[len(arguments) - 1 :]))
        return Schedule(text, name, _number(arguments[0], text), horizon=horizon, release=release)
    start, end, horizon = arguments
    return Schedule(text, name, _number(start, text), _number(end, text), parse_frames(horizon, total_frames))


def parse_frames(text: str, total_frames: int) -> float:
    """Frames from `250000`, `2.5e5`, `250k`, `1.5M`, `10B` or a share of total_frames, `20%`. Raises ValueError unless > 0."""
    units = {"k": 1e3, "m": 1e6, "b": 1e9, "%": total_frames / 100}
    text = text.strip()
    unit = units.get(text[-1:].lower(), 1.0)
    frames = _number(text[:-1] if text[-1:].lower() in units else text, text) * unit
    if not frames > 0:
        raise ValueError(f"{text!r} is no positive number of frames")
    return frames


def nearest(name: str, known) -> str:
    """ "did you mean ..." or the whole list, for an error about an unknown name."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}"


def _number(text: str, spec: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text!r} in schedule {spec!r} is not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{text!r} in schedule {spec!r} is not finite")
    return number


def _example(name: str) -> str:
    return {
        "constant": "constant:1",
        "step": "step:0:1:5%",
        "linear": "linear:1:0:20%",
        "cosine": "cosine:1:0:20%",
        "exponential": "exponential:1:10%",
        "progress": "progress:1",
        "evidence": "evidence:1:10%:60%",
    }[name]
