"""Where teachers come from: one module for each prefix of a reference, which knows how to load and to recognise its kind.

Each has `OPTIONS`, what may stand behind the `?` of a reference, each with its meaning; `load(name, ref, device, options) ->
Teacher`; `digest(name, options) -> str`, the SHA-256 of what decides what the teacher says; and `recognises(path) -> bool`, for
a reference that is a bare path. It imports what is not of the core where it needs it.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from kickstarting.algo.parsing import nearest
from kickstarting.teachers.protocol import Teacher
from kickstarting.teachers.references import PREFIXES, split_options

ORIGINS: dict[str, ModuleType] = {prefix: importlib.import_module(f"{__name__}.{prefix}") for prefix in PREFIXES}


def load_teacher(ref: str, device: str = "cpu") -> Teacher:
    """The teacher behind a reference, frozen, on the device. Raises ValueError if there is none, or it is damaged."""
    origin, name, options = find_origin(ref)
    return origin.load(name, ref, device, options)


def digest(ref: str) -> str:
    """The SHA-256 of the policy behind a reference. Raises as `load_teacher`."""
    origin, name, options = find_origin(ref)
    return origin.digest(name, options)


def absolute(ref: str) -> str:
    """A reference that means the same wherever a later process stands."""
    prefix, colon, name = ref.partition(":")
    if colon and prefix in ORIGINS:
        named_by_path = getattr(ORIGINS[prefix], "BY_PATH", False)
        path, _ = split_options(name)
        return f"{prefix}:{Path(path).resolve()}{name[len(path) :]}" if named_by_path else ref
    path, _ = split_options(ref)
    return f"{Path(path).resolve()}{ref[len(path) :]}"


def find_origin(ref: str) -> tuple[ModuleType, str, dict[str, str]]:
    """The origin of a reference, its name there, and its options. A path that nobody recognises is taken for a run's, which says
    what is missing there. Raises ValueError for an option that the origin does not have."""
    prefix, colon, rest = ref.partition(":")
    if colon and prefix in ORIGINS:
        origin, (name, options) = ORIGINS[prefix], split_options(rest)
    else:
        name, options = split_options(ref)
        recognised = [origin for origin in ORIGINS.values() if origin.recognises(Path(name))]
        origin = (recognised or [ORIGINS["run"]])[0]
    for option in options:
        if option not in origin.OPTIONS:
            own = nearest(option, sorted(origin.OPTIONS)) if origin.OPTIONS else "it has none."
            raise ValueError(f"teacher {ref}: {origin.__name__.rpartition('.')[2]}: has no option {option!r}; {own}")
    return origin, name, options
