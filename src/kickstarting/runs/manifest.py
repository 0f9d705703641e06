"""What lies on storage of a run: whose copy counts, and of which parts each of its files is made.

    owner.json                  names the writer whose copy counts
    WRITER/manifest.json        every file as the SHA-256 of its parts, signed
    WRITER/parts/SHA256         up to 32 MiB of a file

Parts are written before the manifest that names them, and never changed. So a manifest is a moment of the run, and whoever was
killed between two of them has left the first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from kickstarting.runs.files import SIGNATURE, digest_of, signed_text
from kickstarting.runs.storage import Storage, StorageError

OWNER = "owner.json"
FORMAT = 1
PART = 32 * 2**20
"""Bytes. Of a file that only grows, all parts but the last stay what they are."""

Files = Mapping[str, Sequence[str]]
"""By their paths in the run's directory, the SHA-256 of their parts."""


@dataclass(frozen=True)
class Owner:
    """The process whose copy counts."""

    writer: str
    host: str
    pid: int
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


def part_name(writer: str, sha256: str) -> str:
    return f"{writer}/parts/{sha256}"


def manifest_name(writer: str) -> str:
    return f"{writer}/manifest.json"


def read_owner(storage: Storage) -> Owner | None:
    """Whose copy counts; None if nobody mirrors to this place. Raises StorageError if it cannot be read, or is damaged."""
    data = storage.read(OWNER)
    if data is None:
        return None
    about = _object(data, storage, OWNER)
    owner = Owner(*(about.get(name) for name in ("writer", "host", "pid", "since")))  # type: ignore[arg-type]
    if not (isinstance(owner.writer, str) and re.fullmatch(r"[0-9a-f]{16}", owner.writer)):
        raise _damaged(storage, OWNER, f"its writer is {str(owner.writer)[:40]!r}")
    return owner


def read_manifest(storage: Storage, writer: str) -> dict[str, list[str]]:
    """The files of a writer's copy. Raises StorageError if there is none, or it is damaged, or names what is no file of a run."""
    name = manifest_name(writer)
    data = storage.read(name)
    if data is None:
        raise _damaged(storage, name, "it is missing")
    manifest = _object(data, storage, name)
    claimed = manifest.pop(SIGNATURE, None)
    if claimed != digest_of(manifest):
        raise _damaged(storage, name, "its SHA-256 differs")
    if manifest.get("format") != FORMAT or not isinstance(manifest.get("files"), dict):
        raise _damaged(storage, name, f"its format is {manifest.get('format')!r}, this version reads {FORMAT}")
    for path, parts in manifest["files"].items():
        if not is_inside(path):
            raise _damaged(storage, name, f"it names {path[:100]!r}, which is no file of a run")
        if not isinstance(parts, list) or not all(isinstance(x, str) and re.fullmatch(r"[0-9a-f]{64}", x) for x in parts):
            raise _damaged(storage, name, f"the parts of {path} are no SHA-256")
    return manifest["files"]


def read_current(storage: Storage) -> tuple[Owner, dict[str, list[str]]]:
    """The copy that counts. Raises StorageError if nothing is mirrored there, or it is damaged."""
    owner = read_owner(storage)
    if owner is None:
        raise StorageError(f"nothing is mirrored to {storage.url}: there is no {OWNER}; see that the URL is a run's")
    return owner, read_manifest(storage, owner.writer)


def manifest_bytes(files: Files) -> bytes:
    """What `read_manifest` reads."""
    return signed_text({"format": FORMAT, "files": {name: list(parts) for name, parts in files.items()}}).encode()


def is_inside(path: str) -> bool:
    """Whether a path stays in the directory that it is relative to, and is not hidden there."""
    parts = PurePosixPath(path).parts
    plain = bool(parts) and not path.startswith("/") and "\\" not in path and "\0" not in path
    return plain and not any(part.startswith(".") for part in parts)


def _object(data: bytes, storage: Storage, name: str) -> dict[str, Any]:
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _damaged(storage, name, f"it is no JSON ({error})") from error
    if not isinstance(parsed, dict):
        raise _damaged(storage, name, f"it holds {type(parsed).__name__} instead of an object")
    return parsed


def _damaged(storage: Storage, name: str, why: str) -> StorageError:
    return StorageError(f"{storage.url}/{name} is damaged: {why}; restore it, or mirror the run to another place")


def occupied(storage: Storage, owner: Owner | None) -> str:
    """What to say to a run that would be mirrored where another one is."""
    return (
        f"a run is mirrored to {storage.url} already, by {owner}; choose another place, or go on with that run: "
        f"`kickstart train --resume {storage.url}`"
    )
