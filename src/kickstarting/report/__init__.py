"""Compare runs: tables, figures and one self-contained page. Reads run directories, and imports nothing that trains."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from kickstarting.report.compare import compare
from kickstarting.report.comparison import Comparison
from kickstarting.report.figures import draw, save
from kickstarting.report.groups import group_runs
from kickstarting.report.page import to_page
from kickstarting.report.runs import load_runs
from kickstarting.report.tables import to_markdown
from kickstarting.report.teachers import name_teachers
from kickstarting.report.terminal import to_rich
from kickstarting.report.wording import headline
from kickstarting.runs.layout import ReportDirectory

__all__ = ["Comparison", "compare_runs", "headline", "to_markdown", "to_rich"]


def compare_runs(
    directories: Sequence[Path],
    *,
    out: Path | None,
    baseline: str | None = None,
    at_frames: Sequence[int] | None = None,
    levels: Sequence[float | int] | None = None,
    bootstrap: int = 2000,
    seed: int = 0,
    smooth_frames: int | None = None,
) -> Comparison:
    """Compare the runs in or below `directories`, grouped by name over seeds, and write a report to `out`.

    directories: of a population the best member is compared, and its lineage is shown.
    out: gets comparison.json, table.md, report.html, and as .png and .svg the figures curves, teachers (if many teachers have
        weights of their own), tasks (if tasks are logged) and lineage (for every population); None writes nothing.
    baseline: name of the group to compare with; `scratch` where there is one, else the first.
    at_frames, levels, bootstrap, seed: as in `compare`.
    smooth_frames: length of a trailing mean over the scores of each run, none by default.

    Raises ValueError if the runs cannot be read or compared.
    """
    groups = group_runs(name_teachers(load_runs([Path(directory) for directory in directories])), smooth_frames)
    comparison = compare(groups, baseline=baseline, at_frames=at_frames, levels=levels, bootstrap=bootstrap, seed=seed)
    if out is not None:
        _write(comparison, Path(out))
    return comparison


def _write(comparison: Comparison, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    figures = {stem: save(figure, out / stem) for stem, figure in draw(comparison).items()}
    numbers = json.dumps(comparison.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    report = ReportDirectory(out)
    report.numbers.write_text(numbers + "\n", encoding="utf-8")
    report.table.write_text(to_markdown(comparison), encoding="utf-8")
    report.page.write_text(to_page(comparison, figures), encoding="utf-8")
