"""Learning histories in a file: of each environment column one ordered stream of transitions, as `types.py` draws them.

The file is an Arrow IPC stream without an end mark: the schema, then a record batch (a block) for every flush, appended whole. So
what was flushed outlives the process however it dies, a torn end is found and left out, and whatever reads Arrow reads the file.
It is memory-mapped, and each block compressed (zstd). docs/histories.md has the columns.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from kickstarting.runs.files import FileError, blaming
from kickstarting.space_json import describe_space, read_observations, read_space

FORMAT = 1
OBSERVATION = "observation/"
FLAGS = ("is_first", "terminated", "truncated", "valid")
REMEDY = "collect the histories again, or remove the file"

Columns = dict[str, np.ndarray]
"""`observation/NAME`, `action`, `reward` and FLAGS, each [..., its own shape] with the same leading dimensions."""


@dataclass(frozen=True)
class About:
    """What the histories of a file are of."""

    observation_space: spaces.Dict
    action_space: gymnasium.Space
    tasks: Sequence[Any]
    """Of each history its task: a list of numbers of a family's, or the name of a suite's."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else is known, as plain data: family, source, seeds."""

    @property
    def kinds(self) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
        """Type and shape of one row of every column."""
        kinds = {f"{OBSERVATION}{name}": _kind(space) for name, space in self.observation_space.items()}
        boolean = (np.dtype(bool), ())
        return {**kinds, "action": _kind(self.action_space), "reward": (np.dtype(np.float32), ()), **dict.fromkeys(FLAGS, boolean)}

    def to_json(self) -> dict[str, Any]:
        observed = {name: describe_space(space) for name, space in self.observation_space.items()}
        acted = {"observation_space": observed, "action_space": describe_space(self.action_space)}
        return {"format": FORMAT, **acted, "tasks": list(self.tasks), "facts": dict(self.facts)}


def about_from_json(data: Mapping[str, Any]) -> About:
    """The inverse of `About.to_json`. Raises ValueError for another format."""
    if data["format"] != FORMAT:
        raise ValueError(f"it has format {data['format']!r}, this version reads {FORMAT}; use the version that wrote it")
    observed = {name: part if "multi_discrete" in part else None for name, part in data["observation_space"].items()}
    parts = {
        name: read_space(part) if part else read_observations({name: data["observation_space"][name]})[name]
        for name, part in observed.items()
    }
    return About(spaces.Dict(parts), read_space(data["action_space"]), list(data["tasks"]), dict(data["facts"]))


@dataclass(frozen=True)
class Histories:
    """Histories in memory, one behind the other."""

    about: About
    columns: Columns
    """Each [rows, ...]."""
    starts: np.ndarray
    """int64 [histories + 1]: where each begins, and the end of the last."""
    torn: int = 0
    """Bytes behind the last whole block, which were not read."""

    def __len__(self) -> int:
        return len(self.starts) - 1


def read_about(path: Path) -> About:
    """What a file's histories are of. Raises FileError if it is missing or no file of histories."""
    with reading(path) as reader:
        return reader.about


def read_histories(path: Path) -> Histories:
    """All whole blocks of a file, in memory. Raises FileError if it is missing, damaged, or of another version."""
    with reading(path) as reader, blaming(path, remedy=REMEDY):
        blocks = list(reader.blocks())
        return Histories(reader.about, *_assembled(reader.about, blocks, path), torn=reader.size - reader.end)


def arrow() -> Any:
    """The library of the format. Raises ValueError, with what to install, if it is missing."""
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError as error:
        raise ValueError("histories need pyarrow; install it with `pip install 'kickstarting[ad]'`") from error
    return pyarrow


class reading:
    """A file of histories, mapped into memory."""

    def __init__(self, path: Path) -> None:
        pa = arrow()
        if not path.is_file():
            raise FileError(f"there are no histories at {path.parent}: {path.name} is missing; collect some first")
        self._pa, self.path, self.size = pa, path, path.stat().st_size
        self._file = pa.memory_map(str(path))
        try:
            with blaming(path, remedy=REMEDY):
                self._messages = pa.ipc.MessageReader.open_stream(self._file)
                self._schema = pa.ipc.read_schema(self._messages.read_next_message())
                self.about = about_from_json(json.loads(self._schema.metadata[b"kickstarting"]))
                if not self._schema.equals(schema_of(self.about)):
                    raise ValueError("its columns are not those that it says")
        except (FileError, StopIteration, TypeError) as error:
            self._file.close()
            raise error if isinstance(error, FileError) else FileError(f"{path} holds no histories; {REMEDY}") from error
        self.end = self._file.tell()

    def __enter__(self) -> reading:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def blocks(self) -> Iterator[Any]:
        """Every whole record batch; `end` is where the last one that was given ends."""
        while True:
            try:
                message = self._messages.read_next_message()
                batch = self._pa.ipc.read_record_batch(message, self._schema)
            except (StopIteration, OSError, ValueError):  # the file's end, or where a writer died
                return
            self.end = self._file.tell()
            yield batch


def _assembled(about: About, blocks: list[Any], path: Path) -> tuple[Columns, np.ndarray]:
    """Columns [rows, ...] with each history's steps in order, and where each history begins."""
    owners = [block.column("history").to_numpy() for block in blocks]
    counts = sum((np.bincount(x, minlength=len(about.tasks)) for x in owners), np.zeros(len(about.tasks), np.int64))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    columns = {name: np.empty((starts[-1], *shape), dtype) for name, (dtype, shape) in about.kinds.items()}
    for block, owner in zip(blocks, owners, strict=True):
        rows = starts[owner] + block.column("step").to_numpy()
        if rows.size and (rows >= starts[owner + 1]).any():
            raise FileError(f"{path} is damaged: a block is missing; {REMEDY}")
        for name, (dtype, shape) in about.kinds.items():
            columns[name][rows] = _to_numpy(block.column(name), dtype, shape)
    return columns, starts


def schema_of(about: About) -> Any:
    pa = arrow()
    fields = [pa.field("history", pa.int32()), pa.field("step", pa.int64())]
    for name, (dtype, shape) in about.kinds.items():
        kind = pa.from_numpy_dtype(dtype)
        fields.append(pa.field(name, pa.list_(kind, math.prod(shape)) if shape else kind))
    return pa.schema(fields, metadata={"kickstarting": json.dumps(about.to_json())})


def _kind(space: gymnasium.Space) -> tuple[np.dtype, tuple[int, ...]]:
    """As small as it can be."""
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        most = int(space.n if isinstance(space, spaces.Discrete) else space.nvec.max())
        return np.min_scalar_type(most - 1), space.shape or ()
    return np.dtype(space.dtype), tuple(space.shape or ())


def _to_numpy(x: Any, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    flat = (x.flatten() if shape else x).to_numpy(zero_copy_only=False)
    return flat.astype(dtype, copy=False).reshape(len(x), *shape)
