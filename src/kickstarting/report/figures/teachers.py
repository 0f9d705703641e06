"""Who was listened to, when: the weight of every teacher over frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kickstarting.report.comparison import Comparison, GroupResult
from kickstarting.report.figures.legend import colour, frames_axis
from kickstarting.report.look import INK, WIDTH, label, look
from kickstarting.report.teachers import NAMED

SHADES = 16  # more cannot be told apart
COLUMNS = 200
SAME = 0.01  # of the largest weight


@dataclass(frozen=True, eq=False)
class Voice:
    """Teachers that have the same weight at all frames."""

    names: tuple[str, ...]
    frames: np.ndarray
    weights: np.ndarray

    @property
    def label(self) -> str:
        return ", ".join(self.names) if len(self.names) < 3 else f"{self.names[0]} and {len(self.names) - 1} more"


def weight_table(group: GroupResult) -> tuple[np.ndarray, np.ndarray]:
    """Frames [N] and the lambda of each teacher, in the order of `lambdas`, there: [teachers, N]."""
    curves = group.lambdas.values()
    frames = np.linspace(max(c.frames[0] for c in curves), min(c.frames[-1] for c in curves), COLUMNS + 1)
    return frames, np.stack([np.interp(frames, curve.frames, curve.mean) for curve in curves])


def voices(group: GroupResult) -> tuple[Voice, ...]:
    """The group's teachers, those of the same weight as one."""
    frames, weights = weight_table(group)
    alike: list[list[int]] = []
    for row in range(len(weights)):
        for rows in alike:
            if np.allclose(weights[rows[0]], weights[row], rtol=0.0, atol=SAME * weights.max()):
                rows.append(row)
                break
        else:
            alike.append([row])
    names = list(group.lambdas)
    return tuple(Voice(tuple(names[row] for row in rows), frames, weights[rows[0]]) for rows in alike)


def teachers_figure(comparison: Comparison) -> Figure | None:
    """Teacher by frames, darker where lambda is larger: a map for each group with more voices than lines can show.

    None if there is no such group. The first to be let go stands at the top.
    """
    shown = [group for group in comparison.groups if group.lambdas and len(voices(group)) > NAMED]
    if not shown:
        return None
    tables = {group.name: weight_table(group) for group in shown}
    top = max(float(weights.max()) for _, weights in tables.values())
    row, heading = 0.16, 0.32  # inches
    with look():
        heights = [row * len(group.lambdas) for group in shown]
        figure = Figure(figsize=(WIDTH, sum(heights) + heading * len(shown) + 0.75), layout="constrained")
        axes = figure.subplots(1 + len(shown), 1, height_ratios=[0.1, *heights], squeeze=False)[:, 0]
        _draw_scale(axes[0], top)
        order = _first_let_go(shown)
        for ax, group in zip(axes[1:], shown, strict=True):
            _draw_map(ax, group, order, top, colour(comparison, group))
            frames_axis(ax, max(group.frames for group in shown))
            ax.set_xlabel("frames" if group is shown[-1] else "")
        return figure


def _first_let_go(groups: list[GroupResult]) -> list[str]:
    """Teachers by how much they were listened to altogether, one order for all groups."""
    heard: dict[str, list[float]] = {}
    for group in groups:
        _, weights = weight_table(group)
        for name, row in zip(group.lambdas, weights, strict=True):
            heard.setdefault(name, []).append(float(row.sum()))
    return sorted(heard, key=lambda name: (np.mean(heard[name]), name))


def _draw_map(axes: Axes, group: GroupResult, order: list[str], top: float, shade: str) -> None:
    frames, weights = weight_table(group)
    names = [name for name in order if name in group.lambdas]
    rows = list(group.lambdas)
    for y, name in enumerate(names):
        _draw_row(axes, y, frames, _levels(weights[rows.index(name)], top), shade)
    axes.set_yticks(range(len(names)), list(map(label, names)), fontsize=8.0)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title(label(group.name), loc="left", fontsize=9.0, fontweight="bold", color=INK)


def _draw_row(axes: Axes, y: float, frames: np.ndarray, levels: np.ndarray, shade: str) -> None:
    """Layers of ink, one more for each level, since cells side by side would show seams in a scaled SVG.

    Opacity suits light and dark pages; few stretches make a small file.
    """
    cells = (levels[:-1] + levels[1:]) // 2
    opacity = np.concatenate([[0.0], np.linspace(0.12, 1.0, SHADES)])
    for level in range(1, SHADES + 1):
        layer = (opacity[level] - opacity[level - 1]) / (1.0 - opacity[level - 1])
        edges = np.flatnonzero(np.diff(cells >= level, prepend=False, append=False))
        for start, end in edges.reshape(-1, 2):
            axes.barh(y, frames[end] - frames[start], 0.86, frames[start], color=shade, alpha=layer, linewidth=0)


def _levels(weights: np.ndarray, top: float) -> np.ndarray:
    """0 to SHADES; 0 only for no weight at all, so that a faint voice is not lost."""
    return (
        np.where(weights > 0.0, np.maximum(1, np.round(SHADES * weights / top)), 0).astype(int) if top else 0 * weights.astype(int)
    )


def _draw_scale(axes: Axes, top: float) -> None:
    """λ from 0 to the largest weight."""
    _draw_row(axes, 0.0, np.linspace(0.0, top, SHADES + 1), np.arange(SHADES + 1), INK)
    axes.set_xlim(0.0, 3.0 * top)
    axes.axis("off")
    axes.annotate("0", (0.0, 0.0), xytext=(-4, 0), textcoords="offset points", ha="right", va="center", fontsize=8.0)
    axes.annotate(f"λ {top:.3g}", (top, 0.0), xytext=(4, 0), textcoords="offset points", ha="left", va="center", fontsize=8.0)
