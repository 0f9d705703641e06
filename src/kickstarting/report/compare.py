"""The paper's Table 1 (Schmitt et al. 2018) for any groups of runs, with intervals over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kickstarting.report import scores
from kickstarting.report.cluster import read_cluster
from kickstarting.report.comparison import (
    CONFIDENCE,
    Comparison,
    Curve,
    Estimate,
    GroupResult,
    Level,
    TeacherResult,
    Versus,
)
from kickstarting.report.defaults import default_frames, default_levels
from kickstarting.report.groups import Group
from kickstarting.report.lineage import read_lineage
from kickstarting.report.provenance import notes, run_results, short_path
from kickstarting.report.resampled import Sample, estimate, improvement, over_tasks, ratio
from kickstarting.report.runs import LAMBDA
from kickstarting.report.teachers import measured_teachers, passing, yardsticks

PLOTTED_POINTS = 201  # finer than a phone's screen, coarse enough for a small comparison.json


def compare(
    groups: Sequence[Group],
    *,
    baseline: str | None = None,
    at_frames: Sequence[int] | None = None,
    levels: Sequence[float | int] | None = None,
    bootstrap: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare groups with a baseline: by default the one named `scratch`, else the first.

    at_frames: where to read scores; by default 5, 10, 25 and 100 % of the frames that all groups have.
    levels: scores to reach; by default three up to the best that all groups reach. The baseline's final score is always one.
    bootstrap, seed: number of resamples and their generator's seed. Groups are resampled independently, seeds never paired.
    """
    if bootstrap < 1:
        raise ValueError(f"bootstrap is {bootstrap}; give at least 1 resample, 2000 for stable intervals")
    names = [group.name for group in groups]
    if baseline is None:
        baseline = "scratch" if "scratch" in names else names[0]
    if baseline not in names:
        raise ValueError(f"baseline {baseline!r} is not among the compared groups {', '.join(map(repr, names))}; name one of them")
    samples = [Sample(group, bootstrap, seed) for group in sorted(groups, key=lambda group: group.name != baseline)]
    points = _frame_points(groups, at_frames)
    to_reach = default_levels([sample.averages[0] for sample in samples]) if levels is None else tuple(map(float, levels))
    all_levels = (*(Level(score) for score in to_reach), Level(float(samples[0].final[0]), baseline_final=True))
    teachers = measured_teachers([sample.group for sample in samples])
    lineages = tuple(filter(None, (read_lineage(run) for sample in samples for run in sample.group.runs)))
    clusters = tuple(filter(None, (read_cluster(run) for sample in samples for run in sample.group.runs)))
    compared = yardsticks(teachers, groups)
    return Comparison(
        suite=short_path(groups[0].runs[0].suite),
        points=all(run.in_points for group in groups for run in group.runs),
        baseline=baseline,
        at_frames=points,
        levels=all_levels,
        groups=tuple(_group_result(sample, samples[0], points, all_levels, compared) for sample in samples),
        teachers=teachers,
        yardsticks=compared,
        lineages=lineages,
        clusters=clusters,
        runs=tuple(row for sample in samples for row in run_results(sample.group)),
        notes=notes([sample.group for sample in samples], lineages),
        bootstrap=bootstrap,
        bootstrap_seed=seed,
        smooth_frames=groups[0].smooth_frames,
    )


def _frame_points(groups: Sequence[Group], at_frames: Sequence[int] | None) -> tuple[int, ...]:
    if at_frames is None:
        return default_frames(start=max(group.frames[0] for group in groups), budget=min(group.budget for group in groups))
    longest = max(group.budget for group in groups)
    for point in at_frames:
        if not 0 < point <= longest:
            raise ValueError(f"at_frames holds {point}, but the longest group ends at {longest} frames; choose points up to there")
    return tuple(int(point) for point in at_frames)


def _group_result(
    sample: Sample, base: Sample, points: Sequence[int], levels: Sequence[Level], compared: Sequence[TeacherResult]
) -> GroupResult:
    group = sample.group
    reached = [_reach(sample, base, level) for level in levels]
    task_finals = sample.weights @ sample.task_finals if group.tasks else np.empty((1, 0))
    return GroupResult(
        name=group.name,
        seeds=tuple(run.seed for run in group.runs),
        frames=group.budget,
        scores=tuple(estimate(sample.at(point)) for point in points),
        frames_to=tuple(estimate(frames, bound="≤" if sample.starts_above(frames) else "") for frames in reached),
        final=estimate(sample.final),
        median=over_tasks(scores.median, sample),
        iqm=over_tasks(scores.iqm, sample),
        tasks={task: estimate(task_finals[:, k]) for k, task in enumerate(group.tasks)},
        passing=tuple(passing(sample, teacher) for teacher in compared),
        versus=None if sample is base else _versus(sample, base, points, levels),
        curve=_curve(group.frames, sample.averages),
        lambdas=_lambda_curves(group),
    )


def _reach(sample: Sample, base: Sample, level: Level) -> np.ndarray:
    return sample.reach(base.final[: len(sample.averages)] if level.baseline_final else level.score)


def _versus(sample: Sample, base: Sample, points: Sequence[int], levels: Sequence[Level]) -> Versus:
    return Versus(
        improvements=tuple(estimate(improvement(sample.at(point), base.at(point))) for point in points),
        speedups=tuple(_speedup(sample, base, level) for level in levels),
        final_improvement=estimate(improvement(sample.final, base.final)),
        probability_of_improvement=over_tasks(scores.probability_of_improvement, sample, base),
    )


def _speedup(sample: Sample, base: Sample, level: Level) -> Estimate:
    frames, base_frames = _reach(sample, base, level), _reach(base, base, level)
    above, base_above = sample.starts_above(frames), base.starts_above(base_frames)
    if (above and base_above) or not np.isfinite([frames[0], base_frames[0]]).all():
        return Estimate(None)
    return estimate(ratio(base_frames, frames), lowest=0.0, bound="≥" if above else "≤" if base_above else "")


def _curve(frames: np.ndarray, averages: np.ndarray) -> Curve:
    """Thinned to PLOTTED_POINTS, with a pointwise interval where there are resamples."""
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
