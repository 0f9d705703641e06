"""Final score of many groups on every task: a map instead of bars."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kickstarting.report.comparison import Comparison
from kickstarting.report.look import COLOURS, INK, WIDTH, label, look

ROW, HEADING = 0.2, 1.35  # inches
DARKEST = 0.55  # opacity of a full score, on which ink can still be read


def score_map_figure(comparison: Comparison) -> Figure | None:
    """Tasks by groups, the teachers behind them; darker where the score is higher: up to 100 points, or where scores are returns
    from the lowest to the highest of the row. None if tasks are not logged."""
    tasks, groups = comparison.tasks, comparison.groups
    if not tasks:
        return None
    columns = {group.name: {task: estimate.value for task, estimate in group.tasks.items()} for group in groups}
    columns |= {f"{t.name} (teacher)" if t.experts == 1 else t.name: dict(t.tasks) for t in comparison.yardsticks if t.tasks}
    with look():
        figure = Figure(figsize=(WIDTH, ROW * len(tasks) + HEADING + 0.1), layout="constrained")
        axes = figure.subplots()
        for y, task in enumerate(tasks):
            known = {x: score for x, scores in enumerate(columns.values()) if (score := scores.get(task)) is not None}
            low, high = (0.0, 100.0) if comparison.points else (min(known.values(), default=0.0), max(known.values(), default=0.0))
            for x, score in known.items():
                _draw_cell(axes, x, y, score, (score - low) / (high - low) if high > low else 1.0)
        names = [label(name, 20) for name in columns]
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7.5)
        axes.set_yticks(range(len(tasks)), list(map(label, tasks)), fontsize=8.0)
        axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(len(tasks) - 0.5, -0.5)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.axvline(0.5, color=INK, linewidth=0.8)
        if len(columns) > len(groups):
            axes.axvline(len(groups) - 0.5, color=INK, linewidth=0.8)
        return figure


def _draw_cell(axes: Axes, x: int, y: int, score: float, share: float) -> None:
    """share: of a full score."""
    axes.barh(y, 0.94, 0.9, x - 0.47, color=COLOURS[0], alpha=DARKEST * min(max(share, 0.0), 1.0), linewidth=0)
    axes.text(x, y, f"{score:.0f}".replace("-0", "0"), ha="center", va="center", fontsize=7.5)
