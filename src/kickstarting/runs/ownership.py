"""Whose a directory is: what we may begin in it, and who writes it at the moment. One directory has one writer.

A lock is a file that its writer holds locked (POSIX record locks), so that the system takes it away when the writer dies, however
it dies. What the file says, host and process, is for the message to the one that comes second.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kickstarting.runs.layout import LOCK, JobDirectory, PopulationDirectory, RunDirectory, TuneDirectory

_held: set[Path] = set()
"""Directories that this process writes: a record lock does not keep out its own process."""
_guard = threading.Lock()


@contextmanager
def written_by_us(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory, which is made if it is missing, and removed again if nothing was put into it.

    Raises ValueError, with process and host of the writer, if somebody else holds it, or the directory cannot be made or written.
    """
    directory = directory.resolve()
    made = _make(directory)
    with _guard:
        if directory in _held:
            raise ValueError(_occupied(directory, f"process {os.getpid()} on {socket.gethostname()}, this one,"))
        _held.add(directory)
    try:
        with _locked(directory / LOCK, directory):
            yield
    finally:
        _held.discard(directory)
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()


def check_free(directory: Path, kind: str, resume: str) -> None:
    """Raise ValueError if there is anything in a directory that a new run (or whatever `kind` is) would write into, or it lies
    within a run: what is there is somebody's. Traces of a first step that failed are no hindrance.

    resume: the command that goes on with one that has begun.
    """
    for above in directory.resolve().parents:
        if _begun(above) in ("run", "population"):
            raise ValueError(f"{directory} lies within the {_begun(above)} {above}; choose another --out")
    if not directory.exists():
        return
    if not directory.is_dir():
        raise ValueError(f"{directory} is a file; choose another --out")
    if begun := _begun(directory):
        how = f"choose another --out, or continue it with `{resume}`" if begun == kind else "choose another --out"
        raise ValueError(f"{directory} already holds a {begun}; {how}")
    job = JobDirectory(directory)
    run = RunDirectory(directory)
    ours = {LOCK, job.job.name, job.log.name, run.teacher_scores.name}
    ours |= {f".{path.name}.partial" for path in (job.job, run.teacher_scores, run.config)}
    theirs = sorted(path.name for path in directory.iterdir() if path.name not in ours)
    if theirs:
        more = f" and {len(theirs) - 1} more" if len(theirs) > 1 else ""
        raise ValueError(f"{directory} is in use already: it holds {theirs[0]}{more}; choose another --out")


def _begun(directory: Path) -> str | None:
    """What has begun in a directory, going by its files and what they say: a project may have a config.json of its own."""
    if PopulationDirectory(directory).begun:
        return "population"
    if TuneDirectory(directory).begun:
        return "tune"
    config = RunDirectory(directory).config
    if not config.is_file():
        return None
    try:
        data = json.loads(config.read_bytes())
    except (OSError, ValueError, RecursionError):
        return "run" if RunDirectory(directory).metrics.exists() else None
    return "run" if isinstance(data, dict) and {"suite", "total_frames"} <= data.keys() else None


def _make(directory: Path) -> list[Path]:
    """What had to be made, innermost first. Raises ValueError if it cannot be."""
    made = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is a file" if directory.is_file() else error.strerror or str(error)
        raise ValueError(f"{directory} cannot be made a directory: {reason}; choose another --out") from error
    return made


@contextmanager
def _locked(path: Path, directory: Path) -> Iterator[None]:
    descriptor = _acquire(path, directory)
    try:
        about = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(about).encode(), 0)
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)  # before it is let go, so that nobody locks a file without a name
        os.close(descriptor)


def _acquire(path: Path, directory: Path) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise ValueError(f"{directory} cannot be written: {error.strerror}; choose another --out") from error
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            writer = _said(descriptor)
            os.close(descriptor)
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise ValueError(_occupied(directory, writer)) from error
            raise ValueError(f"{directory} cannot be locked: {error.strerror}; choose an --out on another file system") from error
        if _is_still(path, descriptor):
            return descriptor
        os.close(descriptor)  # its writer let it go, and removed it, while we opened it


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _said(descriptor: int) -> str:
    try:
        about = json.loads(os.pread(descriptor, 1000, 0))
        return f"process {about['pid']} on {about['host']} since {about['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _occupied(directory: Path, writer: str) -> str:
    return f"{directory} is being written by {writer}; wait for it, stop it, or choose another --out"
