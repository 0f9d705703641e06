"""A comparison's tables in a terminal, which is narrow: no word breaks as far as the width goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.console import Group as RichGroup
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from kickstarting.report.comparison import Comparison
from kickstarting.report.tables import Cell, Row, Table, tables


def to_rich(comparison: Comparison, *, intervals: bool | None = None) -> RichGroup:
    """For a terminal: groups are columns where they fit, which reads best of two or three, else rows.

    intervals: whether to show them; by default up to two groups, as more would not fit.
    """
    shown = len(comparison.groups) <= 2 if intervals is None else intervals
    parts: list[RenderableType] = []
    for table in tables(comparison):
        parts += [Fitted(table, shown), Padding(Text(table.caption, style="dim"), (0, 0, 1, 1))]
    parts += [Padding(Text(note), (0, 0, 0, 1)) for note in comparison.notes]
    return RichGroup(*parts)


WHOLE = 17
"""Characters of a text that stays on one line in a terminal; a longer one breaks between words."""
BORDER = 3
"""Between two columns."""


@dataclass(frozen=True)
class Fitted:
    """A table in as many characters as a terminal has, without a break inside a word as far as that goes."""

    table: Table
    intervals: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = [row for row in self.table.rows if row.kind != "teacher"]  # 'Passes' has the teachers' scores
        titles = [Text(f"{column.heading} {column.title}".strip()) for column in self.table.columns]
        stacked = [Text(f"{column.heading}\n{column.title}".strip()) for column in self.table.columns]
        labels = [Text(("  " if row.kind == "versus" else "") + row.label) for row in rows]
        cells = [[self._cell(cell) for cell in row.cells] for row in rows]
        of_groups = [[Text(row.label), *of_row] for row, of_row in zip(rows, cells, strict=True)]
        of_titles = [[title, *of_column] for title, of_column in zip(stacked, zip(*cells, strict=True), strict=True)]
        if _least([Text(), *titles]) + sum(BORDER + _least(column) for column in of_groups) < options.max_width:
            ends = [a.heading != b.heading for a, b in pairwise(self.table.columns)]
            yield _grid([[Text(), *titles], *of_groups], options.max_width, ends=ends, styles=["", *map(_style, rows)])
            return
        for i, part in enumerate(self._parts(of_titles, options.max_width - _least([Text(), *labels]))):
            yield from [Text()] if i else []
            yield _grid([[Text(), *labels], *part], options.max_width, row_styles=list(map(_style, rows)))

    def _parts(self, columns: Sequence[Sequence[Text]], width: int) -> Iterator[list[Sequence[Text]]]:
        """What goes into one table below the other: what is of one heading stays together where it can."""
        part, used = [], 0
        for _, block in groupby(zip(self.table.columns, columns, strict=True), key=lambda pair: pair[0].heading):
            together = [column for _, column in block]
            needed = [BORDER + _least(column) for column in together]
            fits = used + sum(needed) < width
            for column, size in zip(together, needed, strict=True):
                if part and not fits and (column is together[0] or used + size >= width):
                    yield part
                    part, used = [], 0
                part, used = [*part, column], used + size
        yield part

    def _cell(self, cell: Cell) -> Text:
        text = Text(cell.text)
        if cell.interval and self.intervals:
            text.append(f"\n{cell.interval}", style="dim")
        return text


def _style(row: Row) -> str:
    return "green" if row.kind == "versus" else ""


def _least(column: Sequence[Text]) -> int:
    """The width that breaks no word of a column's heading, which comes first, and no short line of its cells."""
    heading, *cells = (text.plain for text in column)
    lines = [line for cell in cells for line in cell.split("\n")]
    pieces = [*heading.split(), *(piece for line in lines for piece in ([line] if cell_len(line) <= WHOLE else line.split()))]
    return max(map(cell_len, pieces), default=0)


def _grid(
    columns: Sequence[Sequence[Text]],
    width: int,
    *,
    ends: Sequence[bool] = (),
    styles: Sequence[str] = (),
    row_styles: Sequence[str] = (),
) -> RichTable:
    """Columns, each with its heading first, wider than they must be where the width allows. ends: behind which rows is a line."""
    wanted = [max(cell_len(line) for text in column for line in text.plain.split("\n")) for column in columns]
    widths = [_least(column) for column in columns]
    room = width - BORDER * (len(columns) - 1) - 2
    while sum(widths) < room and widths != wanted:
        narrowest = min((w, i) for i, w in enumerate(widths) if w < wanted[i])[1]
        widths[narrowest] += 1
    grid = RichTable(show_edge=False, pad_edge=True, header_style="bold")
    for i, (column, size) in enumerate(zip(columns, widths, strict=True)):
        style = styles[i] if styles else ""
        grid.add_column(column[0], justify="right" if i else "left", style=style, width=max(1, size), overflow="fold")
    for i, row in enumerate(zip(*(column[1:] for column in columns), strict=True)):
        grid.add_row(*row, style=row_styles[i] if row_styles else None, end_section=bool(ends) and i < len(ends) and ends[i])
    return grid
