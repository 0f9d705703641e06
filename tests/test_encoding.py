"""Every text file is read and written in UTF-8, whatever the locale says."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src"


def opened_as_the_locale_says(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
        module = getattr(getattr(node.func, "value", None), "id", "")
        binary = any(isinstance(x, ast.Constant) and isinstance(x.value, str) and "b" in x.value for x in node.args)
        named = {keyword.arg for keyword in node.keywords}
        ours = isinstance(node.func, ast.Name) and name == "write_text"  # of runs/files.py
        if name in ("open", "read_text", "write_text") and not (module == "os" or ours or binary or "encoding" in named):
            found.append(f"{path.relative_to(SOURCE)}:{node.lineno}")
    return found


def test_no_file_is_opened_as_the_locale_says() -> None:
    found = [place for path in sorted(SOURCE.rglob("*.py")) for place in opened_as_the_locale_says(path)]
    assert found == []
