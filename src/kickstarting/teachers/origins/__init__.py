"""Where teachers come from: one module for each prefix of a reference, which knows how to load and to recognise its kind.

Each has `load(name, ref, device) -> Teacher`, `digest(name) -> str` (the SHA-256 of what decides what the teacher says) and
`recognises(path) -> bool`, for a reference that is a bare path.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from kickstarting.teachers.protocol import Teacher
from kickstarting.teachers.references import PREFIXES

ORIGINS: dict[str, ModuleType] = {prefix: importlib.import_module(f"{__name__}.{prefix}") for prefix in PREFIXES}


def load_teacher(ref: str, device: str = "cpu") -> Teacher:
    """The teacher behind a reference, frozen, on the device. Raises ValueError if there is none, or it is damaged."""
    origin, name = find_origin(ref)
    return origin.load(name, ref, device)


def digest(ref: str) -> str:
    """The SHA-256 of the policy behind a reference. Raises as `load_teacher`."""
    origin, name = find_origin(ref)
    return origin.digest(name)


def absolute(ref: str) -> str:
    """A reference that means the same wherever a later process stands."""
    prefix, colon, name = ref.partition(":")
    if colon and prefix in ORIGINS:
        return f"{prefix}:{Path(name).resolve()}" if prefix == "run" else ref
    return str(Path(ref).resolve())


def find_origin(ref: str) -> tuple[ModuleType, str]:
    """The origin of a reference, and its name there. A path that nobody recognises is taken for a run's, which says what is
    missing there."""
    prefix, colon, name = ref.partition(":")
    if colon and prefix in ORIGINS:
        return ORIGINS[prefix], name
    recognised = [origin for origin in ORIGINS.values() if origin.recognises(Path(ref))]
    return (recognised or [ORIGINS["run"]])[0], ref
