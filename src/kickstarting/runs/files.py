"""Files of run directories: written whole or not at all, signed where they decide what a run is, read with reasons.

Nothing here imports torch: reports read these files, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast
from zipfile import BadZipFile

SIGNATURE = "self_sha256"
LARGEST = 1e100
"""No number of ours is beyond it: sums and ratios of what is read stay finite."""

T = TypeVar("T", str, int, float, dict, list)


class FileError(ValueError):
    """A file is missing, damaged or cannot be written; the message names it and the remedy."""


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all, to the disk. Raises FileError; what was there before is untouched then."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.unlink(missing_ok=True)
        with temporary.open("xb") as file:  # a link that somebody laid there is not followed
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise FileError(f"{path} cannot be written: {error.strerror or error}; free space or fix permissions") from error


def write_text(path: Path, text: str) -> None:
    """As `write_bytes`, in UTF-8."""
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def write_json(path: Path, data: object) -> None:
    """As `write_text`."""
    write_text(path, json.dumps(data, indent=1) + "\n")


def write_signed(path: Path, data: dict[str, Any]) -> None:
    """As `write_json`, with the SHA-256 of what it says."""
    write_text(path, signed_text(data))


def signed_text(data: dict[str, Any]) -> str:
    """What `write_signed` writes."""
    return json.dumps({**data, SIGNATURE: digest_of(data)}, indent=1)


def make_directory(path: Path) -> None:
    """With its parents, if it is not there. Raises FileError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{path} cannot be made: {error.strerror or error}; choose another directory") from error


def check_writable(directory: Path) -> None:
    """Raise FileError if files could not be written into a directory that is there, or that would be made. Leaves no trace."""
    there = directory.absolute()
    try:
        while not _is_there(there):
            there = there.parent
        with tempfile.TemporaryFile(dir=there) as file:  # permissions say little of a full, remote or read-only disk
            file.write(bytes(4096))
    except OSError as error:
        why = "it is no directory" if os.path.exists(there) and not os.path.isdir(there) else error.strerror or error
        below = "" if there == directory.absolute() else f" below {there}"
        raise FileError(f"{directory} cannot be written{below}: {why}; choose another directory") from error


def check_replaceable(path: Path) -> None:
    """Raise FileError if something is at this path that a file must not take the place of: a directory, a link, a device."""
    if os.path.islink(path):
        raise FileError(f"{path} is a link to {os.readlink(path)}; name the file itself, or remove the link")
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileError(f"{path} is {'a directory' if os.path.isdir(path) else 'no regular file'}; name another file")


def check_replaces(files: Sequence[Path], what: str, marker: Path, ours: Callable[[dict[str, Any]], bool]) -> None:
    """Raise FileError if one of the files is there already, and may not be replaced, or is of somebody else.

    what: they are written of. marker: the one, of JSON, by which `ours` tells that all are of an earlier one.
    """
    present = [path for path in files if os.path.lexists(path)]
    for path in present:
        check_replaceable(path)
    if present and not _says(marker, ours):
        raise FileError(f"{present[0]} is there already, and of no earlier {what}; choose another --out, or move it away")


def _says(marker: Path, ours: Callable[[dict[str, Any]], bool]) -> bool:
    try:
        return ours(read_json(marker, remedy=""))
    except FileError:
        return False


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def read_bytes(path: Path, *, remedy: str) -> bytes:
    """Of a regular file. Raises FileError, which ends with the remedy."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # a pipe would be waited for, a device read without end
            raise FileError(f"{path} cannot be read: it is no regular file; {remedy}")
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}; {remedy}") from error


def read_json(path: Path, *, remedy: str, signed: bool = False) -> dict[str, Any]:
    """The JSON object in a file, without its signature. A signature that is there must be right; signed: it must be there, too.

    Raises FileError, which ends with the remedy, if the file cannot be read, is no object, or was damaged or altered.
    """
    data = _parsed(path, dict, remedy)
    claimed = data.pop(SIGNATURE, None)
    if signed and claimed is None:
        raise FileError(f"{path} is damaged: its SHA-256 is missing; {remedy}")
    if claimed is not None and claimed != digest_of(data):
        raise FileError(f"{path} is damaged or was altered: its SHA-256 differs; {remedy}")
    return data


def read_json_list(path: Path, *, remedy: str) -> list[Any]:
    """The JSON array in a file. Raises as `read_json`."""
    return _parsed(path, list, remedy)


def _parsed(path: Path, kind: type[T], remedy: str) -> T:
    try:
        data = json.loads(read_bytes(path, remedy=remedy))
    except FileError:
        raise
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is damaged: it is no JSON ({error}); {remedy}") from error
    if not isinstance(data, kind):
        wanted = {dict: "an object", list: "an array"}[kind]
        raise FileError(f"{path} is damaged: it holds {type(data).__name__} instead of {wanted}; {remedy}")
    return data


@contextlib.contextmanager
def blaming(path: Path, *, remedy: str) -> Iterator[None]:
    """Whatever goes wrong inside, where data of this file is taken apart, is a FileError that ends with the remedy."""
    try:
        yield
    except FileError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, OSError, BadZipFile) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise FileError(f"{path} is damaged: {what}; {remedy}") from error


def typed(value: Any, kind: type[T], what: str) -> T:
    """A value as the kind that it must be: numbers are finite and no booleans, an integer is a float, too. Raises ValueError."""
    if kind in (int, float):
        fits = type(value) in (int, kind) and abs(value) < (2**63 if kind is int else LARGEST)
    else:
        fits = isinstance(value, kind)
    if fits:
        return cast(T, float(value) if kind is float else value)
    raise ValueError(f"{what} is {shown(value)}, not {KINDS[kind]}")


KINDS: dict[type, str] = {str: "a text", int: "an integer", float: "a number", dict: "an object", list: "an array"}


def shown(value: Any) -> str:
    """A value that should not be there, cut short."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def digest_of(data: Any) -> str:
    """The SHA-256 of plain data, however its keys are ordered."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """The SHA-256 of a file. Raises FileError if it cannot be read."""
    return hashlib.sha256(read_bytes(path, remedy="put the file back")).hexdigest()
