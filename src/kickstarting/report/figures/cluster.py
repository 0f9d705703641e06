"""A run on a cluster over time: who was alive, how many actors, how full the queue, how old the policies that acted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from kickstarting.report.comparison import ClusterHistory, ClusterPart
from kickstarting.report.figures.legend import draw_legend, legend_height
from kickstarting.report.look import COLOURS, FAINT, WIDTH, label, look

LANES = 24
"""Parts that have a lane: of more those to which most happened."""
MARKS = {"lost": ("x", COLOURS[1]), "stuck": ("s", COLOURS[4]), "gave up": ("P", COLOURS[1]), "drained": ("v", COLOURS[3])}


def cluster_figure(cluster: ClusterHistory) -> Figure:
    """Lanes of parts, below them the number of actors and the queue, below that the lag."""
    with look():
        lanes = lanes_of(cluster)
        kinds = {event.event for event in cluster.events}
        handles = [Line2D([], [], color=COLOURS[0], linewidth=3.0, label="alive")] if lanes else []
        handles += [
            Line2D([], [], color=colour, marker=mark, markersize=4.5, linestyle="", label=kind)
            for kind, (mark, colour) in MARKS.items()
            if kind in kinds
        ]
        curves = {
            "actors alive": [(cluster.alive, COLOURS[0])],
            "queue": [(cluster.queue, COLOURS[2])],
            "lag, mean\nand largest": [(cluster.lag_max, FAINT), (cluster.lag, COLOURS[0])],
        }
        panels = {title: lines for title, lines in curves.items() if any(x is not None for values, _ in lines for x in values)}
        heights = [*([0.3 + 0.15 * len(lanes)] if lanes else []), *([0.9] * len(panels))]
        figure = Figure(figsize=(WIDTH, sum(heights) + (legend_height(handles) if handles else 0.0) + 0.6), layout="constrained")
        axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
        if lanes:
            _draw_lanes(axes[0], cluster, lanes)
        for ax, (title, lines) in zip(axes[len(heights) - len(panels) :], panels.items(), strict=True):
            _draw_curves(ax, cluster, lines)
            ax.set_ylabel(title, fontsize=8.0)
        _hours_axis(axes[-1], cluster.hours)
        if handles:
            draw_legend(figure, handles)
        return figure


def lanes_of(cluster: ClusterHistory) -> Sequence[ClusterPart]:
    """The parts that a figure shows, in their order."""
    happened = {
        part.name: sum(event.part == part.name and event.event in MARKS for event in cluster.events) for part in cluster.parts
    }
    shown = sorted(cluster.parts, key=lambda part: -happened[part.name])[:LANES]
    return [part for part in cluster.parts if part in shown]


def _draw_lanes(axes: Axes, cluster: ClusterHistory, lanes: Sequence[ClusterPart]) -> None:
    rows = {part.name: row for row, part in enumerate(lanes)}
    for part in lanes:
        for since, until in part.alive:
            axes.plot([since, until], [rows[part.name]] * 2, color=COLOURS[0], linewidth=3.0, solid_capstyle="butt")
    for event in cluster.events:
        if event.event in MARKS and event.part in rows:
            mark, colour = MARKS[event.event]
            axes.plot(event.hours, rows[event.part], mark, color=colour, markersize=4.5, markeredgewidth=1.2, zorder=3)
    axes.set_ylim(len(lanes) - 0.4, -0.6)
    axes.set_yticks(range(len(lanes)), [label(part.name) for part in lanes], fontsize=7.0)
    axes.tick_params(axis="y", length=0)


def _draw_curves(axes: Axes, cluster: ClusterHistory, lines: Sequence[tuple[Sequence[float | None], str]]) -> None:
    for values, colour in lines:
        known = [(at, value) for at, value in zip(cluster.at, values, strict=True) if value is not None]
        if known:
            axes.plot(*zip(*known, strict=True), color=colour, linewidth=1.2)
    axes.margins(y=0.08)
    axes.set_ylim(bottom=0.0)
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.grid(axis="y")


def _hours_axis(axes: Axes, last: float) -> None:
    unit, name = (1.0, "hours") if last >= 2.0 else (60.0, "minutes")
    axes.set_xlabel(name)
    axes.xaxis.set_major_locator(_Multiples(unit))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda hours, _: f"{hours * unit:g}"))
    axes.set_xlim(0, last or 1.0)


class _Multiples(MaxNLocator):
    """Round numbers of the unit that is shown."""

    def __init__(self, unit: float) -> None:
        super().__init__(6, steps=[1, 2, 2.5, 5, 10])
        self._unit = unit

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        return (np.asarray(super().tick_values(vmin * self._unit, vmax * self._unit)) / self._unit).tolist()
