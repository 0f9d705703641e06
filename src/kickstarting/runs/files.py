"""JSON files of run directories: written whole or not at all, signed where they decide what a run is, read with reasons.

Nothing here imports torch: reports read these files, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

SIGNATURE = "self_sha256"


class FileError(ValueError):
    """A file is missing, damaged or cannot be written; the message names it and the remedy."""


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all, to the disk. Raises FileError; what was there before is untouched then."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise FileError(f"{path} cannot be written: {error.strerror or error}; free space or fix permissions") from error


def write_json(path: Path, data: object) -> None:
    """As `write_text`."""
    write_text(path, json.dumps(data, indent=1) + "\n")


def write_signed(path: Path, data: dict[str, Any]) -> None:
    """As `write_json`, with the SHA-256 of what it says."""
    write_text(path, signed_text(data))


def signed_text(data: dict[str, Any]) -> str:
    """What `write_signed` writes."""
    return json.dumps({**data, SIGNATURE: digest_of(data)}, indent=1)


def read_json(path: Path, *, remedy: str, signed: bool = False) -> dict[str, Any]:
    """The JSON object in a file, without its signature. A signature that is there must be right; signed: it must be there, too.

    Raises FileError, which ends with the remedy, if the file cannot be read, is no object, or was damaged or altered.
    """
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}; {remedy}") from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is damaged: it is no JSON ({error}); {remedy}") from error
    if not isinstance(data, dict):
        raise FileError(f"{path} is damaged: it holds {type(data).__name__} instead of an object; {remedy}")
    claimed = data.pop(SIGNATURE, None)
    if signed and claimed is None:
        raise FileError(f"{path} is damaged: its SHA-256 is missing; {remedy}")
    if claimed is not None and claimed != digest_of(data):
        raise FileError(f"{path} is damaged or was altered: its SHA-256 differs; {remedy}")
    return data


def digest_of(data: Any) -> str:
    """The SHA-256 of plain data, however its keys are ordered."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """The SHA-256 of a file. Raises FileError if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}; put the file back") from error
