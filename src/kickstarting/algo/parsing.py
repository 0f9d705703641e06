"""What people write: schedules (see `schedules.py`), numbers of frames, and names of which one was misspelt."""

from __future__ import annotations

import difflib
import math
from dataclasses import MISSING, fields

from kickstarting.algo.schedules import (
    IN_FRAMES,
    Constant,
    Cosine,
    Evidence,
    Exponential,
    Linear,
    Piecewise,
    Progress,
    Schedule,
    Step,
)
from kickstarting.ranges import Declaration, Range, shown

_EXAMPLES = {
    Constant: "constant:1",
    Step: "step:0:1:5%",
    Linear: "linear:1:0:20%",
    Cosine: "cosine:1:0:20%",
    Exponential: "exponential:1:10%",
    Progress: "progress:1",
    Evidence: "evidence:1:10%:60%",
    Piecewise: "piecewise:0=constant:1;10%=constant:0",
}
KINDS: dict[str, type[Schedule]] = {example.partition(":")[0]: kind for kind, example in _EXAMPLES.items()}


def parse_schedule(spec: str | float, total_frames: int) -> Schedule:
    """Read a schedule. total_frames: what a percentage refers to.

    Raises ValueError, naming the nearest known kind, if the name is unknown, a number cannot be read, or their count is wrong.
    """
    text = str(spec).strip()
    said = f"schedule {shown(text)}"
    name, *given = text.split(":")
    if not given and name not in KINDS:
        name, given = "constant", [text]
    if name not in KINDS:
        raise ValueError(f"unknown {said}; {nearest(name, KINDS)}")
    if (kind := KINDS[name]) is Piecewise:
        return _parse_pieces(text, total_frames)
    numbers = [f for f in fields(kind) if f.init]
    fewest = sum(f.default is MISSING and not f.metadata for f in numbers)
    if not fewest <= len(given) <= len(numbers):
        takes = f"{name} takes {fewest} to {len(numbers)}, as in {_EXAMPLES[kind]}"
        raise ValueError(f"{said} has {len(given)} numbers; {takes}")
    given += [f.metadata["unless given"] for f in numbers[len(given) :] if f.metadata]
    read = {
        f.name: parse_frames(x, total_frames) if f.name in IN_FRAMES else _number(x, text)
        for f, x in zip(numbers, given, strict=False)  # defaults stand for the rest
    }
    return kind(**read)


def written(schedule: Schedule, total_frames: int) -> str:
    """A schedule for people and for runs of any length: to ten digits, with frames as shares of total_frames."""
    if isinstance(schedule, Piecewise):
        pieces = (f"{100 * since / total_frames:.10g}%={written(part, total_frames)}" for since, part in schedule.pieces)
        return f"piecewise:{';'.join(pieces)}"
    if isinstance(schedule, Constant):
        return f"{schedule.start:.10g}"
    name, *numbers = schedule.spec.split(":")
    in_frames = [f.name in IN_FRAMES for f in fields(schedule)]
    texts = [
        f"{100 * float(x) / total_frames:.10g}%" if share else f"{float(x):.10g}"
        for x, share in zip(numbers, in_frames, strict=False)
    ]
    return ":".join([name, *texts])


def _parse_pieces(text: str, total_frames: int) -> Schedule:
    said, how = f"schedule {shown(text)}", f"write it as in {_EXAMPLES[Piecewise]}"
    pieces = [piece.partition("=") for piece in text.partition(":")[2].split(";")]
    if any(spec.strip().startswith("piecewise") for _, _, spec in pieces):
        raise ValueError(f"{said} has pieces in a piece; {how}")
    since = [parse_frames(x, total_frames) if x.strip(" 0.%") else 0.0 for x, _, _ in pieces]
    try:
        return Piecewise(tuple(zip(since, [parse_schedule(spec, total_frames) for _, _, spec in pieces], strict=True)))
    except ValueError as error:
        raise ValueError(f"{said}: {error}; {how}") from None


def parse_rate(name: str, text: str, total_frames: int) -> Schedule:
    """A schedule of frames alone that is nowhere negative. Raises ValueError, with the name of the setting, if it is none."""
    schedule = parse_schedule(text, total_frames)
    if schedule.lowest < 0:
        raise ValueError(f"{name} {shown(text)} falls below 0; weights, rates and costs are never negative")
    if schedule.uses_progress:
        raise ValueError(f"{name} {shown(text)} follows progress; only the teachers' weight can")
    return schedule


AUTO = "auto"
"""What stands for a value that is chosen when the run begins."""


class Rate(Declaration):
    """A number or a schedule of frames alone, nowhere below 0 and nowhere above `high`; with `auto`, also that word."""

    also = (int, float)

    def __init__(self, high: float, why: str = "", *, auto: bool = False) -> None:
        self.high = high
        self.why = why or f"it must be at most {high:g}"
        self.auto = auto

    def check(self, name: str, value: str | float, total_frames: int) -> None:
        if self.auto and value == AUTO:
            return
        try:
            schedule = parse_rate(name, str(value), total_frames)
        except ValueError as error:
            raise ValueError(str(error) if str(error).startswith(name) else f"{name}: {error}") from None
        if not schedule.highest <= self.high:
            raise ValueError(f"{name} {shown(value)} rises to {schedule.highest:g}; {self.why}")


class Share(Declaration):
    """Frames, or a share of the run."""

    also = (int, float)

    def check(self, name: str, value: str | float, total_frames: int) -> None:
        try:
            parse_frames(str(value), total_frames)
        except ValueError as error:
            raise ValueError(f"{name}: {error}; give frames or a share of the run, as 250k or 2%") from None


def parse_frames(text: str, total_frames: int) -> float:
    """Frames from `250000`, `2.5e5`, `250k`, `1.5M`, `10B` or a share of total_frames, `20%`. Raises ValueError unless > 0."""
    units = {"k": 1e3, "m": 1e6, "b": 1e9, "%": total_frames / 100}
    text = text.strip()
    unit = units.get(text[-1:].lower(), 1.0)
    frames = _number(text[:-1] if text[-1:].lower() in units else text, text) * unit
    if frames not in FRAMES_EVER:
        raise ValueError(f"{shown(text)} is no positive number of frames, up to {FRAMES_EVER.high:g}")
    return frames


def nearest(name: str, known) -> str:
    """ "did you mean ..." or the whole list, for an error about an unknown name."""
    known = list(dict.fromkeys(known))
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}"


FRAMES_EVER = Range(0, 1e15, low_open=True)


def _number(text: str, spec: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{shown(text)} in schedule {shown(spec)} is not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{shown(text)} in schedule {shown(spec)} is not finite")
    return number
