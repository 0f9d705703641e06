"""Compare runs: tables, figures and one self-contained page. Reads run directories, and imports nothing that trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kickstarting.console import visible
from kickstarting.report.compare import compare
from kickstarting.report.comparison import Comparison
from kickstarting.report.groups import group_runs
from kickstarting.report.output import check_out, write_report
from kickstarting.report.runs import load_runs
from kickstarting.report.tables import to_markdown
from kickstarting.report.teachers import name_teachers
from kickstarting.report.terminal import to_rich
from kickstarting.report.wording import headline

__all__ = ["Comparison", "check_out", "compare_runs", "headline", "to_markdown", "to_rich"]


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
    clip: tuple[bytes, str] | None = None,
) -> Comparison:
    """Compare the runs in or below `directories`, grouped by name over seeds, and write a report to `out`.

    directories: of a population the best member is compared, and its lineage is shown.
    out: gets comparison.json, table.md, report.html, and as .png and .svg the figures curves, teachers (if many teachers have
        weights of their own), tasks (if tasks are logged) and lineage (for every population); None writes nothing.
    baseline: name of the group to compare with; `scratch` where there is one, else the first.
    at_frames, levels, bootstrap, seed: as in `compare`.
    clip: a GIF and its caption, for the page; written beside it, too.
    smooth_frames: length of a trailing mean over the scores of each run, none by default.

    Raises ValueError if the runs cannot be read or compared, or `out` holds files that are no report's.
    """
    if out is not None:
        check_out(Path(out))
    groups = group_runs(name_teachers(load_runs([Path(directory) for directory in directories])), smooth_frames)
    baseline = baseline if baseline is None else visible(baseline)
    comparison = compare(groups, baseline=baseline, at_frames=at_frames, levels=levels, bootstrap=bootstrap, seed=seed)
    if out is not None:
        write_report(comparison, Path(out), clip)
    return comparison
