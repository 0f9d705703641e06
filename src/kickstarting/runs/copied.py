"""A writer's copy of a directory on storage: taken at a moment, and brought there part by part (`manifest.py`)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kickstarting.runs.files import FileError
from kickstarting.runs.layout import MIRROR
from kickstarting.runs.manifest import OWNER, PART, is_inside, manifest_bytes, manifest_name, occupied, part_name, read_owner
from kickstarting.runs.storage import Storage

Stamp = tuple[int, int, int]
"""Inode, size and time of the last change of a file."""


class Replaced(FileError):
    """Another process goes on with this run, so this one must not."""


@dataclass(frozen=True)
class Taken:
    """A file of a directory at one moment: open, so that it can be read when its name is gone, or known to lie there already."""

    name: str
    stamp: Stamp
    file: BinaryIO | None
    parts: tuple[str, ...] = ()

    def chunks(self) -> Iterator[bytes]:
        """What it held at that moment: a file that has grown since is not read further."""
        assert self.file is not None
        self.file.seek(0)
        left = self.stamp[1]
        while data := self.file.read(min(PART, left)):
            left -= len(data)
            yield data


class Copy:
    """What a writer brought to storage of a directory."""

    def __init__(self, directory: Path, storage: Storage, writer: str) -> None:
        self.directory, self.storage, self.writer = directory, storage, writer
        self.progress = time.monotonic()
        """When a part was last written."""
        self._stored = {name.rpartition("/")[2] for name in storage.names(f"{writer}/parts")}
        self._brought: dict[str, tuple[Stamp, tuple[str, ...]]] = {}

    @property
    def owner(self) -> bytes:
        """The file that makes this copy the one that counts."""
        about = {
            "writer": self.writer,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        return json.dumps(about).encode()

    def claim(self) -> None:
        """Raise ValueError, and leave nothing of this copy, if another one counts."""
        if self.storage.create(OWNER, self.owner):
            return
        for name in self.storage.names(self.writer):
            self.storage.remove(name)
        (self.directory / MIRROR).unlink(missing_ok=True)
        raise ValueError(occupied(self.storage, read_owner(self.storage)))

    def check_ours(self) -> None:
        """Raise Replaced if another copy counts."""
        owner = read_owner(self.storage)
        if owner is None or owner.writer != self.writer:
            raise Replaced(
                f"{self.directory} is no longer what {self.storage.url} mirrors: {owner or 'nobody'} took over; go on with "
                f"`--resume {self.storage.url}`, or without a mirror by removing {self.directory / MIRROR}"
            )

    def take(self) -> list[Taken]:
        """Every file of the directory as it is now, but what is hidden."""
        taken = []
        for folder, below, names in os.walk(self.directory):
            below[:] = sorted(name for name in below if not name.startswith("."))
            for path in (Path(folder) / name for name in sorted(names)):
                name = path.relative_to(self.directory).as_posix()
                if name != MIRROR and is_inside(name) and path.is_file() and not path.is_symlink():
                    with contextlib.suppress(FileNotFoundError):
                        taken.append(self._taken(path, name))
        return taken

    def _taken(self, path: Path, name: str) -> Taken:
        file = path.open("rb")
        about = os.fstat(file.fileno())
        stamp = about.st_ino, about.st_size, about.st_mtime_ns
        before, parts = self._brought.get(name, (None, ()))
        if stamp != before:
            return Taken(name, stamp, file)
        file.close()
        return Taken(name, stamp, None, parts)

    def bring(self, taken: list[Taken]) -> None:
        """Write what is not there yet, then the manifest, then remove what it no longer names. Raises StorageError, after which
        the copy is as it was before; and OSError."""
        files = {each.name: tuple(map(self._part, each.chunks())) if each.file else each.parts for each in taken}
        self.storage.write(manifest_name(self.writer), manifest_bytes(files))
        self._brought = {each.name: (each.stamp, files[each.name]) for each in taken}
        for part in sorted(self._stored.difference(*files.values())):
            self.storage.remove(part_name(self.writer, part))
            self._stored.discard(part)

    def bring_now(self) -> None:
        """Take the directory and bring it, in one go. Raises as `bring`."""
        taken = self.take()
        try:
            self.bring(taken)
        finally:
            close(taken)

    def _part(self, data: bytes) -> str:
        part = hashlib.sha256(data).hexdigest()
        if part not in self._stored:
            self.storage.write(part_name(self.writer, part), data)
            self._stored.add(part)
            self.progress = time.monotonic()
        return part


def close(taken: list[Taken]) -> None:
    """Let the files go."""
    for each in taken:
        if each.file:
            each.file.close()
