"""Where a report is written, and over what: nothing but an earlier report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from kickstarting.report.comparison import Comparison
from kickstarting.report.figures import draw, rendered
from kickstarting.report.layout import ReportDirectory
from kickstarting.report.page import to_page
from kickstarting.report.tables import to_markdown
from kickstarting.runs.files import check_replaces, check_writable, make_directory, write_bytes

FIGURES = ("curves", "teachers", "tasks", "lineage", "lineage-*", "cluster", "cluster-*")
OURS = {"confidence", "suite", "baseline", "groups", "runs", "bootstrap_seed"}
"""What every comparison.json has said."""


def check_out(out: Path) -> None:
    """Raise FileError, before any work, if a report cannot be written into this directory, or only over files of others."""
    check_writable(out)
    report = ReportDirectory(out)
    figures = [path for stem in FIGURES for suffix in ("png", "svg") for path in out.glob(f"{stem}.{suffix}")]
    files = (report.numbers, report.table, report.page, report.clip, *figures)
    check_replaces(files, "report", report.numbers, lambda data: data.keys() >= OURS)


def write_report(comparison: Comparison, out: Path, clip: tuple[bytes, str] | None = None) -> None:
    """Everything is made before anything is written, comparison.json first, which marks the directory as a report's. clip: a GIF
    and its caption."""
    report = ReportDirectory(out)
    figures = {stem: rendered(figure) for stem, figure in draw(comparison).items()}
    numbers = json.dumps(comparison.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    texts = {
        report.numbers: numbers + "\n",
        report.table: to_markdown(comparison),
        report.page: to_page(comparison, {stem: svg for stem, (_, svg) in figures.items()}, clip),
        **{out / f"{stem}.svg": svg for stem, (_, svg) in figures.items()},
    }
    files: Mapping[Path, bytes] = {
        **{path: text.encode() for path, text in texts.items()},
        **{out / f"{stem}.png": png for stem, (png, _) in figures.items()},
        **({report.clip: clip[0]} if clip else {}),
    }
    check_out(out)
    make_directory(out)
    for path, data in files.items():
        write_bytes(path, data)
