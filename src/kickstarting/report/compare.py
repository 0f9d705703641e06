"""The paper's Table 1 (Schmitt et al. 2018) for any groups of runs, with intervals over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kickstarting.report import scores
from kickstarting.report.comparison import Comparison, Curve, Estimate, GroupResult, Level, Passing, RunResult, TeacherResult, Versus
from kickstarting.report.groups import Group
from kickstarting.report.notes import notes, reference_label
from kickstarting.report.resampled import estimate, frames_to_reach, improvement, ratio, seed_weights, value_at
from kickstarting.report.runs import LAMBDA

CONFIDENCE = 0.95
SHARES = (0.05, 0.10, 0.25, 0.50, 1.0)
STEPS = (20.0, 10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1)
PLOTTED_POINTS = 201  # finer than a phone's screen, coarse enough for a small comparison.json


@dataclass(frozen=True, eq=False)
class _Sample:
    """A group with its resamples; weights [1 + B, R], averages [1 + B, N] as in resampled.py."""

    group: Group
    weights: np.ndarray
    rng: np.random.Generator

    @cached_property
    def averages(self) -> np.ndarray:
        return self.weights @ self.group.curves("score")

    @cached_property
    def final(self) -> np.ndarray:
        return self.group.final(self.averages)

    @cached_property
    def tasks(self) -> np.ndarray:
        """Curves of the tasks, [K, R, N]."""
        return self.group.task_curves()

    @cached_property
    def task_finals(self) -> np.ndarray:
        """[R, K]"""
        return self.group.final(self.tasks).T

    def reach(self, level: np.ndarray | float) -> np.ndarray:
        return frames_to_reach(self.group.frames, self.averages, level)


def compare(
    groups: Sequence[Group],
    *,
    baseline: str | None = None,
    at_frames: Sequence[int] | None = None,
    levels: Sequence[float] | None = None,
    bootstrap: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare groups with a baseline, by default the first of them.

    at_frames: where to read scores; by default 5, 10, 25 and 100 % of the frames that all groups have. levels: scores to reach; by default
    three up to the best that all groups reach. The baseline's final score is always a level. Seeds are resampled independently in every
    group, never paired.
    """
    if bootstrap < 1:
        raise ValueError(f"bootstrap is {bootstrap}; give at least 1 resample, 2000 for stable intervals")
    names = [group.name for group in groups]
    baseline = names[0] if baseline is None else baseline
    if baseline not in names:
        raise ValueError(f"baseline {baseline!r} is not among the compared groups {', '.join(map(repr, names))}; name one of them")
    groups = sorted(groups, key=lambda group: group.name != baseline)
    # a stream for each name, so that the interval of a group does not depend on which others are compared
    rngs = [np.random.default_rng([seed, *group.name.encode()]) for group in groups]
    samples = [_Sample(g, seed_weights(len(g.runs), bootstrap, rng), rng) for g, rng in zip(groups, rngs, strict=True)]
    points = _frame_points(groups, at_frames)
    scores_to_reach = tuple(map(float, levels)) if levels is not None else default_levels([s.averages[0] for s in samples])
    chosen = (*(Level(score) for score in scores_to_reach), Level(float(samples[0].final[0]), baseline_final=True))
    teachers = _teachers(groups)
    return Comparison(
        suite=reference_label(groups[0].runs[0].suite),
        baseline=baseline,
        at_frames=points,
        levels=chosen,
        groups=tuple(_group_result(sample, samples[0], points, chosen, teachers, bootstrap) for sample in samples),
        teachers=teachers,
        runs=tuple(row for group in groups for row in _run_results(group)),
        notes=notes(groups),
        bootstrap=bootstrap,
        bootstrap_seed=seed,
        confidence=CONFIDENCE,
        smooth_frames=groups[0].smooth_frames,
    )


def _frame_points(groups: Sequence[Group], at_frames: Sequence[int] | None) -> tuple[int, ...]:
    if at_frames is None:
        return default_frames(start=max(g.frames[0] for g in groups), budget=min(g.budget for g in groups))
    longest = max(group.budget for group in groups)
    for point in at_frames:
        if not 0 < point <= longest:
            raise ValueError(f"at_frames holds {point}, but the longest group ends at {longest} frames; choose points up to there")
    return tuple(int(point) for point in at_frames)


def default_frames(start: float, budget: int) -> tuple[int, ...]:
    """Up to four round points of the common budget, the whole of it last, none before every group has a score."""
    rounded = [int(float(f"{share * budget:.2g}")) for share in SHARES[:-1]] + [budget]
    usable = [point for point in rounded if start <= point <= budget]
    early, half = usable[:-2], usable[-2:-1]
    return tuple(dict.fromkeys([*early, *(half if len(early) < 3 else []), usable[-1]]))


def default_levels(curves: Sequence[np.ndarray]) -> tuple[float, ...]:
    """Three round scores between where the groups start and the best that all of them reach; fewer if that is next to nothing."""
    best = min(curve.max() for curve in curves)
    starts = [curve[0] for curve in curves]
    low = max(starts) if max(starts) < best else min(starts)
    for step in STEPS:
        multiples = np.arange(np.floor(low / step) + 1, np.floor(best / step) + 1) * step
        if len(multiples) >= 3:
            chosen = multiples[np.round(np.linspace(0, len(multiples) - 1, 3)).astype(int)]
            return tuple(round(float(level), 1) for level in chosen)
    return ()


def _group_result(
    sample: _Sample, base: _Sample, points: Sequence[int], levels: Sequence[Level], teachers: Sequence[TeacherResult], bootstrap: int
) -> GroupResult:
    group, versus = sample.group, None
    reached = [sample.reach(base.final if level.baseline_final else level.score) for level in levels]
    if sample is not base:
        versus = _versus(sample, base, reached, points, levels, bootstrap)
    several, tasks = len(group.runs) > 1, len(group.tasks) > 0

    def over_tasks(statistic) -> Estimate | None:
        if not tasks:
            return None
        value = statistic(sample.task_finals)
        if not several:
            return Estimate(float(value))
        resampled = scores.stratified_bootstrap(statistic, sample.task_finals, repetitions=bootstrap, rng=sample.rng)
        return estimate(np.concatenate([[value], resampled]))

    finals = sample.weights @ sample.task_finals if tasks else np.empty((1, 0))
    return GroupResult(
        name=group.name,
        seeds=tuple(run.seed for run in group.runs),
        frames=group.budget,
        scores=tuple(estimate(value_at(group.frames, sample.averages, point)) for point in points),
        frames_to=tuple(estimate(r, bound="≤" if r[0] == group.frames[0] else "") for r in reached),
        final=estimate(sample.final),
        median=over_tasks(scores.median),
        iqm=over_tasks(scores.iqm),
        tasks={task: estimate(finals[:, k]) for k, task in enumerate(group.tasks)},
        passing=tuple(_passing(sample, teacher) for teacher in teachers),
        versus=versus,
        curve=_curve(group.frames, sample.averages),
        lambdas=_lambda_curves(group),
    )


def _versus(
    sample: _Sample, base: _Sample, reached: list[np.ndarray], points: Sequence[int], levels: Sequence[Level], bootstrap: int
) -> Versus:
    speedups = []
    for level, frames in zip(levels, reached, strict=True):
        base_frames = base.reach(base.final if level.baseline_final else level.score)
        starts_above = frames[0] == sample.group.frames[0], base_frames[0] == base.group.frames[0]
        bound = {(True, False): "≥", (False, True): "≤"}.get(starts_above, "")
        speedup = ratio(base_frames, frames)
        if all(starts_above) or not np.isfinite(base_frames[0]) or not np.isfinite(frames[0]):
            speedups.append(Estimate(None))
        else:
            speedups.append(estimate(speedup, lowest=0.0, bound=bound))
    probability = None
    if sample.group.tasks:
        finals = sample.task_finals, base.task_finals
        value = scores.probability_of_improvement(*finals)
        probability = Estimate(float(value))
        if min(len(f) for f in finals) > 1:
            resampled = scores.stratified_bootstrap(scores.probability_of_improvement, *finals, repetitions=bootstrap, rng=sample.rng)
            probability = estimate(np.concatenate([[value], resampled]))
    return Versus(
        improvements=tuple(
            estimate(
                improvement(
                    value_at(sample.group.frames, sample.averages, point), value_at(base.group.frames, base.averages, point)
                )
            )
            for point in points
        ),
        speedups=tuple(speedups),
        final_improvement=estimate(improvement(sample.final, base.final)),
        probability_of_improvement=probability,
    )


def _teachers(groups: Sequence[Group]) -> tuple[TeacherResult, ...]:
    """Every teacher that a run has measured; several measurements of one are averaged."""
    measured: dict[str, list] = {}
    for group in groups:
        for run in group.runs:
            for name, score in run.teacher_scores.items():
                measured.setdefault(name, []).append(score)
    results = []
    for name, several in measured.items():
        known = [task for task in groups[0].tasks if all(task in score.tasks for score in several)]
        tasks = {task: float(np.mean([score.tasks[task] for score in several])) for task in known}
        score = float(np.mean([score.score for score in several]))
        results.append(TeacherResult(name, score, tasks, whole_suite=len(tasks) in (0, len(groups[0].tasks))))
    return tuple(results)


def _passing(sample: _Sample, teacher: TeacherResult) -> Passing:
    averages, final = sample.averages, sample.final
    if not teacher.whole_suite:
        taught = [sample.group.tasks.index(task) for task in teacher.tasks]
        averages = sample.weights @ sample.tasks[taught].mean(axis=0)
        final = sample.group.final(averages)
    frames = frames_to_reach(sample.group.frames, averages, teacher.score)
    bound = "≤" if frames[0] == sample.group.frames[0] else ""
    return Passing(teacher.name, float(final[0]), estimate(frames, bound=bound), bool(final[0] > teacher.score))


def _curve(frames: np.ndarray, averages: np.ndarray) -> Curve:
    shown = np.unique(np.linspace(0, len(frames) - 1, PLOTTED_POINTS).round().astype(int))
    rows = [averages[0, shown]]
    if len(averages) > 1:
        tail = 50.0 * (1.0 - CONFIDENCE)
        rows.extend(np.percentile(averages[1:, shown], [tail, 100.0 - tail], axis=0))
    return Curve(tuple(frames[shown].tolist()), *(tuple(row.tolist()) for row in rows))


def _lambda_curves(group: Group) -> dict[str, Curve]:
    """Means over the seeds that know the teacher. lambda is logged from the first line on, before there is a score."""
    curves = {}
    for teacher in group.teachers:
        lines = [line for run in group.runs if len((line := run.curve(LAMBDA + teacher))[0])]
        axis = np.unique(np.linspace(max(f[0] for f, _ in lines), min(f[-1] for f, _ in lines), PLOTTED_POINTS))
        curves[teacher] = _curve(axis, np.mean([np.interp(axis, *line) for line in lines], axis=0, keepdims=True))
    return curves


def _run_results(group: Group) -> list[RunResult]:
    finals = group.final(group.curves("score"))
    rows = []
    for run, final in zip(group.runs, finals, strict=True):
        seconds, speeds = run.curve("seconds")[1], run.curve("frames_per_second")[1]
        rows.append(
            RunResult(
                name=run.name,
                seed=run.seed,
                directory=run.directory.resolve().name,
                teachers=tuple(reference_label(teacher) for teacher in run.teachers),
                frames=int(run.frames[-1]),
                total_frames=run.total_frames,
                final=float(final),
                seconds=float(seconds[-1]) if len(seconds) else None,
                frames_per_second=float(np.median(speeds)) if len(speeds) else None,
            )
        )
    return rows
