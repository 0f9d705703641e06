"""Archives of Stable-Baselines3 and sb3-contrib, as a .zip or unpacked into a folder, read as data.

data                            JSON; what JSON cannot hold as pickles in base64, of which spaces and options are read
policy.pth                      weights
_stable_baselines3_version      text
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import gymnasium
import torch
from torch import Tensor

from kickstarting.ranges import shown
from kickstarting.runs.files import read_bytes
from kickstarting.teachers.pickles import Refused, read_pickle, space_of

DATA, WEIGHTS, VERSION = "data", "policy.pth", "_stable_baselines3_version"
LARGEST = 2**32
"""Bytes of a member, unpacked."""
MOST_DENSE = 200
"""Times that a member may be larger than it is packed; weights do not deflate at all, text ten times."""
MOST_MEMBERS = 1000
REMEDY = "give what model.save(...) wrote, as a .zip or unpacked into a folder"


@dataclass(frozen=True)
class Archive:
    """What an archive holds."""

    path: Path
    members: Mapping[str, bytes]

    @cached_property
    def data(self) -> dict[str, Any]:
        """Raises ValueError if it is damaged."""
        try:
            data = json.loads(self.members[DATA])
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{self.path} is damaged: its data is no JSON ({error}); {REMEDY}") from error
        if not isinstance(data, dict):
            raise ValueError(f"{self.path} is damaged: its data is no JSON object; {REMEDY}")
        return data

    def entry(self, name: str) -> Any:
        """An entry of the data, plain or pickled; None if it is not there. Raises Refused if its pickle would run code."""
        entry = self.data.get(name)
        if not isinstance(entry, dict) or ":serialized:" not in entry:
            return entry
        try:
            return read_pickle(base64.b64decode(entry[":serialized:"]))
        except Refused:
            raise
        except (ValueError, TypeError, binascii.Error) as error:
            raise ValueError(f"{self.path}: {name} cannot be read: {error}; {REMEDY}") from error

    def space(self, name: str) -> gymnasium.Space:
        """Raises ValueError if there is none, or of a kind that is not known here."""
        try:
            return space_of(self.entry(name))
        except ValueError as error:
            raise ValueError(f"{self.path}: {name}: {error}; {REMEDY}") from error

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """By name, on the CPU. Raises ValueError if they are damaged."""
        check_zip(self.path, WEIGHTS, self.members[WEIGHTS])
        try:
            weights = torch.load(io.BytesIO(self.members[WEIGHTS]), map_location="cpu", weights_only=True)
        except Exception as error:  # whatever damage makes of it
            raise ValueError(f"{self.path}: {WEIGHTS} cannot be read: {' '.join(str(error).split())[:200]}; {REMEDY}") from error
        if not isinstance(weights, dict) or not all(isinstance(x, Tensor) for x in weights.values()):
            raise ValueError(f"{self.path}: {WEIGHTS} holds no weights; {REMEDY}")
        return weights

    def digest(self) -> str:
        """SHA-256 of all that is read."""
        sha256 = hashlib.sha256()
        for name in sorted(self.members):
            sha256.update(name.encode() + hashlib.sha256(self.members[name]).digest())
        return sha256.hexdigest()


def is_archive(path: Path) -> bool:
    """Whether a path holds one, or one of its predecessor's, which cannot be read."""
    if path.is_dir():
        return (path / DATA).is_file() and (path / WEIGHTS).is_file()
    try:
        with zipfile.ZipFile(path) as file:
            return DATA in file.namelist() and bool({WEIGHTS, "parameters"} & set(file.namelist()))
    except (OSError, zipfile.BadZipFile):
        return False


def read_archive(path: Path) -> Archive:
    """Raises ValueError, with the reason, if there is none, it is damaged, of another version, or made to do harm."""
    if path.is_dir():
        members = {name: read_bytes(path / name, remedy=REMEDY) for name in (DATA, WEIGHTS, VERSION) if (path / name).is_file()}
    else:
        members = _unpacked(path, read_bytes(path, remedy=REMEDY))
    if DATA not in members or WEIGHTS not in members:
        lacks = " and ".join(name for name in (DATA, WEIGHTS) if name not in members)
        raise ValueError(f"{path} is no archive of Stable-Baselines3: it has no {lacks}; {REMEDY}")
    _check_version(path, members.get(VERSION, b"").decode("utf-8", "replace").strip())
    return Archive(path, members)


def _unpacked(path: Path, packed: bytes) -> dict[str, bytes]:
    names = check_zip(path, path.name, packed)
    if "parameters" in names and WEIGHTS not in names:
        raise ValueError(f"{path} is of Stable-Baselines 2, which needs TensorFlow; serve it by http:, or train it again")
    with zipfile.ZipFile(io.BytesIO(packed)) as file:
        try:
            return {name: file.read(name) for name in (DATA, WEIGHTS, VERSION) if name in names}
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:  # RuntimeError: encrypted
            raise ValueError(f"{path} is damaged: {error}; {REMEDY}") from error


def check_zip(path: Path, what: str, packed: bytes) -> list[str]:
    """The names in a zip. Raises ValueError if it is none, would fill the memory, or has members outside its folder."""
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as file:
            members = file.infolist()
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise ValueError(f"{path}: {what} is no zip ({error}); {REMEDY}") from error
    if len(members) > MOST_MEMBERS:
        raise ValueError(f"{path}: {what} has {len(members):,} members, more than {MOST_MEMBERS:,}; {REMEDY}")
    for member in members:
        parts = PurePosixPath(member.filename.replace("\\", "/"))
        is_link = stat.S_ISLNK(member.external_attr >> 16)
        if parts.is_absolute() or ".." in parts.parts or ":" in member.filename or is_link:
            where = f"{path}: {what} has the member {shown(member.filename)}"
            raise ValueError(f"{where}, outside its folder; do not trust whoever made it")
        if member.file_size > min(LARGEST, MOST_DENSE * max(member.compress_size, 2**16)):
            raise ValueError(
                f"{path}: {what} has the member {shown(member.filename)} of {member.file_size:,} bytes, packed into "
                f"{member.compress_size:,}; no model is so dense, do not trust whoever made it"
            )
    return [member.filename for member in members]


def _check_version(path: Path, version: str) -> None:
    major = version.partition(".")[0]
    if major not in ("1", "2"):
        said = f"Stable-Baselines3 {shown(version)}" if version else "an unknown version of Stable-Baselines3"
        raise ValueError(f"{path} is of {said}; versions 1 and 2 can be read, so load it there and save it by one of these")
