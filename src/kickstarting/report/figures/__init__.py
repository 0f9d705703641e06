"""The figures of a comparison; legible on a phone, in the dark and to the colour-blind."""

from __future__ import annotations

import io
import re

from matplotlib.figure import Figure

from kickstarting.report.comparison import Comparison, Lineage
from kickstarting.report.figures.curves import curves_figure
from kickstarting.report.figures.lineage import lineage_figure
from kickstarting.report.figures.panels import panels_figure
from kickstarting.report.figures.score_map import score_map_figure
from kickstarting.report.figures.tasks import tasks_figure
from kickstarting.report.figures.teachers import teachers_figure
from kickstarting.report.look import LONGEST, look

__all__ = [
    "curves_figure",
    "draw",
    "lineage_figure",
    "lineage_stem",
    "panels_figure",
    "rendered",
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
    """'lineage', or 'lineage-NAME-SEED' where there are several, with what may stand in the name of a file."""
    if len(comparison.lineages) == 1:
        return "lineage"
    stems = [_stem(other) for other in comparison.lineages]
    same = [other for other, stem in zip(comparison.lineages, stems, strict=True) if stem == _stem(lineage)]
    return _stem(lineage) + (f"-{1 + same.index(lineage)}" if len(same) > 1 else "")


def _stem(lineage: Lineage) -> str:
    return f"lineage-{re.sub(r'[^A-Za-z0-9_.-]+', '-', lineage.name)[:LONGEST]}-{lineage.seed}"


def rendered(figure: Figure) -> tuple[bytes, str]:
    """As PNG, and as SVG."""
    png, svg = io.BytesIO(), io.StringIO()
    with look():
        figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return png.getvalue(), svg.getvalue()
