"""Bring a run or population back from its mirror: every file verified, all of it or nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path, PurePosixPath

from kickstarting.runs.files import make_directory
from kickstarting.runs.layout import RunDirectory
from kickstarting.runs.manifest import OWNER, Owner, part_name, read_current, read_owner
from kickstarting.runs.mirror import begin_mirror, mirror_of
from kickstarting.runs.ownership import check_free
from kickstarting.runs.storage import Storage, StorageError

ATTEMPTS = 5
"""A run that goes on removes what its last manifest no longer names; then the newer one is read."""


def is_mirror(place: str) -> bool:
    """Whether this names a mirror, and no directory of a run."""
    return "://" in place or os.path.isfile(os.path.join(place, OWNER))


def fetch(url: str, out: Path, *, said: Callable[[str], None], wanted: Callable[[Iterable[str]], set[str]] = set) -> Owner:
    """Bring what is mirrored to a URL into a directory, which is made; returns whose copy it is. wanted: what of its files.

    A checkpoint that is damaged there is left out, and `said`, if there is another one. Raises ValueError if `out` holds anything;
    StorageError if nothing is mirrored there, or it is damaged.
    """
    check_free(out, "run", f"kickstart train --resume {out}")
    storage = Storage(url)
    partial = out.absolute().parent / f".{out.name}.partial"
    make_directory(partial.parent)
    try:
        owner, files, damaged = _put_together(storage, wanted, partial)
        for checkpoint in _given_up(damaged, files, storage):
            shutil.rmtree(partial / checkpoint)
            said(f"{storage.url}: {checkpoint} is damaged there, so it is left out")
        partial.mkdir(exist_ok=True)
        partial.rename(out)
    except OSError as error:
        raise StorageError(f"{out} cannot be written: {error.strerror or error}; free space or fix permissions") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return owner


def brought_back(url: str, out: Path, *, said: Callable[[str], None]) -> Path:
    """Bring a run or population into a directory to go on with it there: from now on that directory is what is mirrored.

    A directory that is mirrored there already is taken as it is. Raises as `fetch`.
    """
    storage = Storage(url)
    about, owner = mirror_of(out), read_owner(storage)
    if about and owner and (about.url, about.writer) == (storage.url, owner.writer):
        return out
    owner = fetch(url, out, said=said)
    said(f"goes on for {owner}; if that one still works, it stops at its next checkpoint")
    begin_mirror(out, url, replacing=owner)
    return out


def newest_weights(names: Iterable[str]) -> set[str]:
    """Of the files of a run those that a policy is loaded from."""
    folder = RunDirectory(Path()).checkpoints.name
    numbered = [name for name in names if (parts := PurePosixPath(name).parts)[0] == folder and parts[1].isdecimal()]
    newest = max((PurePosixPath(name).parts[1] for name in numbered), key=int, default="")
    return {name for name in numbered if PurePosixPath(name).parts[1] == newest}


def _put_together(
    storage: Storage, wanted: Callable[[Iterable[str]], set[str]], folder: Path
) -> tuple[Owner, dict[str, list[str]], list[str]]:
    """Whose copy it is, its files, and those of them that are damaged there."""
    for attempt in count(1):
        shutil.rmtree(folder, ignore_errors=True)
        owner, there = read_current(storage)
        files = {name: there[name] for name in sorted(wanted(there))}
        damaged = [name for name, parts in files.items() if not _assembled(storage, owner, parts, folder / name)]
        if not damaged or attempt == ATTEMPTS or read_current(storage) == (owner, there):
            return owner, files, damaged
    raise AssertionError("unreachable")


def _assembled(storage: Storage, owner: Owner, parts: list[str], path: Path) -> bool:
    """Whether a file could be put together; what is there of it stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for part in parts:
            data = storage.read(part_name(owner.writer, part))
            if data is None or hashlib.sha256(data).hexdigest() != part:
                return False
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return True


def _given_up(damaged: list[str], files: dict[str, list[str]], storage: Storage) -> list[str]:
    """The checkpoints that hold damaged files. Raises StorageError if anything else is damaged, or no checkpoint is left."""
    checkpoint_of = {name: checkpoint for name in files if (checkpoint := _checkpoint(name))}
    for name in damaged:
        if name not in checkpoint_of:
            raise StorageError(f"{storage.url} is damaged: a part of {name} is missing or was altered; restore it")
    given_up = {checkpoint_of[name] for name in damaged}
    if given_up and given_up == set(checkpoint_of.values()):
        raise StorageError(f"{storage.url} is damaged: no checkpoint is whole; restore its parts")
    return sorted(given_up)


def _checkpoint(name: str) -> str | None:
    """checkpoints/00000012 of whatever lies in it."""
    parts = PurePosixPath(name).parts
    folder = RunDirectory(Path()).checkpoints.name
    return "/".join(parts[: parts.index(folder) + 2]) if folder in parts[:-1] else None
