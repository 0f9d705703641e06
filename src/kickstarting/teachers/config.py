"""Who teaches, and how much of a say each teacher has."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from kickstarting.algo.parsing import Rate, parse_rate, parse_schedule
from kickstarting.algo.schedules import Piecewise, Schedule
from kickstarting.ranges import Range, shown
from kickstarting.teachers.adapters import parse_adapters
from kickstarting.teachers.references import Reference, parse_reference

TeacherEntry = Annotated[
    str | Reference,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="[PATTERN=]REF",
        instance_from_str=lambda words: words[0],
        is_instance=lambda x: isinstance(x, str | Reference),
        str_from_instance=lambda x: [str(x)],
    ),
]
"""A teacher as it is written; read with adapters and pins in `TeachingConfig.references`."""


MOST_ALPHA = 1e6


@dataclass(frozen=True)
class TeachingConfig:
    """Who teaches, and how much the student listens."""

    teachers: Annotated[tyro.conf.UseAppendAction[tuple[TeacherEntry, ...]], tyro.conf.arg(name="teacher")] = ()
    """[PATTERN=]REF of each teacher: a run directory, zoo:NAME, or what another origin reads, which teaches the tasks that the glob
    pattern matches."""
    teacher_adapters: tuple[str, ...] = ()
    """What stands between the environments and each teacher, as NAME or NAME(VALUE,OPTION=VALUE)+NAME, the student's side first:
    crop, resize, grey, transpose, stack, scale, normalise, one_hot, flatten, select, rename; mask, actions, bins. identity for each
    unless given."""
    privileged: tuple[str, ...] = ()
    """Names of observations that teachers may read and the student's network does not, beside those that the suite names."""
    teacher_shares: Annotated[tuple[float, ...], Range(0, 1e6)] = ()
    """rho of each teacher, in lambda_i = alpha * rho_i; 1 each unless given."""
    accept_weak_teachers: bool = False
    """Begin even if a teacher scores no better than random on every task that it teaches, as measured before training."""
    schedule: str = "evidence:1"
    """alpha, the teachers' weight over time: evidence:FROM[:RELEASE[:FRAMES]], constant:V, step:FROM:TO:FRAMES,
    linear:FROM:TO:FRAMES, cosine:FROM:TO:FRAMES, exponential:FROM:HALF_LIFE[:FLOOR], progress:FROM[:FRAMES]. FRAMES may be a
    share of the run, such as 20%. Or the schedule.json that a population evolved."""
    teacher_acts: Annotated[str, Rate(1.0, "it is a probability, at most 1")] = "0"
    """Probability that a teacher acts in an episode of its task instead of the student, a number or a schedule. V-trace corrects
    for it. The student always keeps one environment of every task, and its score counts its own episodes only."""

    teacher_optional: bool = False
    """Go on without a teacher that fails while the run trains, as one behind http: that is gone: its labels have no weight until it
    is back. Otherwise the run saves and stops."""

    def check(self, total_frames: int, envs_per_task: int) -> None:
        """Raise ValueError, with the remedy, for what cannot work."""
        for name in ("teacher_shares", "teacher_adapters"):
            given = getattr(self, name)
            if given and len(given) != len(self.teachers):
                raise ValueError(f"{len(given)} {name} for {len(self.teachers)} teachers; give one each, or none")
        for adapters in self.teacher_adapters:
            parse_adapters(adapters)
        alphas = self.schedules(total_frames) or [parse_schedule(self.schedule, total_frames)]
        for i, alpha in enumerate(alphas):
            whose = f"schedule of teacher {i}" if self.teachers else "schedule"
            if alpha.lowest < 0:
                raise ValueError(f"{whose} {shown(self.schedule)} falls below 0; weights, rates and costs are never negative")
            if alpha.highest > MOST_ALPHA:
                raise ValueError(f"{whose} {shown(self.schedule)} rises above {MOST_ALPHA:g}; lower it")
        highest = parse_rate("teacher_acts", str(self.teacher_acts), total_frames).highest
        if highest > 0 and not self.teachers:
            raise ValueError(
                f"teacher_acts is {self.teacher_acts!r}, but there is no teacher to act; give --teacher REF, or leave it at 0"
            )
        if highest > 0 and envs_per_task < 2:
            raise ValueError(
                f"teacher_acts is {self.teacher_acts!r}, but envs_per_task is {envs_per_task}, and one environment of every "
                "task is left to the student; give at least 2"
            )

    @property
    def references(self) -> tuple[Reference, ...]:
        """The teachers, read."""
        read = tuple(parse_reference(teacher) for teacher in self.teachers)
        if not self.teacher_adapters:
            return read
        return tuple(replace(r, adapters=parse_adapters(a)) for r, a in zip(read, self.teacher_adapters, strict=True))

    def heard(self, total_frames: int) -> bool:
        """Whether any teacher has a weight at any time."""
        shares = self.teacher_shares or (1.0,) * len(self.teachers)
        return any(share * alpha.highest > 0 for share, alpha in zip(shares, self.schedules(total_frames), strict=True))

    def schedules(self, total_frames: int) -> list[Schedule]:
        """alpha for each teacher: one schedule for all, or each teacher's own from an evolved schedule.json.

        Raises ValueError if the file cannot be read or is about other teachers.
        """
        if not self.schedule.endswith(".json"):
            return [parse_schedule(self.schedule, total_frames)] * len(self.teachers)
        try:
            data = json.loads(Path(self.schedule).read_text(encoding="utf-8"))
            frames = [float(since) for since in data["frames"]]
            if not all(map(math.isfinite, frames)):
                raise ValueError("its frames are not finite")
            evolved = {
                ref: Piecewise(tuple(zip(frames, [parse_schedule(spec, total_frames) for spec in specs], strict=True)))
                for ref, specs in data["teachers"].items()
            }
        except OSError as error:
            raise ValueError(f"schedule {self.schedule} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
            raise ValueError(
                f"{self.schedule} is no evolved schedule ({' '.join(str(error).split())}); give a population's best/schedule.json"
            ) from error
        ours = [str(reference) for reference in self.references]
        if sorted(evolved) != sorted(ours):
            raise ValueError(
                f"schedule {self.schedule} is for teachers {', '.join(sorted(evolved))}, this run has "
                f"{', '.join(sorted(ours)) or 'none'}; give the same --teacher references"
            )
        return [evolved[ref] for ref in ours]
