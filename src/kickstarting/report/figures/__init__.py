"""The figures of a comparison; legible on a phone, in the dark and to the colour-blind."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TypeVar

from matplotlib.figure import Figure

from kickstarting.report.comparison import ClusterHistory, Comparison
from kickstarting.report.figures.cluster import cluster_figure
from kickstarting.report.figures.curves import curves_figure
from kickstarting.report.figures.lineage import lineage_figure
from kickstarting.report.figures.panels import panels_figure
from kickstarting.report.figures.score_map import score_map_figure
from kickstarting.report.figures.tasks import tasks_figure
from kickstarting.report.figures.teachers import teachers_figure
from kickstarting.report.lineage import Lineage
from kickstarting.report.look import LONGEST, look

__all__ = [
    "cluster_figure",
    "curves_figure",
    "draw",
    "lineage_figure",
    "panels_figure",
    "rendered",
    "score_map_figure",
    "stem_of",
    "tasks_figure",
    "teachers_figure",
]

Several = TypeVar("Several", Lineage, ClusterHistory)
TOGETHER = 7
"""Groups whose curves and bars can be told apart in one panel."""


def draw(comparison: Comparison) -> dict[str, Figure]:
    """Every figure that there is something to draw in, by the stem of its files."""
    many = len(comparison.groups) > TOGETHER
    figures = {
        "curves": (panels_figure if many else curves_figure)(comparison),
        "teachers": teachers_figure(comparison),
        "tasks": (score_map_figure if many else tasks_figure)(comparison),
        **{stem_of("lineage", x, comparison.lineages): lineage_figure(x) for x in comparison.lineages},
        **{stem_of("cluster", x, comparison.clusters): cluster_figure(x) for x in comparison.clusters},
    }
    return {stem: figure for stem, figure in figures.items() if figure}


def stem_of(kind: str, one: Several, several: Sequence[Several]) -> str:
    """'lineage', or 'lineage-NAME-SEED' where there are several, with what may stand in the name of a file."""
    if len(several) == 1:
        return kind
    stems = [_stem(kind, other) for other in several]
    same = [other for other, stem in zip(several, stems, strict=True) if stem == _stem(kind, one)]
    return _stem(kind, one) + (f"-{1 + same.index(one)}" if len(same) > 1 else "")


def _stem(kind: str, one: Lineage | ClusterHistory) -> str:
    return f"{kind}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', one.name)[:LONGEST]}-{one.seed}"


def rendered(figure: Figure) -> tuple[bytes, str]:
    """As PNG, and as SVG."""
    png, svg = io.BytesIO(), io.StringIO()
    with look():
        figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return png.getvalue(), svg.getvalue()
