"""A mirror: a copy of a run or population on storage, up to date at every checkpoint.

Who writes a mirror writes a copy of its own, below its own name, and `owner.json` says whose copy counts (`manifest.py`). So a
process that was replaced, and goes on because it was only frozen or cut off, spoils nothing.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from kickstarting.runs.copied import Copy
from kickstarting.runs.files import FileError, blaming, read_json, typed, write_json
from kickstarting.runs.layout import MIRROR, PopulationDirectory, RunDirectory
from kickstarting.runs.manifest import OWNER, Owner, occupied, read_owner
from kickstarting.runs.ownership import written_by_us
from kickstarting.runs.storage import Storage
from kickstarting.runs.uploads import Uploads


@dataclass(frozen=True)
class Mirrored:
    """Where a directory has its mirror, and under which name it writes there."""

    url: str
    writer: str


def mirror_of(directory: Path) -> Mirrored | None:
    """None for a directory without a mirror. Raises FileError if the file that names it is damaged."""
    path = directory / MIRROR
    if not path.exists():
        return None
    remedy = f"remove {path} to go on without a mirror"
    about = read_json(path, remedy=remedy)
    with blaming(path, remedy=remedy):
        return Mirrored(typed(about["url"], str, "'url'"), typed(about["writer"], str, "'writer'"))


def check_vacant(url: str, directory: Path) -> None:
    """Raise ValueError, before any work, if a run is mirrored to this place already, or it cannot be written, or lies within the
    directory that it would be a copy of."""
    storage = Storage(url)
    if Path(storage.url).is_relative_to(directory.absolute()):
        raise ValueError(f"the mirror {url} lies within {directory}, which it would be a copy of; choose a place beside it")
    if owner := read_owner(storage):
        raise ValueError(occupied(storage, owner))
    probe = f".probe-{uuid.uuid4().hex[:16]}"
    storage.write(probe, b"")
    storage.remove(probe)


def begin_mirror(directory: Path, url: str, replacing: Owner | None = None) -> None:
    """Copy a run that has begun, and let this copy be the one that counts. replacing: whose copy did until now.

    Raises ValueError if another run is mirrored to this place; StorageError if it cannot be written.
    """
    copy = Copy(directory, Storage(url), uuid.uuid4().hex[:16])
    copy.bring_now()
    write_json(directory / MIRROR, {"url": copy.storage.url, "writer": copy.writer})
    if replacing is None:
        copy.claim()
        return
    copy.storage.write(OWNER, copy.owner)
    for name in copy.storage.names(replacing.writer):
        copy.storage.remove(name)


@contextmanager
def mirrored(directory: Path) -> Iterator[Callable[[], None]]:
    """Within, calling what it gives brings the directory as it is then to its mirror, without waiting for it; at the end all is
    brought, and waited for. Does nothing for a directory without a mirror.

    Raises Replaced, also when it is called, if another process goes on with the run; StorageError if at the end the mirror is not
    up to date.
    """
    about = mirror_of(directory)
    if about is None:
        yield lambda: None
        return
    copy = Copy(directory, Storage(about.url), about.writer)
    if read_owner(copy.storage) is None:  # it was killed before it could
        copy.claim()
    copy.check_ours()
    uploads = Uploads(copy, Console())
    uploads.request()
    try:
        yield uploads.request
    except BaseException:
        with contextlib.suppress(FileError):  # said already
            uploads.request()
            uploads.finish()
        raise
    uploads.request()
    uploads.finish()


def bring_up_to_date(directory: Path, url: str | None = None) -> str:
    """Bring a directory that nobody writes to its mirror, and wait for it; url: where to begin one. Returns where it is.

    Raises ValueError if there is no run or population, or it has a mirror elsewhere, or none and no URL is given; else as
    `mirrored`.
    """
    if not (RunDirectory(directory).begun or PopulationDirectory(directory).begun):
        raise ValueError(f"{directory} holds no run and no population; name the directory of one")
    about = mirror_of(directory)
    if about is None and url is None:
        raise ValueError(f"{directory} has no mirror; give --to URL to begin one")
    if about and url and Storage(url).url != about.url:
        raise ValueError(f"{directory} has a mirror at {about.url}, not at {url}; leave out --to, or remove {directory / MIRROR}")
    with written_by_us(directory):
        if about is None and url is not None:
            check_vacant(url, directory)
            begin_mirror(directory, url)
        with mirrored(directory):
            return about.url if about else Storage(str(url)).url
