"""Writing learning histories: appended block by block while a run goes on, or whole (`histories.py` has the format)."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from kickstarting.runs.files import FileError, check_replaceable
from kickstarting.runs.histories import About, Columns, Histories, arrow, reading, schema_of

FLUSH = 32_000_000
"""Bytes that wait in memory at most, uncompressed."""


class HistoriesWriter:
    """Appends to a file of histories, which is made if there is none.

    steps: rows of each history that stand in the file and stay; what was written after them, by a process that died before its
    next checkpoint, is dropped. Raises FileError if the file has less, is of something else, or cannot be written.
    """

    def __init__(self, path: Path, about: About, *, steps: int = 0) -> None:
        pa = arrow()
        self.path, self.about, self.steps = path, about, steps
        self._schema, self._waiting, self._bytes = schema_of(about), [], 0
        self._options = pa.ipc.IpcWriteOptions(compression="zstd")
        check_replaceable(path)
        try:
            if steps == 0:
                self._file = path.open("wb")
                self._write(self._schema.serialize().to_pybytes())
            else:
                self._file = path.open("r+b")
                self._file.truncate(_end_of(path, about, steps))
                self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise FileError(f"{path} cannot be written: {error.strerror or error}; free space or fix permissions") from error

    def append(self, columns: Columns) -> None:
        """columns: the next steps of all histories, [histories, T, ...]. They wait in memory until there are many."""
        self._waiting.append({name: np.asarray(columns[name], dtype) for name, (dtype, _) in self.about.kinds.items()})
        self._bytes += sum(x.nbytes for x in self._waiting[-1].values())
        if self._bytes >= FLUSH:
            self.flush()

    def flush(self) -> None:
        """Bring what waits to the disk, as one block."""
        if not self._waiting:
            return
        columns = {name: np.concatenate([block[name] for block in self._waiting], 1) for name in self.about.kinds}
        histories, steps = columns["reward"].shape
        self.append_rows(
            {
                "history": np.repeat(np.arange(histories, dtype=np.int32), steps),
                "step": np.tile(np.arange(self.steps, self.steps + steps), histories),
                **{name: x.reshape(histories * steps, *x.shape[2:]) for name, x in columns.items()},
            }
        )
        self._waiting, self._bytes, self.steps = [], 0, self.steps + steps

    def append_rows(self, rows: Columns) -> None:
        """A block of rows [N, ...] of any histories, which `history` and `step` name, to the disk at once."""
        pa = arrow()
        batch = pa.record_batch([_to_arrow(rows[name]) for name in self._schema.names], schema=self._schema)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self._schema, options=self._options) as stream:
            stream.write_batch(batch)
        begins, end_mark = self._schema.serialize().size, 8
        try:
            self._write(sink.getvalue().to_pybytes()[begins:-end_mark])
        except OSError as error:
            raise FileError(f"{self.path} cannot be written: {error.strerror or error}; free space, then resume") from error

    def close(self) -> None:
        """Flush, and let go of the file."""
        try:
            self.flush()
        finally:
            self._file.close()

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()
        os.fsync(self._file.fileno())


def write_histories(path: Path, histories: Histories) -> None:
    """A new file of whole histories, whatever their lengths. Raises FileError if it cannot be written."""
    owners = np.repeat(np.arange(len(histories)), np.diff(histories.starts))
    rows = {"history": owners.astype(np.int32), "step": np.arange(len(owners)) - histories.starts[owners], **histories.columns}
    size = max(1, len(owners) * FLUSH // max(1, sum(x.nbytes for x in rows.values())))
    writer = HistoriesWriter(path, histories.about)
    try:
        for begin in range(0, len(owners), size):
            writer.append_rows({name: x[begin : begin + size] for name, x in rows.items()})
    finally:
        writer.close()


def _end_of(path: Path, about: About, steps: int) -> int:
    """Bytes of the file up to the last block before `steps`."""
    with reading(path) as reader:
        if reader.about.to_json() != about.to_json():
            raise FileError(f"{path} is of other histories than this run's; move it away, and begin the run anew")
        end, known = reader.end, 0
        for batch in reader.blocks():
            last = int(batch.column("step")[-1].as_py()) + 1
            if last > steps:
                break
            end, known = reader.end, last
    if known != steps:
        raise FileError(f"{path} has {known} steps of each history, the run's checkpoint is at {steps}; begin the run anew")
    return end


def _to_arrow(x: np.ndarray) -> Any:
    pa = arrow()
    if x.ndim == 1:
        return pa.array(x)
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(x).reshape(-1)), math.prod(x.shape[1:]))
