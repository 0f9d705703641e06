"""The report of an experiment: tables, a figure, a page that holds both, and all numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np
from rich.console import RenderableType

from kickstarting.ad.figures import panels_figure
from kickstarting.ad.measured import RESAMPLES, SMOOTH, SOURCE, Measured, by_panel
from kickstarting.ad.results import LATEST
from kickstarting.report.comparison import Estimate
from kickstarting.report.figures import rendered
from kickstarting.report.layout import ReportDirectory
from kickstarting.report.page import document, svg_figure
from kickstarting.report.resampled import estimate
from kickstarting.report.tables import Cell, Column, Row, Table, table_html, table_markdown
from kickstarting.report.terminal import Fitted
from kickstarting.report.wording import NEVER, interval_text, speedup_text, value_text
from kickstarting.runs.files import write_bytes, write_json, write_text

MOMENTS = (1, 5, 10, 20, 50, 100, 200, 500, 1000)
LEVELS = (0.5, 0.8, 0.9)
"""Shares of the source's last return."""


def findings_tables(found: Sequence[Measured]) -> list[Table]:
    """Returns by episode; and how many episodes it takes, where there is a source to compare with."""
    tables = [_returns(panel, arms) for panel, arms in by_panel(found).items()]
    return tables + [table for panel, arms in by_panel(found).items() if (table := _speedups(panel, arms))]


def to_rich(found: Sequence[Measured]) -> list[RenderableType]:
    """For a terminal."""
    return [part for table in findings_tables(found) for part in (Fitted(table, intervals=True), table.caption, "")]


def write_findings(found: Sequence[Measured], report: ReportDirectory, name: str, question: str) -> None:
    """table.md, curves.png and .svg, report.html, and comparison.json last."""
    tables = findings_tables(found)
    png, svg = rendered(panels_figure({panel: _curves(arms) for panel, arms in by_panel(found).items()}))
    caption = (
        f"Return by episode in context as a share of the optimum, with 95% intervals over seeds and tasks ({RESAMPLES} resamples)."
    )
    write_bytes(report.path / "curves.png", png)
    write_text(report.path / "curves.svg", svg)
    write_text(report.table, "\n".join(map(table_markdown, tables)))
    parts = [f"<h1>{escape(name)}</h1>", f'<p class="headline">{escape(question)}</p>', svg_figure(svg, caption, "curves")]
    write_text(report.page, document(name, [*parts, *map(table_html, tables)]))
    write_json(report.numbers, {"experiment": name, "question": question, "curves": [_numbers(one) for one in found]})


def _returns(panel: str, arms: Sequence[Measured]) -> Table:
    episodes = arms[0].shares.shape[-1]
    moments = [n for n in MOMENTS if n <= episodes]
    columns = [Column("Episode", str(n)) for n in moments]
    columns += [Column("", f"last {LATEST}"), Column("", "failed"), Column("", "CPU s")]
    rows = []
    for arm in arms:
        cells = [Cell(f"{arm.curve[0, n - 1]:.3f}") for n in moments]
        last = estimate(arm.latest)
        cost = NEVER if arm.cpu_seconds is None else f"{arm.cpu_seconds:.0f}"
        cells += [_cell(last), Cell(f"{arm.failed:.1%}"), Cell(cost)]
        rows.append(Row(arm.name, tuple(cells)))
    pairs, rollouts, _ = arms[0].shares.shape
    caption = (
        f"{panel}: return as a share of the optimum, {pairs} pairs of seed and task x {rollouts} rollouts, with 95% intervals. "
        f"Failed: share of the rows below half of it over the last {LATEST} episodes. CPU s: to collect and to train, per seed."
    )
    return Table(caption.removeprefix(": "), tuple(columns), tuple(rows))


def _speedups(panel: str, arms: Sequence[Measured]) -> Table | None:
    source = next((arm for arm in arms if arm.name == SOURCE), None)
    students = [arm for arm in arms if arm.cpu_seconds is not None]
    if source is None:
        return None
    columns = [Column(what, f"{share:.0%}") for what in ("Episodes to", "Times fewer to") for share in LEVELS]
    rows = [Row(arm.name, (*_reached(arm, source), *_faster(arm, source))) for arm in students]
    rows.append(Row(SOURCE, (*_reached(source, source), *[Cell(NEVER)] * len(LEVELS))))
    caption = (
        f"{panel}: episodes until the mean of {SMOOTH} is at a share of the source's last return, and how many times fewer than "
        "the source's own."
    )
    return Table(caption.removeprefix(": "), tuple(columns), tuple(rows))


def _reached(arm: Measured, source: Measured) -> list[Cell]:
    return [_cell(estimate(arm.episodes_to(share * source.latest)), "{:.0f}") for share in LEVELS]


def _faster(arm: Measured, source: Measured) -> list[Cell]:
    found = [arm.speedup(source, share) for share in LEVELS]
    return [
        Cell(NEVER) if x[0] == 0 else Cell(value_text(estimate(x), speedup_text), interval_text(estimate(x), speedup_text))
        for x in found
    ]


def _cell(x: Estimate, form: str = "{:.3f}") -> Cell:
    return Cell(value_text(x, form.format), interval_text(x, form.format))


def _curves(arms: Sequence[Measured]) -> dict[str, tuple]:
    """By name the mean and the interval around it, [episodes] each."""
    found = {}
    for arm in arms:
        curve = arm.curve
        low, high = np.percentile(curve[1:], [2.5, 97.5], axis=0)
        found[arm.name] = curve[0], low, high
    return found


def _numbers(one: Measured) -> dict:
    last, curve = estimate(one.latest), one.curve
    bounds = {"low": last.low, "high": last.high}
    return {
        "name": one.name,
        "panel": one.panel,
        "curve": [round(float(y), 5) for y in curve[0]],
        "latest": last.value,
        **{key: x for key, x in bounds.items() if x is not None and math.isfinite(x)},
        "failed": one.failed,
        "cpu_seconds": one.cpu_seconds,
    }
