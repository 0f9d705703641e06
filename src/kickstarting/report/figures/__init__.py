"""The figures of a comparison; legible on a phone, in the dark and to the colour-blind."""

from __future__ import annotations

import io
import re
from pathlib import Path

from matplotlib.figure import Figure

from kickstarting.report.comparison import Comparison, Lineage
from kickstarting.report.figures.curves import curves_figure
from kickstarting.report.figures.lineage import lineage_figure
from kickstarting.report.figures.panels import panels_figure
from kickstarting.report.figures.score_map import score_map_figure
from kickstarting.report.figures.tasks import tasks_figure
from kickstarting.report.figures.teachers import teachers_figure
from kickstarting.report.look import look

__all__ = [
    "curves_figure",
    "draw",
    "lineage_figure",
    "lineage_stem",
    "panels_figure",
    "save",
    "score_map_figure",
    "tasks_figure",
    "teachers_figure",
]

TOGETHER = 7
"""Groups whose curves and bars can be told apart in one panel."""


def draw(comparison: Comparison) -> dict[str, Figure]:
    """Every figure that there is something to draw in, by the stem of its files."""
    many = len(comparison.groups) > TOGETHER
    figures = {
        "curves": (panels_figure if many else curves_figure)(comparison),
        "teachers": teachers_figure(comparison),
        "tasks": (score_map_figure if many else tasks_figure)(comparison),
        **{lineage_stem(comparison, lineage): lineage_figure(lineage) for lineage in comparison.lineages},
    }
    return {stem: figure for stem, figure in figures.items() if figure}


def lineage_stem(comparison: Comparison, lineage: Lineage) -> str:
    """'lineage', or 'lineage-NAME-SEED' where there are several."""
    if len(comparison.lineages) == 1:
        return "lineage"
    return f"lineage-{re.sub(r'[^A-Za-z0-9_.-]+', '-', lineage.name)}-{lineage.seed}"


def save(figure: Figure, stem: Path) -> str:
    """Write STEM.png and STEM.svg; the answer is the text of the latter."""
    buffer = io.StringIO()
    with look():
        figure.savefig(stem.with_name(f"{stem.name}.png"), dpi=200, metadata={"Software": None})
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    stem.with_name(f"{stem.name}.svg").write_text(buffer.getvalue(), encoding="utf-8")
    return buffer.getvalue()
