"""The history of a run: when it began, where it saved because a signal asked, when it was resumed, and what was changed then.

history.jsonl holds one JSON object a line: {"time": ..., "event": "resumed", "frames": 120000, ...}.
"""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any


def note(path: Path, event: str, **what: Any) -> None:
    """Add a line."""
    line = {"time": time.strftime("%Y-%m-%d %H:%M:%S"), "event": event, **what, "host": socket.gethostname(), "pid": os.getpid()}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_history(path: Path) -> list[dict[str, Any]]:
    """The lines, without those that are damaged: the history informs, nothing is made of it."""
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict) and isinstance(line.get("event"), str):
            lines.append(line)
    return lines
