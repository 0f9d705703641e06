"""`mirror:URL`: the newest weights of a run that is mirrored on storage (docs/storage.md), brought here and kept.

What is kept is named by its manifest, so a run that has gone on since is brought again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from kickstarting.runs.fetch import fetch, newest_weights
from kickstarting.runs.manifest import manifest_bytes, read_current
from kickstarting.runs.storage import Storage
from kickstarting.teachers.network import NetworkTeacher
from kickstarting.teachers.origins import run

OPTIONS = None
"""A URL may have a ? of its own."""


def load(name: str, ref: str, device: str = "cpu", options: Mapping[str, str] | None = None) -> NetworkTeacher:
    return run.load(str(kept(name)), ref, device)


def digest(name: str, options: Mapping[str, str] | None = None) -> str:
    """As of `run:`, so that the same weights are the same teacher wherever they lie."""
    return run.digest(str(kept(name)))


def absolute(name: str) -> str:
    return Storage(name).url


def recognises(path: Path) -> bool:
    return False


def kept(url: str) -> Path:
    """The run directory, with nothing but its newest checkpoint, in $XDG_CACHE_HOME/kickstarting/mirrors. Raises StorageError if
    nothing is mirrored there, or it cannot be read."""
    _, files = read_current(Storage(url))
    weights = {name: files[name] for name in newest_weights(files)}
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kickstarting" / "mirrors"
    path = home / hashlib.sha256(manifest_bytes(weights)).hexdigest()[:32]
    if not path.exists():
        fetch(url, path, said=print, wanted=newest_weights)
    return path
