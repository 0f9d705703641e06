"""Writes the metrics of a run: lines of JSON, and TensorBoard events. `metrics.py` reads them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from kickstarting.runs.layout import RunDirectory
from kickstarting.runs.metrics import read_metrics


class MetricsWriter:
    """The metrics of a run directory. Resuming drops what was written after `frames`, and a line that a kill tore."""

    def __init__(self, directory: Path, *, frames: int = 0, board: bool = True) -> None:
        run = RunDirectory(directory)
        if run.metrics.exists():
            lines = [line for line in read_metrics(run.metrics) if line["frames"] <= frames]
            temporary = run.metrics.with_suffix(".partial")
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))
            os.replace(temporary, run.metrics)
        self._file = run.metrics.open("a")
        self._board = SummaryWriter(str(run.tensorboard), purge_step=frames + 1 if frames else None) if board else None

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
