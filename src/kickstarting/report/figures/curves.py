"""Learning curves above the teachers' weights (the paper's Figure 2)."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from kickstarting.report.comparison import Comparison
from kickstarting.report.figures.legend import (
    colour,
    curve_scores,
    dash,
    draw_legend,
    frames_axis,
    group_handle,
    legend_height,
    score_limits,
    teacher_line_handles,
)
from kickstarting.report.figures.teachers import voices, weight_table
from kickstarting.report.look import DASHES, FAINT, INK, TEACHER_DASH, WIDTH, label, look
from kickstarting.report.teachers import NAMED


def curves_figure(comparison: Comparison) -> Figure:
    """Score against frames with bands over seeds; below it, where there are teachers, their lambda."""
    with look():
        with_lambdas = any(group.lambdas for group in comparison.groups)
        handles = [group_handle(comparison, group) for group in comparison.groups] + teacher_line_handles(comparison)
        heights = [2.7, 1.0] if with_lambdas else [2.7]
        figure = Figure(figsize=(WIDTH, sum(heights) + legend_height(handles) + 0.5), layout="constrained")
        axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
        _draw_scores(axes[0], comparison)
        if with_lambdas:
            _draw_lambdas(axes[1], comparison)
        frames_axis(axes[-1], max(group.frames for group in comparison.groups))
        draw_legend(figure, handles)
        return figure


def _draw_scores(axes: Axes, comparison: Comparison) -> None:
    for group in reversed(comparison.groups):  # the baseline last, so that it is never hidden
        curve, shade = group.curve, colour(comparison, group)
        if curve.low:
            axes.fill_between(curve.frames, curve.low, curve.high, color=shade, alpha=0.18, linewidth=0)
        axes.plot(curve.frames, curve.mean, color=shade, linestyle=dash(comparison, group), linewidth=1.8)
    for teacher in comparison.yardsticks:
        if teacher.whole_suite:
            axes.axhline(teacher.score, color=INK, linestyle=TEACHER_DASH, linewidth=1.0, zorder=1.5)
    axes.set_ylim(score_limits(curve_scores(comparison), comparison.points))
    axes.set_ylabel("score")
    axes.grid(axis="y")


def _draw_lambdas(axes: Axes, comparison: Comparison) -> None:
    """One line for teachers of one weight; the mean and range of those that `teachers_figure` shows one by one."""
    taught = [(group, voices(group)) for group in comparison.groups if group.lambdas]
    keys = list(dict.fromkeys(voice.label for _, several in taught if 1 < len(several) <= NAMED for voice in several))
    for index, (group, several) in enumerate(taught):
        width = 1.3 + 0.9 * min(len(taught) - 1 - index, 3)  # schedules are often the same: a wide line shows below a thin one
        shade = colour(comparison, group)
        if len(several) > NAMED:
            frames, weights = weight_table(group)
            axes.fill_between(frames, weights.min(axis=0), weights.max(axis=0), color=shade, alpha=0.18, linewidth=0)
            axes.plot(frames, weights.mean(axis=0), color=shade, linewidth=width, clip_on=False)
            continue
        for voice in several:
            style = DASHES[keys.index(voice.label) % len(DASHES)] if voice.label in keys else "-"
            axes.plot(voice.frames, voice.weights, color=shade, linestyle=style, linewidth=width, clip_on=False)
    if keys:
        styles = [DASHES[i % len(DASHES)] for i in range(len(keys))]
        handles = [
            Line2D([], [], color=FAINT, linestyle=s, linewidth=1.4, label=label(key)) for s, key in zip(styles, keys, strict=True)
        ]
        axes.legend(handles=handles, loc="upper right", fontsize=8.0, handlelength=2.2, borderaxespad=0.0)
    top = max(value for group, _ in taught for curve in group.lambdas.values() for value in curve.mean)
    axes.set_ylim(0.0, 1.08 * top if top > 0.0 else 1.0)
    axes.set_ylabel("λ")
    axes.yaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
    axes.grid(axis="y")
