"""`hf:OWNER/NAME[@REVISION]`: a folder of a model hub, downloaded once, and then whatever origin recognises what is in it.

The address of the hub is HF_ENDPOINT, its cache HF_HOME, as huggingface_hub has them.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from kickstarting.teachers.protocol import Teacher

OPTIONS: Mapping[str, str] = {"file": "which of its files is the teacher, where nothing recognises the folder"}
HEAVY = ("*.msgpack", "*.h5", "*.mp4", "*.zip.lock", "*.tfevents*", "runs/*", "logs/*")
"""What no teacher needs of a repository."""


def load(name: str, ref: str, device: str = "cpu", options: Mapping[str, str] | None = None) -> Teacher:
    origin, path = _inside(download(name), name, options)
    return origin.load(str(path), ref, device, {})


def digest(name: str, options: Mapping[str, str] | None = None) -> str:
    """Of the revision, and of the policy in it."""
    folder = download(name)
    origin, path = _inside(folder, name, options)
    return hashlib.sha256(f"{folder.name} {origin.digest(str(path), {})}".encode()).hexdigest()


def recognises(path: Path) -> bool:
    return False


def download(name: str) -> Path:
    """The folder of a repository at a revision, whose last part is that revision's hash. Raises ValueError if there is none, the
    hub does not answer, or the extra is missing."""
    repository, _, revision = name.partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise ValueError(f"hf:{name} is not hf:OWNER/NAME, or hf:OWNER/NAME@REVISION")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise ValueError(f"{error}; a teacher from a hub needs pip install 'kickstarting[hub]'") from error
    endpoint = os.environ.get("HF_ENDPOINT")  # which the library reads when it is imported, and no later
    wanted: Any = {"revision": revision or None, "ignore_patterns": list(HEAVY), "endpoint": endpoint}
    try:
        return Path(snapshot_download(repository, **wanted))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        why = " ".join(str(error).split())[:300]
        raise ValueError(
            f"hf:{name} cannot be downloaded: {why}; see that name and revision exist, and that the hub answers"
        ) from error


def _inside(folder: Path, name: str, options: Mapping[str, str] | None) -> tuple[ModuleType, Path]:
    """The origin of what a repository holds, and the path that it loads: the folder, or else the only file that is a teacher."""
    from kickstarting.teachers.origins import ORIGINS  # which imports this module

    if options and "file" in options:
        candidates = [folder / options["file"]]
        if not candidates[0].resolve().is_relative_to(folder.parents[1]) or not candidates[0].is_file():
            raise ValueError(f"hf:{name} has no file {options['file']!r}")
    else:
        candidates = [folder, *sorted(path for path in folder.iterdir() if path.is_file())]
    found = [(origin, path) for path in candidates for origin in ORIGINS.values() if origin.recognises(path)]
    if found and (found[0][1] == folder or len(found) == 1):
        return found[0]
    listed = ", ".join(path.name for path in candidates[1:]) or "no files"
    if found:
        raise ValueError(f"hf:{name} holds several teachers; give ?file=NAME of {', '.join(path.name for _, path in found)}")
    raise ValueError(f"hf:{name} holds nothing that a teacher could be loaded from: {listed}")
