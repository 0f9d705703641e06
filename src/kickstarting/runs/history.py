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
