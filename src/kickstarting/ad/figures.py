"""Pictures: the return by episode in context, what histories hold, and the path of an agent."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kickstarting.report.look import BASELINE, COLOURS, DASHES, FAINT, GRID, WIDTH, label, look
from kickstarting.runs.files import check_replaceable, write_bytes

BAND = 1.96
"""Standard errors of a band around a mean."""


def curves_figure(shares: Mapping[str, np.ndarray], title: str = "", what: str = "share of the optimum") -> Figure:
    """One curve of each name, [rows, episodes], with a band of 95 % of the mean over rows."""
    with look():
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        axes = figure.subplots()
        for i, (name, x) in enumerate(shares.items()):
            mean = x.mean(0)
            error = BAND * x.std(0, ddof=1) / len(x) ** 0.5 if len(x) > 1 else np.zeros_like(mean)
            episodes, colour = np.arange(1, len(mean) + 1), COLOURS[i % len(COLOURS)]
            axes.fill_between(episodes, mean - error, mean + error, color=colour, alpha=0.15, linewidth=0)
            axes.plot(episodes, mean, color=colour, linestyle=DASHES[i % len(DASHES)], linewidth=1.6, label=label(name))
        axes.set_xlabel("episode")
        axes.set_ylabel(what)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        axes.legend(loc="best", fontsize=8)
        if title:
            axes.set_title(title, fontsize=9)
        return figure


def panels_figure(panels: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]]) -> Figure:
    """A panel of curves for each title: by name the mean by episode, and both ends of its interval."""
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    with look():
        figure = Figure(figsize=(WIDTH, (2.4 if columns > 1 else 3.0) * rows + 0.5), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for axes, (title, curves) in zip(grid.flat, panels.items(), strict=False):
            for name, (mean, low, high) in curves.items():
                i, episodes = names.index(name), np.arange(1, len(mean) + 1)
                colour, dash = (COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)])
                axes.fill_between(episodes, low, high, color=colour, alpha=0.15, linewidth=0)
                axes.plot(episodes, mean, color=colour, linestyle=dash, linewidth=1.4, label=label(name))
            axes.set_ylim(0, 1.05)
            axes.set_xlim(1, max(2, *(len(mean) for mean, _, _ in curves.values())))
            axes.grid(axis="y")
            axes.set_title(label(title), fontsize=9)
        for axes in grid.flat[
            max(0, len(panels) - columns) : len(panels)
        ]:  # matplotlib would write a figure's label over its legend
            axes.set_xlabel("episode in context")
        figure.supylabel("share of the optimum", fontsize=9)
        handles = {name: line for axes in grid.flat for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=2, fontsize=8)
        return figure


def paths_figure(paths: np.ndarray, goals: np.ndarray, returns: np.ndarray, size: int, episodes: Sequence[int]) -> Figure:
    """The way of one agent through a room in some episodes. paths: [episodes, H+1, 2]; goals: [goals, 2]."""
    with look():
        figure = Figure(figsize=(WIDTH, 1.35 * -(-len(episodes) // 4) + 0.2), layout="constrained")
        panels = figure.subplots(-(-len(episodes) // 4), 4, squeeze=False).flat
        for axes in panels:
            axes.set_axis_off()
        for axes, number in zip(figure.axes, episodes, strict=False):
            draw_path(axes, paths[number], goals, size)
            axes.set_title(f"episode {number + 1}: {returns[number]:g}", fontsize=8)
        return figure


def draw_path(axes: Axes, path: np.ndarray, goals: np.ndarray, size: int) -> None:
    """One episode; later steps are darker."""
    axes.set_axis_on()
    axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), xticks=[], yticks=[], aspect="equal")
    for spine in axes.spines.values():
        spine.set_visible(True)
    lines = np.arange(size + 1) - 0.5
    axes.hlines(lines, -0.5, size - 0.5, color=GRID, linewidth=0.4)
    axes.vlines(lines, -0.5, size - 0.5, color=GRID, linewidth=0.4)
    for goal, colour in zip(goals, (COLOURS[2], COLOURS[4]), strict=False):
        axes.scatter(*goal, marker="s", s=60, color=colour, alpha=0.55, linewidths=0)
    axes.plot(*path.T, color=COLOURS[0], linewidth=1.4, alpha=0.8)
    axes.scatter(*path[0], s=14, facecolors="white", edgecolors=FAINT, zorder=3)
    axes.scatter(*path[-1], s=18, color=COLOURS[1], zorder=4)


def path_animation(
    paths: np.ndarray, goals: np.ndarray, returns: np.ndarray, optimum: float, size: int, episodes: Sequence[int], path: Path
) -> None:
    """Write a GIF: the agent walks episode by episode, and the curve grows. paths: [episodes, H+1, 2] of one agent."""
    frames = [(number, step) for number in episodes for step in range(1, paths.shape[1], 3 if number > 3 else 2)]
    with look():
        figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
        room, curve = figure.subplots(1, 2)

        def draw(frame: tuple[int, int]) -> list:
            number, step = frame
            room.clear()
            draw_path(room, paths[number, : step + 1], goals, size)
            room.set_title(f"episode {number + 1}, step {step}", fontsize=9)
            curve.clear()
            curve.axhline(optimum, color=BASELINE, linestyle=DASHES[1], linewidth=1.0)
            curve.plot(np.arange(1, number + 1), returns[:number], color=COLOURS[0], linewidth=1.4)
            curve.set(xlim=(0, len(returns)), ylim=(0, 1.1 * optimum), xlabel="episode", ylabel="return")
            return []

        check_replaceable(path)
        FuncAnimation(figure, draw, frames=frames, interval=60).save(path, writer=PillowWriter(fps=16), dpi=90)  # type: ignore[arg-type]


def write_figure(figure: Figure, path: Path) -> None:
    """As PNG."""
    check_replaceable(path)
    image = io.BytesIO()
    with look():
        figure.savefig(image, format="png", dpi=160, metadata={"Software": None})
    write_bytes(path, image.getvalue())
