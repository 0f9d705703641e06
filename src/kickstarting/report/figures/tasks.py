"""Final score on every task."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kickstarting.report.comparison import Comparison, GroupResult
from kickstarting.report.figures.legend import (
    colour,
    draw_legend,
    group_handle,
    legend_height,
    score_limits,
    teacher_marker_handles,
    teacher_markers,
)
from kickstarting.report.look import FAINT, INK, PAPER, WIDTH, label, look

FEW = 12  # tasks; the bars of more are thinner


def tasks_figure(comparison: Comparison) -> Figure | None:
    """A bar for every group on every task, the teachers as markers. None if tasks are not logged."""
    tasks, groups = comparison.tasks, comparison.groups
    if not tasks:
        return None
    bar, gap = (0.13, 0.13) if len(tasks) <= FEW else (0.08, 0.09)  # inches
    block = max(bar * len(groups) + gap, 0.2)
    with look():
        handles = [group_handle(comparison, group, bar=True) for group in groups] + teacher_marker_handles(comparison)
        figure = Figure(figsize=(WIDTH, block * len(tasks) + legend_height(handles) + 0.6), layout="constrained")
        axes = figure.subplots()
        middles = [(k + 0.5) * block for k in range(len(tasks))]
        for task, middle in zip(tasks, middles, strict=True):
            for g, group in enumerate(groups):
                _draw_bar(axes, comparison, group, task, y=middle + bar * (g - (len(groups) - 1) / 2.0), height=0.86 * bar)
            for teacher, marker in teacher_markers(comparison):
                if task in teacher.tasks:
                    _draw_teacher(axes, teacher.tasks[task], marker, y=middle, reach=0.5 * bar * len(groups))
        axes.set_yticks(middles, list(map(label, tasks)), fontsize=8.5 if len(tasks) <= FEW else 8.0)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(block * len(tasks), 0.0)
        axes.set_xlim(score_limits(_ends(comparison), comparison.points))
        axes.spines["left"].set_visible(False)
        axes.axvline(0.0, color=FAINT, linewidth=0.8)
        axes.set_xlabel("final score")
        axes.grid(axis="x")
        draw_legend(figure, handles)
        return figure


def _draw_bar(axes: Axes, comparison: Comparison, group: GroupResult, task: str, *, y: float, height: float) -> None:
    score = group.tasks[task]
    axes.barh(y, score.value or 0.0, height=height, color=colour(comparison, group), linewidth=0)
    if score.low is not None and score.high is not None:
        axes.plot([score.low, score.high], [y, y], color=INK, linewidth=1.0, solid_capstyle="butt", clip_on=False)


def _draw_teacher(axes: Axes, score: float, marker: str, *, y: float, reach: float) -> None:
    """A stroke across the bars, so that each can be seen to end before or behind it."""
    axes.plot([score, score], [y - reach, y + reach], color=PAPER, linewidth=2.4, solid_capstyle="butt", clip_on=False, zorder=3)
    axes.plot([score, score], [y - reach, y + reach], color=INK, linewidth=1.2, solid_capstyle="butt", clip_on=False, zorder=3)
    axes.plot(score, y, marker, markersize=4.5, color=INK, markerfacecolor=PAPER, markeredgewidth=1.1, clip_on=False, zorder=4)


def _ends(comparison: Comparison) -> list[float]:
    estimates = [estimate for group in comparison.groups for estimate in group.tasks.values()]
    ends = [end for estimate in estimates for end in (estimate.value, estimate.low, estimate.high) if end is not None]
    return ends + [score for teacher in comparison.yardsticks for score in teacher.tasks.values()]
