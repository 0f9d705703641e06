"""What was compared: the list of runs, and what a reader must know before trusting the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kickstarting.report.comparison import RunResult
from kickstarting.report.groups import Group
from kickstarting.report.health import spells
from kickstarting.report.lineage import Lineage
from kickstarting.report.runs import Run
from kickstarting.report.wording import frames_text
from kickstarting.teachers.references import Reference

ENOUGH_SEEDS = 5
FINISHED = 0.98  # of total_frames: scores are logged every few updates, not at the very last frame


def short_path(path: str) -> str:
    """Its last part only: a report must not carry its writer's folders."""
    return path.rstrip("/").rpartition("/")[2]


def short_reference(reference: Reference) -> str:
    """PATTERN=REF, or REF for a teacher of all tasks, without folders."""
    return str(replace(reference, ref=short_path(reference.ref)))


def _place(run: Run) -> str:
    """The run's directory, or POPULATION/best, since every population's is called so."""
    parts = run.directory.resolve().parts
    return "/".join(parts[-2:] if run.population else parts[-1:])


def run_results(group: Group) -> tuple[RunResult, ...]:
    rows = []
    for run, final in zip(group.runs, group.final(group.curves("score")), strict=True):
        seconds, speeds = run.curve("seconds")[1], run.curve("frames_per_second")[1]
        rows.append(
            RunResult(
                name=run.name,
                seed=run.seed,
                directory=_place(run),
                teachers=tuple(short_reference(teacher) for teacher in run.teachers),
                frames=int(run.frames[-1]),
                total_frames=run.total_frames,
                final=float(final),
                seconds=float(seconds[-1]) if len(seconds) else None,
                frames_per_second=float(np.median(speeds)) if len(speeds) else None,
                health=spells(run),
            )
        )
    return tuple(rows)


def notes(groups: Sequence[Group], lineages: Sequence[Lineage] = ()) -> tuple[str, ...]:
    """Sentences about few seeds, unfinished runs, unequal budgets, and what frames do not count."""
    found = []
    few = [f"{group.name} ({len(group.runs)})" for group in groups if len(group.runs) < ENOUGH_SEEDS]
    if few:
        found.append(
            f"Few seeds: {', '.join(few)}. One seed has no interval, and an interval over fewer than {ENOUGH_SEEDS} "
            "is too narrow more often than it says."
        )
    for group in groups:
        for run in group.runs:
            if run.frames[-1] < FINISHED * run.total_frames:
                there, planned = frames_text(int(run.frames[-1])), frames_text(run.total_frames)
                found.append(
                    f"Seed {run.seed} of {group.name} stopped at {there} of {planned} frames; "
                    f"the curve of {group.name} ends at {frames_text(group.budget)}."
                )
    if min(group.budget for group in groups) < FINISHED * max(group.budget for group in groups):
        budgets = ", ".join(f"{group.name} {frames_text(group.budget)}" for group in groups)
        found.append(f"Unequal budgets: {budgets} frames. Final scores are each at the end of the group's own budget.")
    for lineage in {(lineage.name, len(lineage.scores)): lineage for lineage in lineages}.values():
        found.append(
            f"{lineage.name} is the best of {len(lineage.scores)} members, chosen by its last score. "
            f"Frames are those of its ancestry; all members together took {len(lineage.scores)} times as many."
        )
    if differing := _differing_teachers(groups):
        found.append(f"Not every run has the same teacher for {_few(differing)}; its score is the mean of theirs.")
    if any(run.teachers for group in groups for run in group.runs):
        found.append("Frames are the student's own; what its teachers were trained for is not counted.")
    return tuple(found)


def _differing_teachers(groups: Sequence[Group]) -> list[str]:
    """Names that stand for several references, such as experts of one task that were trained anew for every seed."""
    references: dict[str, set[str]] = {}
    for group in groups:
        for run in group.runs:
            for name, entry in zip(run.teacher_names, run.teachers, strict=False):
                references.setdefault(name, set()).add(entry.ref)
    return [name for name, several in references.items() if len(several) > 1]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])} and {len(names) - 2} more"
