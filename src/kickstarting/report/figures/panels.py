"""Learning curves of many groups: a panel for each, in front of all the others."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from kickstarting.report.comparison import Comparison, GroupResult
from kickstarting.report.figures.legend import curve_scores, draw_legend, legend_height, score_limits, teacher_line_handles
from kickstarting.report.figures.teachers import voices, weight_table
from kickstarting.report.look import BASELINE, COLOURS, FAINT, INK, TEACHER_DASH, WIDTH, label, look
from kickstarting.report.teachers import NAMED
from kickstarting.report.wording import frames_text, score_text

COLUMNS = 3
TITLE = 24  # characters of a line
SHADE = COLOURS[0]
OTHERS: dict[str, Any] = {"color": FAINT, "alpha": 0.35, "linewidth": 0.7}


def panels_figure(comparison: Comparison) -> Figure:
    """Of every group but the baseline: score with its band and final value; below it, where there are teachers, their lambda."""
    baseline, *groups = comparison.groups
    with look():
        handles = [
            Line2D([], [], color=SHADE, linewidth=1.8, label="the named one"),
            Patch(facecolor=SHADE, alpha=0.18, linewidth=0, label="95% over its seeds"),
            Line2D([], [], color=BASELINE, linewidth=1.3, label=label(baseline.name)),
            Line2D([], [], **OTHERS, label="all others"),
            *teacher_line_handles(comparison),
        ]
        heights = [1.15, 0.4] if any(group.lambdas for group in groups) else [1.15]
        rows, deep = -(-len(groups) // COLUMNS), len(heights)
        figure = Figure(figsize=(WIDTH, rows * (sum(heights) + 0.25) + legend_height(handles) + 0.3), layout="constrained")
        axes = figure.subplots(deep * rows, COLUMNS, sharex=True, sharey="row", height_ratios=heights * rows, squeeze=False)
        for ax in axes.flat[deep * COLUMNS * (rows - 1) :]:
            ax.axis("off")
        for place, group in enumerate(groups):
            row, column = divmod(place, COLUMNS)
            score, *below = axes[deep * row : deep * (row + 1), column]
            _draw_score(score, comparison, group)
            for ax in below:
                _draw_lambda(ax, comparison, group)
            for ax, title in zip([score, *below], ("score", "λ"), strict=False):
                ax.axis("on")
                ax.set_ylabel(title if column == 0 else "")
            [score, *below][-1].tick_params(labelbottom=True)
        axes[0, 0].xaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
        axes[0, 0].xaxis.set_major_formatter(FuncFormatter(lambda frames, _: frames_text(frames)))
        axes[0, 0].set_xlim(0, max(group.frames for group in comparison.groups))
        figure.supxlabel("frames", fontsize=9.0)
        draw_legend(figure, handles)
        return figure


def _draw_score(axes: Axes, comparison: Comparison, group: GroupResult) -> None:
    baseline, curve = comparison.groups[0].curve, group.curve
    for other in comparison.groups[1:]:
        axes.plot(other.curve.frames, other.curve.mean, **OTHERS)
    axes.plot(baseline.frames, baseline.mean, color=BASELINE, linewidth=1.3)
    if curve.low:
        axes.fill_between(curve.frames, curve.low, curve.high, color=SHADE, alpha=0.18, linewidth=0)
    axes.plot(curve.frames, curve.mean, color=SHADE, linewidth=1.8)
    for teacher in comparison.yardsticks:
        if teacher.whole_suite:
            axes.axhline(teacher.score, color=INK, linestyle=TEACHER_DASH, linewidth=0.8, zorder=1.5)
    axes.set_title(label(group.name, TITLE), loc="left", fontsize=8.0, pad=3.0)
    if group.final.value is not None:
        axes.text(0.98, 0.93, score_text(group.final.value), color=SHADE, ha="right", va="top", transform=axes.transAxes)
    axes.set_ylim(score_limits(curve_scores(comparison), comparison.points))
    axes.grid(axis="y")


def _draw_lambda(axes: Axes, comparison: Comparison, group: GroupResult) -> None:
    several = voices(group) if group.lambdas else ()
    for voice in several if len(several) <= NAMED else ():
        axes.plot(voice.frames, voice.weights, color=SHADE, linewidth=1.3, clip_on=False)
    if len(several) > NAMED:
        frames, weights = weight_table(group)
        axes.fill_between(frames, weights.min(axis=0), weights.max(axis=0), color=SHADE, alpha=0.18, linewidth=0)
        axes.plot(frames, weights.mean(axis=0), color=SHADE, linewidth=1.3, clip_on=False)
    strongest = max(value for g in comparison.groups for curve in g.lambdas.values() for value in curve.mean)
    axes.set_ylim(0.0, 1.08 * strongest or 1.0)
    axes.yaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
    axes.grid(axis="y")
