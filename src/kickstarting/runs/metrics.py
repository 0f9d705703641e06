"""Metrics: where they are written (JSON lines and TensorBoard) and read again, and where the time of an update goes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Clock:
    """Where an update's time goes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, phase: str, function: Callable[P, R], *args: P.args, **keywords: P.kwargs) -> R:
        """Call a function and book its time on a phase."""
        started = time.perf_counter()
        result = function(*args, **keywords)
        self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - started
        return result

    def metrics(self) -> dict[str, float | None]:
        return {f"seconds/{phase}": seconds for phase, seconds in self.seconds.items()}


class MetricsWriter:
    """metrics.jsonl and TensorBoard events of a run directory. Resuming drops what was written after `frames`."""

    def __init__(self, directory: Path, *, frames: int = 0, board: bool = True) -> None:
        self._path = directory / "metrics.jsonl"
        if self._path.exists():
            lines = [line for line in read_metrics(self._path) if line["frames"] <= frames]
            temporary = self._path.with_suffix(".partial")
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))
            os.replace(temporary, self._path)
        self._file = self._path.open("a")
        self._board = None
        if board:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(directory / "tensorboard"), purge_step=frames + 1 if frames else None)

    def write(self, frames: int, metrics: dict[str, float | None]) -> None:
        self._file.write(json.dumps({"frames": frames, **metrics}) + "\n")
        self._file.flush()
        for name, value in metrics.items():
            if value is not None and self._board:
                self._board.add_scalar(name, value, frames)

    def close(self) -> None:
        self._file.close()
        if self._board:
            self._board.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a metrics.jsonl; a line torn by a kill is left out."""
    lines = []
    for line in path.read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return lines
