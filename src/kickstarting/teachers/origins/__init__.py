"""Where teachers come from: one module for each prefix of a reference, which knows how to load and to recognise its kind.

Each has `OPTIONS`, what may stand behind the `?` of a reference, each with its meaning; `load(name, ref, device, options) ->
Teacher`; `digest(name, options) -> str`, the SHA-256 of what decides what the teacher says; and `recognises(path) -> bool`, for
a reference that is a bare path. It imports what is not of the core where it needs it.

An origin whose names are paths has `BY_PATH`, one with options that are paths names them in `PATHS`; one whose names are made of
references has `OPTIONS` None, and says by `absolute(name)` what they are wherever a process stands. One that imports what its names
say has `modules(name, options)`, which gives that as package.module:Name.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from urllib.parse import quote

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


def named_modules(ref: str) -> list[str]:
    """What is imported, and its code run, because a reference names it, as package.module:Name."""
    origin, name, options = find_origin(ref)
    return origin.modules(name, options) if hasattr(origin, "modules") else []


def absolute(ref: str) -> str:
    """A reference that means the same wherever a later process stands."""
    prefix, colon, rest = ref.partition(":")
    known = bool(colon) and prefix in ORIGINS
    origin, name, options = find_origin(ref)
    if origin.OPTIONS is None:
        return f"{prefix}:{origin.absolute(name)}"
    by_path = not known or getattr(origin, "BY_PATH", False)
    paths = {key: value for key, value in options.items() if key in getattr(origin, "PATHS", ())}
    tail = (rest if known else ref)[len(name) :]
    if paths:
        resolved = {**options, **{key: str(Path(value).resolve()) for key, value in paths.items()}}
        tail = "?" + "&".join(f"{key}={quote(value, safe='/:')}" for key, value in resolved.items())
    return f"{prefix + ':' if known else ''}{Path(name).resolve() if by_path else name}{tail}"


def find_origin(ref: str) -> tuple[ModuleType, str, dict[str, str]]:
    """The origin of a reference, its name there, and its options. A path that nobody recognises is taken for a run's, which says
    what is missing there. Raises ValueError for an option that the origin does not have."""
    prefix, colon, rest = ref.partition(":")
    if colon and prefix in ORIGINS:
        origin = ORIGINS[prefix]
        name, options = (rest, {}) if origin.OPTIONS is None else split_options(rest)
    else:
        name, options = split_options(ref)
        recognised = [origin for origin in ORIGINS.values() if origin.recognises(Path(name))]
        origin = (recognised or [ORIGINS["run"]])[0]
    known = origin.OPTIONS or {}
    for option in options:
        if option not in known:
            own = nearest(option, sorted(known)) if known else "it has none."
            raise ValueError(f"teacher {ref}: {origin.__name__.rpartition('.')[2]}: has no option {option!r}; {own}")
    return origin, name, options
