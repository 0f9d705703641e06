"""What sweep.py found: a report of each task, and results.csv, table.md and curves.png of all."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from kickstarting.report import Comparison, compare_runs
from kickstarting.report.comparison import GroupResult
from kickstarting.report.figures import rendered
from kickstarting.report.figures.legend import colour
from kickstarting.report.look import INK, TEACHER_DASH, WIDTH, look
from kickstarting.report.wording import frames_text, interval_text, score_text, speedup_text, value_text
from kickstarting.runs.layout import RunDirectory

COLUMNS = 2


def write_report(runs: Mapping[str, Sequence[Path]], here: Path) -> None:
    """runs: the finished ones of each task. Tasks without the baseline and one other arm are left out."""
    compared, scores = {}, {}
    for world, found in runs.items():
        names = {_config(out)["name"] for out in found}
        if len(names) > 1 and "scratch" in names:
            compared[world] = compare_runs(found, out=found[0].parent / "report", baseline="scratch")
            scores[world] = teacher_scores(found)
    out = here / "report"
    out.mkdir(exist_ok=True)
    with (out / "results.csv").open("w", newline="") as file:
        rows = [row for world, comparison in compared.items() for row in runs_of(world, comparison)]
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    text = table(compared, scores)
    (out / "table.md").write_text(text)
    (out / "curves.png").write_bytes(rendered(figure(compared, scores))[0])
    print(text)


def teacher_scores(runs: Sequence[Path]) -> dict[str, float]:
    """What the teacher of each arm scores alone, as measured before each of its runs."""
    found: dict[str, list[float]] = {}
    for out in runs:
        for score in json.loads(RunDirectory(out).teacher_scores.read_text()).values():
            found.setdefault(_config(out)["name"], []).append(score["score"])
    return {arm: float(np.mean(scores)) for arm, scores in found.items()}


def runs_of(world: str, comparison: Comparison) -> Iterator[dict[str, Any]]:
    for run in comparison.runs:
        speed = round(run.frames_per_second or 0)
        yield {"task": world, "arm": run.name, "seed": run.seed, "frames": run.frames, "final": f"{run.final:.1f}", "speed": speed}


def table(compared: Mapping[str, Comparison], scores: Mapping[str, Mapping[str, float]]) -> str:
    """A row for each teacher. The last level of a comparison is the baseline's final score."""
    lines = [
        "| task | teacher | its score | from scratch | kickstarted | frames to scratch's final score | fewer frames |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for world, comparison in compared.items():
        base = comparison.baseline_result
        for group in comparison.groups[1:]:
            assert group.versus is not None
            cells = [
                f"{world} ({frames_text(base.frames)}, {len(base.seeds)} and {len(group.seeds)} seeds)",
                group.name,
                score_text(scores[world][group.name]),
                _with(value_text(base.final, score_text), interval_text(base.final, score_text)),
                _with(value_text(group.final, score_text), interval_text(group.final, score_text)),
                f"{_frames(base)} alone, {_frames(group)} taught",
                _with(value_text(group.versus.speedups[-1], speedup_text), interval_text(group.versus.speedups[-1], speedup_text)),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def figure(compared: Mapping[str, Comparison], scores: Mapping[str, Mapping[str, float]]) -> Figure:
    """A panel for each task: the curves with their bands, and what the teachers score alone."""
    with look():
        rows = -(-len(compared) // COLUMNS)
        drawn = Figure(figsize=(WIDTH, 1.9 * rows), layout="constrained")
        panels = drawn.subplots(rows, COLUMNS, sharey=True, squeeze=False)
        for axes in panels.flat[len(compared) :]:
            axes.axis("off")
        for axes, (world, comparison) in zip(panels.flat, compared.items(), strict=False):
            for group in reversed(comparison.groups):
                _draw(axes, comparison, group, scores[world].get(group.name))
            axes.set_title(world, loc="left", fontsize=8.5, pad=3.0)
            axes.set_xlim(0, comparison.baseline_result.frames)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda frames, _: frames_text(frames)))
            axes.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
            axes.grid(axis="y")
            axes.legend(loc="lower right", fontsize=7.0, handlelength=1.2, borderaxespad=0.2)
        panels[0, 0].set_ylim(0, 104)
        drawn.supxlabel("frames", fontsize=9.0)
        drawn.supylabel("score", fontsize=9.0)
        return drawn


def _draw(axes: Axes, comparison: Comparison, group: GroupResult, teacher: float | None) -> None:
    curve, shade = group.curve, colour(comparison, group)
    if curve.low:
        axes.fill_between(curve.frames, curve.low, curve.high, color=shade, alpha=0.18, linewidth=0)
    axes.plot(curve.frames, curve.mean, color=shade, linewidth=1.6, label=group.name)
    if teacher is not None:
        axes.axhline(teacher, color=shade if len(comparison.groups) > 2 else INK, linestyle=TEACHER_DASH, linewidth=0.9, zorder=1.5)


def _config(out: Path) -> dict[str, Any]:
    return json.loads(RunDirectory(out).config.read_text())


def _frames(group: GroupResult) -> str:
    return value_text(group.frames_to[-1], frames_text)


def _with(value: str, interval: str) -> str:
    return f"{value} ({interval})" if interval else value
