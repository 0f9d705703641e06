"""Teachers in a report: short names, what each scores, and what students are held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from kickstarting.report.comparison import Passing, TeacherResult
from kickstarting.report.groups import Group
from kickstarting.report.resampled import Sample, estimate, frames_to_reach
from kickstarting.report.runs import LAMBDA, Run, TeacherEntry, TeacherScore, teacher_entry

NAMED = 4  # teachers with a marker, a line, a column of their own; what is more is drawn together


def name_teachers(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The runs with short names for their teachers, in `teacher_names`, columns and scores, instead of references.

    A teacher of some tasks is called by its pattern, so that the experts of one task are one teacher of the group even
    where each seed has its own. Another is called by the end of its path, as much as tells it from the others: a report
    must not carry its writer's folders. Where a pattern alone would be taken for another teacher, both stand together.
    """
    tails = _tails(teacher.reference for run in runs for teacher in (*run.teachers, *map(teacher_entry, _logged(run))))
    ambiguous = _ambiguous_patterns(runs)
    return tuple(_renamed(run, tails, ambiguous) for run in runs)


def _ambiguous_patterns(runs: Sequence[Run]) -> set[str]:
    """Given twice in one run, or in two groups that have no teacher of it in common."""
    references: dict[str, dict[str, set[str]]] = {}
    ambiguous = set()
    for run in runs:
        patterns = [teacher.pattern for teacher in run.teachers]
        ambiguous |= {pattern for pattern in patterns if patterns.count(pattern) > 1}
        for teacher in run.teachers:
            references.setdefault(teacher.pattern, {}).setdefault(run.name, set()).add(teacher.reference)
    for pattern, groups in references.items():
        if any(one.isdisjoint(other) for one, other in combinations(groups.values(), 2)):
            ambiguous.add(pattern)
    return ambiguous


def _renamed(run: Run, tails: Mapping[str, str], ambiguous: set[str]) -> Run:
    def name(teacher: TeacherEntry) -> str:
        if teacher.pattern == "*":
            return tails[teacher.reference]
        return f"{teacher.pattern}={tails[teacher.reference]}" if teacher.pattern in ambiguous else teacher.pattern

    names = {logged: name(teacher_entry(logged)) for logged in _logged(run)}
    for teacher in run.teachers:  # a run logs PATTERN=REF, or the reference alone where that is given once
        names[f"{teacher.pattern}={teacher.reference}"] = names[teacher.reference] = name(teacher)
    columns = {f"{LAMBDA}{names[c.removeprefix(LAMBDA)]}" if c.startswith(LAMBDA) else c: v for c, v in run.columns.items()}
    scores = {names[logged]: score for logged, score in run.teacher_scores.items()}
    return replace(run, teacher_names=tuple(map(name, run.teachers)), columns=columns, teacher_scores=scores)


def _logged(run: Run) -> tuple[str, ...]:
    return (*run.names(LAMBDA), *run.teacher_scores)


def _tails(references: Iterable[str]) -> dict[str, str]:
    """For each reference the shortest end of its path that no other one has."""
    parts = {reference: reference.rstrip("/").split("/") for reference in references}
    tails = {}
    for reference, own in parts.items():
        others = [other for other in parts.values() if other != own]
        length = next((n for n in range(1, len(own)) if all(other[-n:] != own[-n:] for other in others)), len(own))
        tails[reference] = "/".join(own[-length:])
    return tails


def measured_teachers(groups: Sequence[Group]) -> tuple[TeacherResult, ...]:
    """Every teacher that a run has measured, averaged over the runs; one measured on no task of the suite is left out."""
    measured: dict[str, list[TeacherScore]] = {}
    for group in groups:
        for run in group.runs:
            for name, score in run.teacher_scores.items():
                measured.setdefault(name, []).append(score)
    results = []
    for name, several in measured.items():
        known = [task for task in groups[0].tasks if all(task in score.tasks for score in several)]
        if any(score.tasks for score in several) and not known:
            continue
        tasks = {task: float(np.mean([score.tasks[task] for score in several])) for task in known}
        score = float(np.mean([score.score for score in several]))
        results.append(TeacherResult(name, score, tasks, whole_suite=len(tasks) in (0, len(groups[0].tasks))))
    return tuple(results)


def yardsticks(teachers: Sequence[TeacherResult], groups: Sequence[Group]) -> tuple[TeacherResult, ...]:
    """What groups are held against: the teachers of the whole suite (of many the best), and the experts of a group as one."""
    whole = [teacher for teacher in teachers if teacher.whole_suite]
    experts = [teacher for teacher in teachers if not teacher.whole_suite]
    if len(whole) > NAMED:
        best = max(whole, key=lambda teacher: teacher.score)
        whole = [replace(best, name=f"{best.name}, best of {len(whole)}")]
    teams: dict[tuple[str, ...], str] = {}
    for group in groups:
        measured = {name for run in group.runs for name in run.teacher_scores}
        teams.setdefault(tuple(expert.name for expert in experts if expert.name in measured), group.name)
    teams.pop((), None)
    if len(teams) > NAMED:
        teams = {tuple(expert.name for expert in experts): "all groups"}
    unions = [_union([expert for expert in experts if expert.name in team], groups[0].tasks) for team in teams]
    if len(unions) > 1:
        unions = [replace(u, name=f"{u.name} of {g}") if u.experts > 1 else u for u, g in zip(unions, teams.values(), strict=True)]
    return (*whole, *unions)


def _union(experts: Sequence[TeacherResult], tasks: Sequence[str]) -> TeacherResult:
    """Experts as one teacher: on each task the best of those that teach it."""
    if len(experts) == 1:
        return experts[0]
    scores = {task: [expert.tasks[task] for expert in experts if task in expert.tasks] for task in tasks}
    taught = {task: max(several) for task, several in scores.items() if several}
    mean = float(np.mean(list(taught.values())))
    return TeacherResult(f"{len(experts)} experts", mean, taught, len(taught) == len(tasks), experts=len(experts))


def passing(sample: Sample, teacher: TeacherResult) -> Passing:
    """On the tasks of the teacher; on the suite's score where it was measured on all of them."""
    group, averages, final = sample.group, sample.averages, sample.final
    taught = [group.tasks.index(task) for task in teacher.tasks]
    if not teacher.whole_suite:
        averages = sample.weights @ sample.tasks[taught].mean(axis=0)
        final = group.final(averages)
    frames = frames_to_reach(group.frames, averages, teacher.score)
    ends = (sample.weights[0] @ sample.task_finals)[taught] if taught else np.empty(0)
    return Passing(
        teacher=teacher.name,
        final=float(final[0]),
        frames=estimate(frames, bound="≤" if sample.starts_above(frames) else ""),
        passed=bool(final[0] > teacher.score),
        tasks=len(taught),
        tasks_passed=int((ends > list(teacher.tasks.values())).sum()) if taught else 0,
    )
