"""A comparison as tables: built once, rendered as Markdown and HTML; `terminal.py` has the terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from kickstarting.report.comparison import Comparison, Estimate, GroupResult, Level
from kickstarting.report.wording import (
    NEVER,
    frames_text,
    interval_text,
    passing_text,
    percent_text,
    probability_text,
    score_text,
    speedup_text,
    tasks_passed_text,
    value_text,
)


@dataclass(frozen=True)
class Cell:
    text: str
    interval: str = ""


@dataclass(frozen=True)
class Column:
    """heading: shared by neighbouring columns, such as 'Score at'; title: this one's, such as '131k'."""

    heading: str
    title: str


@dataclass(frozen=True)
class Row:
    label: str
    cells: tuple[Cell, ...]
    kind: Literal["group", "versus", "teacher"] = "group"


@dataclass(frozen=True)
class Table:
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def tables(comparison: Comparison) -> tuple[Table, ...]:
    return (progress_table(comparison), final_table(comparison))


def progress_table(comparison: Comparison) -> Table:
    """The paper's Table 1: score at frames, frames to reach a score, and below each group its gain over the baseline."""
    columns = [Column("Score at", frames_text(frames)) for frames in comparison.at_frames]
    columns += [Column("Frames to reach", _level_text(level, comparison.baseline)) for level in comparison.levels]
    rows = []
    for group in comparison.groups:
        scores = [_cell(estimate, score_text) for estimate in group.scores]
        frames = [_cell(estimate, frames_text, budget=group.frames) for estimate in group.frames_to]
        rows.append(Row(group.name, (*scores, *frames)))
        if group.versus:
            gains = [_cell(estimate, percent_text) for estimate in group.versus.improvements]
            speedups = [_cell(estimate, speedup_text) for estimate in group.versus.speedups]
            rows.append(Row("improvement", (*gains, *speedups), "versus"))
    caption = (
        f"Suite {comparison.suite}. Mean over seeds, with 95% bootstrap intervals over seeds; '{NEVER}' where it is never reached"
    )
    if len(comparison.groups) > 1:
        caption += f"; improvement and speed-up over {comparison.baseline}"
    if comparison.smooth_frames:
        caption += f"; scores are means over the last {frames_text(comparison.smooth_frames)} frames"
    return Table(f"{caption}.", tuple(columns), tuple(rows))


def final_table(comparison: Comparison) -> Table:
    """Final scores under several statistics, the chance to beat the baseline, and the teachers as a reference."""
    with_tasks, several = len(comparison.tasks) > 1, len(comparison.groups) > 1
    columns = [Column("", "seeds"), Column("Final score", "mean")]
    columns += [Column("Final score", "median"), Column("Final score", "IQM")] if with_tasks else []
    columns += [Column("", f"beats {comparison.baseline}")] if with_tasks and several else []
    columns += [Column("Passes", f"{t.name} ({score_text(t.score)})") for t in comparison.yardsticks]
    rows = [Row(group.name, _final_cells(group, with_tasks, several)) for group in comparison.groups]
    for teacher in comparison.yardsticks:
        cells = (Cell(""), Cell(score_text(teacher.score)))
        label = teacher.name if teacher.experts > 1 else f"teacher {teacher.name}"
        if not teacher.whole_suite:
            label += f" ({len(teacher.tasks)} of {len(comparison.tasks)} tasks)"
        rows.append(Row(label, cells + (Cell(""),) * (len(columns) - 2), "teacher"))
    caption = "Mean over the last 5% of frames."
    if with_tasks:
        caption += " Median over tasks; IQM: mean of the middle half of all seeds and tasks."
    if with_tasks and several:
        caption += f" 'Beats {comparison.baseline}': chance that a random seed is above a random one of it on a random task."
    if comparison.yardsticks:
        caption += " 'Passes': ends above the teacher on the teacher's tasks."
    if any(teacher.experts > 1 for teacher in comparison.yardsticks):
        caption += " Experts: the mean over the tasks that they teach, of several for one task the best."
    return Table(caption, tuple(columns), tuple(rows))


def _final_cells(group: GroupResult, with_tasks: bool, several: bool) -> tuple[Cell, ...]:
    cells = [Cell(str(len(group.seeds))), _cell(group.final, score_text)]
    cells += [_cell(group.median, score_text), _cell(group.iqm, score_text)] if with_tasks else []
    if with_tasks and several:
        cells.append(_cell(group.versus.probability_of_improvement, probability_text) if group.versus else Cell(""))
    return (*cells, *(Cell(passing_text(passing), tasks_passed_text(passing)) for passing in group.passing))


def experts_table(comparison: Comparison) -> Table | None:
    """What each teacher scores alone, and what the groups end at on its tasks; None where `final_table` says it already."""
    if all(teacher in comparison.yardsticks for teacher in comparison.teachers):
        return None
    columns = [Column("", "tasks"), Column("Final score", "alone")]
    columns += [Column("Final score", group.name) for group in comparison.groups]
    rows = []
    for teacher in comparison.teachers:
        tasks = tuple(teacher.tasks) or comparison.tasks
        taught = ", ".join(tasks) if len(tasks) < 3 else f"{len(tasks)} tasks"
        ends = [_mean_over(group, tasks) for group in comparison.groups]
        rows.append(Row(teacher.name, (Cell(taught), Cell(score_text(teacher.score)), *(Cell(score_text(end)) for end in ends))))
    if all(row.label == row.cells[0].text for row in rows):  # experts of one task each, called by it
        columns, rows = columns[1:], [Row(row.label, row.cells[1:]) for row in rows]
    return Table("Each teacher alone on the tasks that it teaches, and what the groups end at there.", tuple(columns), tuple(rows))


def _mean_over(group: GroupResult, tasks: Sequence[str]) -> float:
    """The final score on these tasks; without tasks, on the suite."""
    scores = [group.tasks[task].value for task in tasks] or [group.final.value]
    return sum(score or 0.0 for score in scores) / len(scores)


def _cell(estimate: Estimate | None, text: Callable[[float], str], *, budget: int | None = None) -> Cell:
    return Cell(value_text(estimate, text), interval_text(estimate, text, budget=budget))


def _level_text(level: Level, baseline: str) -> str:
    return f"{score_text(level.score)} ({baseline}'s final)" if level.baseline_final else score_text(level.score)


def to_markdown(comparison: Comparison) -> str:
    parts = [table_markdown(table) for table in (*tables(comparison), experts_table(comparison)) if table]
    return "\n".join([*parts, "".join(f"- {in_markdown(note)}\n" for note in comparison.notes)])


def in_markdown(text: str) -> str:
    """A text as it stands, in a cell or a paragraph. Underscores within a word mean nothing there, and stay."""
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text).replace("<", "&lt;")
    return re.sub(r"[\\`*\[\]|~$]|(?<!\w)_|_(?!\w)", r"\\\g<0>", text)


def table_markdown(table: Table) -> str:
    """With its caption below."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |\n"

    text = line(["", *(in_markdown(f"{column.heading} {column.title}".strip()) for column in table.columns)])
    text += "|---|" + "---:|" * len(table.columns) + "\n"
    for row in table.rows:
        label = f"*{in_markdown(row.label)}*" if row.kind == "versus" else in_markdown(row.label)
        cells = (f"{cell.text} ({cell.interval})" if cell.interval else cell.text for cell in row.cells)
        text += line([label, *map(in_markdown, cells)])
    return f"{text}\n{in_markdown(table.caption)}\n"


def to_html(comparison: Comparison) -> str:
    """Tables in scrolling boxes, without style: page.py has the style sheet for the classes."""
    parts = [table_html(table) for table in tables(comparison)]
    if experts := experts_table(comparison):
        summary = f"<summary>Each of the {len(experts.rows)} teachers</summary>"
        parts.append(f'<details class="wide">{summary}\n{table_html(experts)}</details>')
    return "\n".join(parts)


def table_html(table: Table) -> str:
    """In a scrolling box, with its caption."""
    headings: list[tuple[str, int]] = []
    for column in table.columns:
        if headings and column.heading and headings[-1][0] == column.heading:
            headings[-1] = (column.heading, headings[-1][1] + 1)
        else:
            headings.append((column.heading, 1))
    top = "".join(f'<th colspan="{span}" scope="colgroup">{escape(heading)}</th>' for heading, span in headings)
    titles = "".join(f'<th scope="col">{escape(column.title)}</th>' for column in table.columns)
    body = "".join(
        f'<tr class="{row.kind}"><th scope="row">{escape(row.label)}</th>{"".join(map(_html_cell, row.cells))}</tr>\n'
        for row in table.rows
    )
    return (
        f'<figure class="table wide"><div class="scroll" role="region" aria-label="table" tabindex="0"><table>\n'
        f"<thead><tr><td></td>{top}</tr>\n<tr><td></td>{titles}</tr></thead>\n"
        f"<tbody>{body}</tbody></table></div>\n<figcaption>{escape(table.caption)}</figcaption></figure>"
    )


def _html_cell(cell: Cell) -> str:
    words = escape(cell.interval).replace(" to ", "&nbsp;to ")  # breaks behind 'to', where it must
    interval = f"<small>{words}</small>" if words else ""
    return f"<td>{escape(cell.text)}{interval}</td>"
