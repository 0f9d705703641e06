"""A population: its members' scores, who copied whom, and every hyperparameter; the ancestry of the best one stands out."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from kickstarting.report.figures.legend import draw_legend, frames_axis, legend_height, score_limits
from kickstarting.report.lineage import Lineage
from kickstarting.report.look import COLOURS, FAINT, WIDTH, label, look
from kickstarting.report.teachers import NAMED

BEST, COPY = COLOURS[0], COLOURS[1]
OTHERS: dict[str, Any] = {"color": FAINT, "alpha": 0.55, "linewidth": 0.9}
ANCESTRY: dict[str, Any] = {"color": BEST, "linewidth": 2.2, "zorder": 3}
Points = list[tuple[float, float]]


def lineage_figure(lineage: Lineage) -> Figure:
    """Scores of the members, below them who goes on as whom, below that every hyperparameter on a logarithmic axis."""
    with look():
        panels = _panels(lineage)
        handles = [
            Line2D([], [], color=BEST, linewidth=2.2, label="ancestry of the best member"),
            Line2D([], [], color=FAINT, alpha=0.7, linewidth=0.9, label="other members"),
            Line2D([], [], color=COPY, linewidth=1.0, marker="o", markersize=3.5, label="is copied"),
            Line2D([], [], color=COPY, linewidth=1.0, marker="x", markersize=4.5, label="is replaced by the copy"),
        ]
        heights = [2.2, 0.3 + 0.13 * len(lineage.scores), *([0.95] * len(panels))]
        figure = Figure(figsize=(WIDTH, sum(heights) + legend_height(handles) + 0.5), layout="constrained")
        axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        _draw_scores(axes[0], lineage)
        _draw_members(axes[1], lineage)
        for ax, (title, names) in zip(axes[2:], panels.items(), strict=True):
            _draw_values(ax, lineage, names)
            ax.set_title(label(title), loc="left", fontsize=9.0, pad=3.0)
        frames_axis(axes[-1], lineage.frames[-1])
        draw_legend(figure, handles)
        return figure


def _panels(lineage: Lineage) -> dict[str, list[str]]:
    """Title and hyperparameters: one each, but the shares of many teachers together. What never changes has no panel."""
    changing = [name for name, rows in lineage.values.items() if len({value for row in rows for value in row}) > 1]
    shares = [name for name in changing if name.startswith("rho")]
    if len(shares) <= NAMED:
        return {name.replace("_", " "): [name] for name in changing}
    panels = {name.replace("_", " "): [name] for name in changing if name not in shares}
    return {**panels, f"rho of {len(shares)} teachers, in the ancestry of the best": shares}


def _draw_scores(axes: Axes, lineage: Lineage) -> None:
    """A line for each member, which after a copy begins where the copied one was."""
    for member, scores in enumerate(lineage.scores):
        points: Points = []
        for turn, score in enumerate(scores):
            if turn and (source := lineage.goes_on_as[member][turn - 1]) != member:
                _draw_line(axes, points)
                points = _known(lineage, [(source, turn - 1)])
            if score is not None:
                points.append((lineage.frames[turn], score))
        _draw_line(axes, points)
    _draw_line(axes, _known(lineage, [(member, turn) for turn, member in enumerate(lineage.ancestry)]), **ANCESTRY)
    for turn, member, source in lineage.copies:
        ends = [score for (_, score) in _known(lineage, [(source, turn), (member, turn)])]
        if len(ends) == 2:
            axes.plot([lineage.frames[turn]] * 2, ends, color=COPY, linewidth=1.0, zorder=3.5)
            axes.plot(lineage.frames[turn], ends[0], "o", color=COPY, markersize=3.5, zorder=4)
            axes.plot(lineage.frames[turn], ends[1], "x", color=COPY, markersize=4.5, markeredgewidth=1.2, zorder=4)
    known = [score for scores in lineage.scores for score in scores if score is not None]
    axes.set_ylim(score_limits(known, lineage.points))
    axes.set_ylabel("score")
    axes.grid(axis="y")


def _known(lineage: Lineage, places: list[tuple[int, int]]) -> Points:
    """Frames and score at (member, round), where there is a score."""
    found = [(lineage.frames[turn], lineage.scores[member][turn]) for member, turn in places]
    return [(frames, score) for frames, score in found if score is not None]


def _draw_line(axes: Axes, points: Points, **style) -> None:
    if points:
        axes.plot(*zip(*points, strict=True), **(style or OTHERS))


def _draw_members(axes: Axes, lineage: Lineage) -> None:
    """A lane for each member; an arrow leads from the one that is copied to the one that goes on with its weights."""
    members, frames = len(lineage.scores), [0, *lineage.frames]
    for member in range(members):
        axes.plot([0, frames[-1]], [member, member], **OTHERS)
    for turn, member in enumerate(lineage.ancestry):
        axes.plot(frames[turn : turn + 2], [member, member], **ANCESTRY)
    for turn, member, source in lineage.copies:
        _draw_copy(axes, frames[turn + 1], source, member, inherited=lineage.ancestry[turn : turn + 2] == (source, member))
    axes.set_ylim(members - 0.4, -0.6)
    axes.set_yticks(range(members), [str(member) for member in range(members)], fontsize=8.0)
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel("member")


def _draw_copy(axes: Axes, frames: float, source: int, member: int, *, inherited: bool) -> None:
    """Bowed, so that two copies of one moment can be told apart."""
    style = {"color": BEST, "linewidth": 2.0} if inherited else {"color": COPY, "linewidth": 1.0}
    bow = 0.3 if member < source else -0.3
    axes.annotate(
        "",
        xy=(frames, member),
        xytext=(frames, source),
        arrowprops={
            "arrowstyle": "-|>",
            "mutation_scale": 7,
            "shrinkA": 0,
            "shrinkB": 0,
            "connectionstyle": f"arc3,rad={bow}",
            **style,
        },
        zorder=4,
    )


def _draw_values(axes: Axes, lineage: Lineage, names: list[str]) -> None:
    """In force from one look to the next: steps. Several names: of the ancestry alone."""
    frames = [0, *lineage.frames]
    everything = []
    for name in names:
        rows = lineage.values[name]
        best = [rows[member][turn] for turn, member in enumerate(lineage.ancestry)]
        for row in rows if len(names) == 1 else ():
            axes.stairs(row, frames, baseline=None, **OTHERS)
        axes.stairs(best, frames, baseline=None, **(ANCESTRY if len(names) == 1 else {**ANCESTRY, "alpha": 0.5, "linewidth": 0.9}))
        everything += [*np.ravel(rows if len(names) == 1 else best)]
    axes.set_yscale("log")
    low, high = min(everything) / 1.3, max(everything) * 1.3
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(FixedLocator(_log_ticks(low, high)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.tick_params(axis="y", labelsize=8.0)
    axes.grid(axis="y")


def _log_ticks(low: float, high: float) -> list[float]:
    """At most four of 1, 2, 5 times a power of ten, fewer kinds of them where the range is wide."""
    powers = [10.0**power for power in range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)]
    for factors in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        ticks = [factor * power for power in powers for factor in factors if low <= factor * power <= high]
        if len(ticks) <= 4:
            break
    return ticks
