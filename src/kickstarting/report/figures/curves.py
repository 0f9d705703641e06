"""Learning curves above the teachers' weights, and scores of every task; legible on a phone and to the colour-blind."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from kickstarting.report.comparison import Comparison, Estimate, GroupResult, TeacherResult
from kickstarting.report.look import BASELINE, COLOURS, DASHES, FAINT, INK, MARKERS, PAPER, TEACHER_DASH, WIDTH, look
from kickstarting.report.wording import frames_text, score_text

NAMED_TEACHERS = 4  # more get one marker for the best of them, and no entries of their own

Handle = Line2D | Patch


def colour(comparison: Comparison, group: GroupResult) -> str:
    """Grey for the baseline, then COLOURS in turn."""
    index = comparison.groups.index(group)
    return COLOURS[(index - 1) % len(COLOURS)] if index else BASELINE


def curves_figure(comparison: Comparison) -> Figure:
    """Score against frames with bands over seeds; below it, where there are teachers, their lambda (the paper's Figure 2)."""
    with look():
        with_lambdas = any(group.lambdas for group in comparison.groups)
        handles = [_group_handle(comparison, group) for group in comparison.groups] + _teacher_handles(comparison)
        legend_height = 0.2 * _legend_rows(handles)
        heights = [2.7, 1.0] if with_lambdas else [2.7]
        figure = Figure(figsize=(WIDTH, sum(heights) + legend_height + 0.5), layout="constrained")
        axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
        _draw_scores(axes[0], comparison)
        if with_lambdas:
            _draw_lambdas(axes[1], comparison)
        axes[-1].set_xlabel("frames")
        axes[-1].xaxis.set_major_formatter(FuncFormatter(lambda frames, _: frames_text(frames)))
        axes[-1].xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axes[-1].set_xlim(0, max(group.frames for group in comparison.groups))
        _legend(figure, handles)
        return figure


def _draw_scores(axes: Axes, comparison: Comparison) -> None:
    lowest = 0.0
    for group in reversed(comparison.groups):  # the baseline last, so that it is never hidden
        curve, shade = group.curve, colour(comparison, group)
        lowest = min(lowest, *curve.mean, *curve.low)
        if curve.low:
            axes.fill_between(curve.frames, curve.low, curve.high, color=shade, alpha=0.18, linewidth=0)
        axes.plot(curve.frames, curve.mean, color=shade, linestyle=_dash(comparison, group), linewidth=1.8)
    for teacher in _suite_teachers(comparison):
        axes.axhline(teacher.score, color=INK, linestyle=TEACHER_DASH, linewidth=1.0, zorder=1.5)
    axes.set_ylim(lowest, 100.0)
    axes.set_ylabel("score")
    axes.grid(axis="y")


def _draw_lambdas(axes: Axes, comparison: Comparison) -> None:
    names = _lambda_names(comparison)
    taught = [group for group in comparison.groups if group.lambdas]
    for index, group in enumerate(taught):
        width = 1.3 + 0.9 * min(len(taught) - 1 - index, 3)  # schedules are often the same: a wide line shows below a thin one
        for teacher, curve in group.lambdas.items():
            dash = DASHES[names.index(teacher) % len(DASHES)] if len(names) <= NAMED_TEACHERS else "-"
            axes.plot(curve.frames, curve.mean, color=colour(comparison, group), linestyle=dash, linewidth=width, clip_on=False)
    if 1 < len(names) <= NAMED_TEACHERS:
        handles = [Line2D([], [], color=FAINT, linestyle=DASHES[i], linewidth=1.4, label=name) for i, name in enumerate(names)]
        axes.legend(handles=handles, loc="upper right", fontsize=8.0, handlelength=2.2, borderaxespad=0.0)
    top = max(value for group in comparison.groups for curve in group.lambdas.values() for value in curve.mean)
    axes.set_ylim(0.0, 1.08 * top if top > 0.0 else 1.0)
    axes.set_ylabel("λ")
    axes.yaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
    axes.grid(axis="y")


def tasks_figure(comparison: Comparison) -> Figure | None:
    """Final score of every group on every task as bars, the teachers' as markers. None if tasks are not logged."""
    if not comparison.tasks:
        return None
    with look():
        bar, title, gap = 0.16, 0.21, 0.12  # inches
        block = title + bar * len(comparison.groups) + gap
        handles = [_group_handle(comparison, group, bar=True) for group in comparison.groups] + _marker_handles(comparison)
        height = block * len(comparison.tasks) + 0.2 * _legend_rows(handles) + 0.6
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots()
        for k, task in enumerate(comparison.tasks):
            axes.annotate(task, (0.0, k * block + title - 0.03), xytext=(3, 0), textcoords="offset points", fontsize=8.5)
            for g, group in enumerate(comparison.groups):
                _draw_bar(axes, comparison, group, task, y=k * block + title + bar * (g + 0.5), height=0.82 * bar)
            _draw_teachers(axes, comparison, task, y=k * block + title + bar * len(comparison.groups) / 2.0)
        lowest = min(0.0, *(_lowest(group.tasks[task]) for group in comparison.groups for task in comparison.tasks))
        axes.set_xlim(lowest, 100.0)
        axes.set_ylim(block * len(comparison.tasks) - gap / 2.0, 0.0)
        axes.set_yticks([])
        axes.spines["left"].set_position(("data", 0.0))
        axes.set_xlabel("final score")
        axes.grid(axis="x")
        _legend(figure, handles)
        return figure


def _draw_bar(axes: Axes, comparison: Comparison, group: GroupResult, task: str, *, y: float, height: float) -> None:
    score = group.tasks[task]
    axes.barh(y, score.value or 0.0, height=height, color=colour(comparison, group), linewidth=0)
    if score.low is not None and score.high is not None:
        axes.plot([score.low, score.high], [y, y], color=INK, linewidth=1.0, solid_capstyle="butt", clip_on=False)


def _draw_teachers(axes: Axes, comparison: Comparison, task: str, *, y: float) -> None:
    teachers = [teacher for teacher in comparison.teachers if task in teacher.tasks]
    if len(comparison.teachers) > NAMED_TEACHERS:
        best = max((teacher.tasks[task] for teacher in teachers), default=None)
        points = [] if best is None else [(best, MARKERS[0])]
    else:
        points = [(teacher.tasks[task], MARKERS[comparison.teachers.index(teacher)]) for teacher in teachers]
    for score, marker in points:
        axes.plot(score, y, marker, markersize=5.5, color=INK, markerfacecolor=PAPER, markeredgewidth=1.1, clip_on=False, zorder=4)


def _lowest(estimate: Estimate) -> float:
    return min(x for x in (estimate.value, estimate.low) if x is not None)


def _dash(comparison: Comparison, group: GroupResult) -> Any:
    """Solid until the colours are used up."""
    return DASHES[max(comparison.groups.index(group) - 1, 0) // len(COLOURS) % len(DASHES)]


def _suite_teachers(comparison: Comparison) -> list[TeacherResult]:
    return [teacher for teacher in comparison.teachers if teacher.whole_suite]


def _lambda_names(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(teacher for group in comparison.groups for teacher in group.lambdas))


def _group_handle(comparison: Comparison, group: GroupResult, *, bar: bool = False) -> Handle:
    seeds = f"{len(group.seeds)} seed{'s' if len(group.seeds) > 1 else ''}"
    shade, label = colour(comparison, group), f"{group.name} ({seeds})"
    if bar:
        return Patch(facecolor=shade, linewidth=0, label=label)
    return Line2D([], [], color=shade, linewidth=2.2, linestyle=_dash(comparison, group), label=label)


def _teacher_handles(comparison: Comparison) -> list[Handle]:
    teachers = sorted(_suite_teachers(comparison), key=lambda teacher: -teacher.score)
    if not teachers:
        return []
    best = f"{teachers[0].name}, {score_text(teachers[0].score)}"
    label = f"teacher {best}" if len(teachers) == 1 else f"{len(teachers)} teachers, best {best}"
    return [Line2D([], [], color=INK, linestyle=TEACHER_DASH, linewidth=1.0, label=label)]


def _marker_handles(comparison: Comparison) -> list[Handle]:
    teachers = [teacher for teacher in comparison.teachers if teacher.tasks]
    names = [f"teacher {teacher.name}" for teacher in teachers] if len(teachers) <= NAMED_TEACHERS else ["best teacher"]
    markers = zip(names if teachers else [], MARKERS, strict=False)
    return [
        Line2D([], [], color=INK, marker=marker, markersize=5.5, markerfacecolor=PAPER, linestyle="", label=name)
        for name, marker in markers
    ]


def _legend_columns(handles: list[Handle]) -> int:
    longest = max(len(str(handle.get_label())) for handle in handles)
    return max(1, min(len(handles), int(72 / (longest + 7))))


def _legend_rows(handles: list[Handle]) -> int:
    return -(-len(handles) // _legend_columns(handles))


def _legend(figure: Figure, handles: list[Handle]) -> None:
    figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=_legend_columns(handles),
        fontsize=8.5,
        handlelength=1.6,
        columnspacing=1.4,
        borderpad=0.2,
    )


def save(figure: Figure, stem: Path) -> str:
    """Write STEM.png and STEM.svg; the answer is the text of the latter."""
    buffer = io.StringIO()
    with look():
        figure.savefig(stem.with_suffix(".png"), dpi=200, metadata={"Software": None})
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    stem.with_suffix(".svg").write_text(buffer.getvalue(), encoding="utf-8")
    return buffer.getvalue()
