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

from kickstarting.algo.parsing import nearest
from kickstarting.teachers.origins import onnx, run, sb3, torch
from kickstarting.teachers.protocol import Teacher

INSIDE = (run, onnx, torch, sb3)
"""Origins that recognise what a repository may hold."""
OPTIONS: Mapping[str, str] = {
    **{option: meaning for origin in INSIDE for option, meaning in origin.OPTIONS.items()},
    "file": "which of its files is the teacher, where nothing recognises the folder",
}
"""Those of what is inside, too; there, paths are of files in the repository."""
HEAVY = ("*.msgpack", "*.h5", "*.mp4", "*.zip.lock", "*.tfevents*", "runs/*", "logs/*")
"""What no teacher needs of a repository."""


def load(name: str, ref: str, device: str = "cpu", options: Mapping[str, str] | None = None) -> Teacher:
    folder = download(name)
    origin, path = _inside(folder, name, options)
    return origin.load(str(path), ref, device, _options(origin, folder, name, options))


def digest(name: str, options: Mapping[str, str] | None = None) -> str:
    """Of the revision, and of the policy in it."""
    folder = download(name)
    origin, path = _inside(folder, name, options)
    inner = _options(origin, folder, name, options)
    return hashlib.sha256(f"{folder.name} {origin.digest(str(path), inner)}".encode()).hexdigest()


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
    if options and "file" in options:
        candidates = [_file(folder, name, options["file"])]
    else:
        candidates = [folder, *sorted(path for path in folder.iterdir() if path.is_file())]
    found = [(origin, path) for path in candidates for origin in INSIDE if origin.recognises(path)]
    if found and (found[0][1] == folder or len(found) == 1):
        return found[0]
    listed = ", ".join(path.name for path in candidates[1:]) or "no files"
    if found:
        raise ValueError(f"hf:{name} holds several teachers; give ?file=NAME of {', '.join(path.name for _, path in found)}")
    raise ValueError(f"hf:{name} holds nothing that a teacher could be loaded from: {listed}")


def _options(origin: ModuleType, folder: Path, name: str, options: Mapping[str, str] | None) -> dict[str, str]:
    """Those of what is inside. Raises ValueError for one that it does not have, or a file that is not there."""
    inner = {option: value for option, value in (options or {}).items() if option != "file"}
    if unknown := [option for option in inner if option not in origin.OPTIONS]:
        what = origin.__name__.rpartition(".")[2]
        own = nearest(unknown[0], sorted(origin.OPTIONS)) if origin.OPTIONS else "it has none"
        raise ValueError(f"hf:{name} holds a teacher of {what}:, which has no option {unknown[0]!r}; {own}")
    paths = {option for option in getattr(origin, "PATHS", ()) if inner.get(option, "none") != "none"}
    return {option: str(_file(folder, name, value)) if option in paths else value for option, value in inner.items()}


def _file(folder: Path, name: str, file: str) -> Path:
    """A file of the repository, which may be a link into the library's cache of it."""
    path = folder / file
    if not path.resolve().is_relative_to(folder.parents[1]) or not path.is_file():
        raise ValueError(f"hf:{name} has no file {file!r}")
    return path
