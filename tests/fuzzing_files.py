"""Damage to files and names that nobody should choose, for tests of whatever reads or prints them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

NASTY_NAMES = (
    *(
        "[/x]",
        "[bold]",
        "[link=https://example.org]a[/link]",
        ":smile:",
        "$x_{",
        "$",
        "\\",
        "a\\|b",
        "{}",
        "%s",
        "<script>alert(1)</script>",
    ),
    *(
        "a|b",
        "`a`",
        "*a*",
        "_a",
        "__init__",
        "&amp;",
        '"',
        "'",
        "-->",
        "]]>",
        "a\nb",
        "a\r\nb",
        "\t",
        "\x1b[31mred\x1b[0m",
        "\x07",
        "\x00",
        "\x7f",
    ),
    *(
        "\u202eleft",
        "\u200e",
        "\u2028",
        "\ufeff",
        "\udcff",
        "😀",
        "日本語",
        "עברית",
        "नमस्ते",
        "e\u0301",
        "👨\u200d👩\u200d👧",
        " ",
        "..",
        "/",
        "a/b/",
    ),
    *("con", "-", "x" * 300, "é" * 200, "word " * 60, "λ", "None", "nan", "1e309", "mean", "score"),
)
"""Of runs, groups, tasks, suites, teachers."""

NASTY_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**40, 10**400, -(10**400), 1e99, -1e99, 0.5, -0.0, 1e-320, 1e308, -1e308),
    *(float("nan"), float("inf"), "", "1", "nan", [], [[]], [1], {}, {"a": {}}, *NASTY_NAMES[:6], "x" * 5000),
)
"""In the place of another."""


def damaged(path: Path, rng: Random) -> str:
    """Damage a file in one way; what was done to it."""
    data = path.read_bytes()
    ways = {
        "missing": lambda: path.unlink(),
        "empty": lambda: path.write_bytes(b""),
        "truncated": lambda: path.write_bytes(data[: rng.randrange(len(data))]),
        "bits flipped": lambda: path.write_bytes(_flipped(data, rng)),
        "random bytes": lambda: path.write_bytes(rng.randbytes(rng.randrange(1, 200))),
        "bytes inserted": lambda: path.write_bytes(data[: (i := rng.randrange(len(data)))] + rng.randbytes(5) + data[i:]),
        "another type": lambda: path.write_text(json.dumps(rng.choice(NASTY_VALUES)), encoding="utf-8"),
        "deep": lambda: path.write_text("[" * 100_000, encoding="utf-8"),
        "a directory": lambda: (path.unlink(), path.mkdir()),
        "a link to itself": lambda: (path.unlink(), path.symlink_to(path)),
        "a value replaced": lambda: _with_json(path, rng, _replaced),
        "a key removed": lambda: _with_json(path, rng, _removed),
        "a key renamed": lambda: _with_json(path, rng, _renamed),
    }
    way = rng.choice([*ways, *["a value replaced"] * 6, *["bits flipped"] * 2])
    ways[way]()
    return way


def restored(path: Path, data: bytes) -> None:
    """The inverse."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    path.write_bytes(data)


def _flipped(data: bytes, rng: Random) -> bytes:
    flipped = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 10))):
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def _with_json(path: Path, rng: Random, change) -> None:
    """Change one place of a file's JSON, or of one of its lines; without a signature, which would tell."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines() if path.suffix == ".jsonl" else [text]
    number = rng.randrange(len(lines))
    try:
        data = json.loads(lines[number])
    except ValueError:  # TOML: one value of a line
        lines = text.splitlines(keepends=True)
        number = rng.choice([i for i, line in enumerate(lines) if " = " in line])
        lines[number] = f"{lines[number].partition(' = ')[0]} = {json.dumps(rng.choice(NASTY_VALUES))}\n"
        path.write_text("".join(lines), encoding="utf-8")
        return
    if isinstance(data, dict):
        data.pop("self_sha256", None)
    places: list[tuple[Any, Any]] = []
    _walk(data, places)
    if places:
        change(*rng.choice(places), rng)
    lines[number] = json.dumps(data)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _walk(data: Any, places: list[tuple[Any, Any]]) -> None:
    for key in list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ():
        places.append((data, key))
        _walk(data[key], places)


def _replaced(data: Any, key: Any, rng: Random) -> None:
    data[key] = rng.choice(NASTY_VALUES)


def _removed(data: Any, key: Any, rng: Random) -> None:
    del data[key]


def _renamed(data: Any, key: Any, rng: Random) -> None:
    value = data.pop(key)
    if isinstance(data, dict):
        data[rng.choice(NASTY_NAMES)] = value
