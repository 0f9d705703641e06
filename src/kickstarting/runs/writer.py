"""Writes the metrics of a run: lines of JSON, and TensorBoard events. `metrics.py` reads them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from kickstarting.console import visible
from kickstarting.runs.files import FileError, write_text
from kickstarting.runs.layout import RunDirectory
from kickstarting.runs.metrics import read_metrics


class MetricsWriter:
    """The metrics of a run directory. Resuming drops what was written after `frames`, and a line that a kill tore.

    Raises FileError if they cannot be written.
    """

    def __init__(self, directory: Path, *, frames: int = 0, board: bool = True) -> None:
        run = RunDirectory(directory)
        if run.metrics.exists():
            lines = [line for line in read_metrics(run.metrics) if line["frames"] <= frames]
            write_text(run.metrics, "".join(json.dumps(line) + "\n" for line in lines))
        self._directory = directory
        with self._written():
            self._file = run.metrics.open("a", encoding="utf-8")
            self._board = SummaryWriter(str(run.tensorboard), purge_step=frames + 1 if frames else None) if board else None

    def write(self, frames: int, metrics: dict[str, float | None]) -> None:
        with self._written():
            self._file.write(json.dumps({"frames": frames, **metrics}) + "\n")
            self._file.flush()
            for name, value in metrics.items():
                if value is not None and self._board:
                    self._board.add_scalar(visible(name), value, frames)

    def close(self) -> None:
        """Says nothing of what cannot be written, since `write` has said it."""
        with contextlib.suppress(OSError):
            self._file.close()
        if self._board:
            with contextlib.suppress(OSError):
                self._board.close()

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FileError(
                f"the metrics in {self._directory} cannot be written: {error.strerror or error}; free space or fix permissions, "
                "then resume"
            ) from error
