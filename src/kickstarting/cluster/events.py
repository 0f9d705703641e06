"""What happens on a cluster, as it happens: cluster.jsonl has one JSON object a line.

{"time": seconds since 1970, "frames": 120000, "event": "lost", "part": "actor 7", "node": "host-b:4f2a91", "text": "..."}
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["started", "lost", "restarted", "stuck", "dropped", "gave up", "drained"]


@dataclass(frozen=True)
class Event:
    """Something that happened to a part of a run."""

    event: Kind
    part: str
    """actor 7, teacher worker 1, learner 2."""
    node: str
    """Where that was; empty if it had no place yet."""
    text: str
    """One line for people, which names part and node."""


Said = Callable[[Event], None]
"""Who is told."""


def nobody(event: Event) -> None:
    """Who is told where nobody listens."""


class Journal:
    """Appends events to a file, and tells them to people. A disk that is full costs the line, not the run."""

    def __init__(self, path: Path, tell: Callable[[str], None], frames: int = 0) -> None:
        self._path, self._tell = path, tell
        self.frames = frames
        """Where the run stands."""

    def __call__(self, event: Event) -> None:
        line = json.dumps({"time": time.time(), "frames": self.frames, **asdict(event)})
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            self._tell(f"{self._path} cannot be written: {error.strerror}")
        if event.event != "started":
            self._tell(event.text)
