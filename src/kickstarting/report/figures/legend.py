"""What figures share: colours and dashes of the groups, marks of the teachers, a legend above everything, axes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from kickstarting.report.comparison import Comparison, GroupResult, TeacherResult
from kickstarting.report.look import BASELINE, COLOURS, DASHES, INK, MARKERS, PAPER, TEACHER_DASH, label
from kickstarting.report.wording import frames_text, score_text

Handle = Line2D | Patch
ROW = 0.2  # inches


def colour(comparison: Comparison, group: GroupResult) -> str:
    """Grey for the baseline, then COLOURS in turn."""
    index = comparison.groups.index(group)
    return COLOURS[(index - 1) % len(COLOURS)] if index else BASELINE


def dash(comparison: Comparison, group: GroupResult) -> Any:
    """Solid until the colours are used up."""
    return DASHES[max(comparison.groups.index(group) - 1, 0) // len(COLOURS) % len(DASHES)]


def group_handle(comparison: Comparison, group: GroupResult, *, bar: bool = False) -> Handle:
    seeds = f"{len(group.seeds)} seed{'s' if len(group.seeds) > 1 else ''}"
    shade, shown = colour(comparison, group), f"{label(group.name)} ({seeds})"
    if bar:
        return Patch(facecolor=shade, linewidth=0, label=shown)
    return Line2D([], [], color=shade, linewidth=2.2, linestyle=dash(comparison, group), label=shown)


def teacher_line_handles(comparison: Comparison) -> list[Handle]:
    """One entry for all dashed lines of what teachers of the whole suite score."""
    teachers = sorted((t for t in comparison.yardsticks if t.whole_suite), key=lambda teacher: -teacher.score)
    if not teachers:
        return []
    best = f"{label(teachers[0].name)}, {score_text(teachers[0].score)}"
    shown = (
        f"{len(teachers)} teachers, best {best}" if len(teachers) > 1 else best if teachers[0].experts > 1 else f"teacher {best}"
    )
    return [Line2D([], [], color=INK, linestyle=TEACHER_DASH, linewidth=1.0, label=shown)]


def teacher_marker_handles(comparison: Comparison) -> list[Handle]:
    marked = teacher_markers(comparison)
    alone = sum(teacher.experts > 1 for teacher, _ in marked) == 1
    handles: list[Handle] = []
    for teacher, marker in marked:
        name = label(teacher.name)
        shown = f"teacher {name}" if teacher.experts == 1 else "the task's own teacher" if alone else name
        handles.append(Line2D([], [], color=INK, marker=marker, markersize=5.0, markerfacecolor=PAPER, linestyle="", label=shown))
    return handles


def teacher_markers(comparison: Comparison) -> list[tuple[TeacherResult, str]]:
    """The teachers with scores on tasks, and the marker of each."""
    return list(zip([teacher for teacher in comparison.yardsticks if teacher.tasks], cycle(MARKERS), strict=False))


def legend_height(handles: Sequence[Handle]) -> float:
    return ROW * -(-len(handles) // _columns(handles))


def draw_legend(figure: Figure, handles: Sequence[Handle]) -> None:
    figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=_columns(handles),
        fontsize=8.5,
        handlelength=1.6,
        columnspacing=1.4,
        borderpad=0.2,
    )


def _columns(handles: Sequence[Handle]) -> int:
    longest = max(len(str(handle.get_label())) for handle in handles)
    return max(1, min(len(handles), int(72 / (longest + 7))))


def curve_scores(comparison: Comparison) -> Iterator[float]:
    """Every score that stands in a figure of curves."""
    for group in comparison.groups:
        yield from (*group.curve.mean, *group.curve.low, *group.curve.high)
    yield from (teacher.score for teacher in comparison.yardsticks if teacher.whole_suite)


def score_limits(scores: Iterable[float], points: bool) -> tuple[float, float]:
    """The ends of an axis on which all scores are seen, and 0, with some room; points have at least 20, and end at 100."""
    known = [0.0, *scores]
    low, high = min(known), max(known)
    if points:
        return low, min(100.0, 1.1 * max(20.0, high))
    room = 0.05 * (high - low) or 1.0
    return low - room * (low < 0.0), high + room * (high > 0.0 or high == low)


def frames_axis(axes: Axes, last: float) -> None:
    axes.set_xlabel("frames")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda frames, _: frames_text(frames)))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.set_xlim(0, last)
