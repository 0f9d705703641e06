"""The page of a checked teacher: the verdict, what was found, the table, a clip; and where it is written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from kickstarting.report.layout import CheckDirectory
from kickstarting.report.page import clip_figure, document
from kickstarting.report.tables import Table, table_html
from kickstarting.runs.files import check_replaces, check_writable, make_directory, write_bytes


def check_page(
    title: str,
    verdict: str,
    table: Table,
    found: Sequence[tuple[str, str, str, bool]],
    clip: tuple[bytes, str],
) -> str:
    """found: of each finding its name, what is seen, what to do, and whether it is a fault. clip: a GIF and its caption."""
    parts = [f"<h1>{escape(title)}</h1>", f'<p class="headline">{escape(verdict)}</p>', _findings(found)]
    parts += [clip_figure(*clip), "<h2>How it plays, and what it says</h2>", table_html(table)]
    name = CheckDirectory(Path()).numbers
    footer = f"<footer><p>Written by kickstarting; {name} beside this page holds all numbers.</p></footer>"
    return document(title, [*parts, footer])


def _findings(found: Sequence[tuple[str, str, str, bool]]) -> str:
    if not found:
        return ""
    rows = [
        f'<tr class="group"><th scope="row">{escape(name)}</th><td>{"fault" if fault else "remark"}</td>'
        f'<td class="words">{escape(seen)}</td><td class="words">{escape(advice)}</td></tr>'
        for name, seen, advice, fault in found
    ]
    head = "".join(f'<th scope="col">{title}</th>' for title in ("diagnosis", "kind", "seen", "what to do"))
    table = f'<table class="runs"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return f'<div class="scroll wide" role="region" aria-label="table" tabindex="0">{table}</div>'


def check_check_out(out: Path) -> None:
    """Raise FileError, before any work, if a check cannot be written into this directory, or only over files of others."""
    check_writable(out)
    directory = CheckDirectory(out)
    files = (directory.numbers, directory.page, directory.clip)
    check_replaces(files, "check", directory.numbers, lambda data: data.keys() >= {"ref", "suite", "can_teach"})


def write_check(out: Path, page: str, numbers: Mapping[str, Any], clip: bytes) -> None:
    """Raises as `check_check_out`."""
    check_check_out(out)
    make_directory(out)
    directory = CheckDirectory(out)
    text = json.dumps(numbers, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    files = {directory.numbers: text.encode(), directory.page: page.encode(), directory.clip: clip}
    for path, data in files.items():
        write_bytes(path, data)
