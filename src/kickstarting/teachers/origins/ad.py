"""`ad:DIR`: models of `kickstart ad train`, which learn in their context (`ad/teacher.py`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from kickstarting.ad import KIND
from kickstarting.runs.layout import RunDirectory
from kickstarting.teachers.protocol import Teacher

OPTIONS: Mapping[str, str] = {"context": "how many steps it looks back on; all that it was trained with unless given"}
BY_PATH = True


def load(name: str, ref: str, device: str = "cpu", options: Mapping[str, str] | None = None) -> Teacher:
    from kickstarting.ad.teacher import load_teacher

    return load_teacher(Path(name), ref, device, _context(ref, options or {}))


def digest(name: str, options: Mapping[str, str] | None = None) -> str:
    from kickstarting.ad.teacher import digest_of_model

    return digest_of_model(Path(name), _context(f"ad:{name}", options or {}))


def recognises(path: Path) -> bool:
    try:
        return json.loads(RunDirectory(path).config.read_bytes()).get("kind") == KIND
    except (OSError, ValueError, RecursionError, AttributeError):
        return False


def _context(ref: str, options: Mapping[str, str]) -> int:
    text = options.get("context", "0")
    if "context" in options and not (text.isascii() and text.isdigit() and int(text)):
        raise ValueError(f"teacher {ref}: context is {text!r}; it must be a number of steps, at least 1")
    return int(text)
