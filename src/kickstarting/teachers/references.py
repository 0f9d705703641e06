"""How teachers are named: `[PATTERN=]ORIGIN:NAME[?OPTION=VALUE&...]`, pinned by what lay behind when the run began."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import unquote

PREFIXES = (
    "ad",
    "run",
    "zoo",
    "hf",
    "onnx",
    "torch",
    "http",
    "https",
    "script",
    "observation",
    "ensemble",
    "sb3",
    "module",
    "mirror",
)
"""Of references, each with its module in `origins/`. The first that recognises a path has it: a model of `ad` has checkpoints as a
run does."""


@dataclass(frozen=True)
class Reference:
    """A teacher, and the tasks that it teaches."""

    ref: str
    """ORIGIN:NAME, or a path, which is recognised by what it holds; with ?OPTION=VALUE&OPTION=VALUE behind it where the origin has
    options."""
    pattern: str = "*"
    """A glob pattern of task names."""
    adapters: tuple[str, ...] = ()
    """Between the student's environments and the teacher, the student's side first (`teachers/adapters/`)."""
    sha256: str = ""
    """Of the policy behind the reference; empty before a run has begun."""
    path: str = ""
    """The absolute path of a reference that is a path, since then."""

    def __str__(self) -> str:
        return self.ref if self.pattern == "*" else f"{self.pattern}={self.ref}"

    @property
    def where(self) -> str:
        """What to load it by."""
        return self.path or self.ref

    def tasks(self, names: Sequence[str]) -> list[int]:
        """Indices of the tasks that it teaches. Raises ValueError if there are none."""
        found = [i for i, name in enumerate(names) if fnmatch.fnmatchcase(name, self.pattern)]
        if not found:
            raise ValueError(f"teacher pattern {self.pattern!r} matches no task; the suite has {', '.join(names)}")
        return found

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "adapters": list(self.adapters)}


def parse_reference(entry: str | Reference | dict[str, Any]) -> Reference:
    """Of `[PATTERN=]REF` as it was written, or as config.json has it.

    What exists as a path, or begins with an origin, is a reference as a whole, whatever it contains; else a pattern ends at the
    first `=`. A pattern with a `/` in it, as in ALE/Pong-v5, must have a REF behind it that exists or begins with an origin:
    runs/lr=3/teacher is a path that is missing.
    """
    if isinstance(entry, Reference):
        return entry
    if isinstance(entry, dict):
        return Reference(**{**entry, "adapters": tuple(entry.get("adapters", ()))})
    pattern, equals, ref = entry.partition("=")
    if not equals or _is_there(entry) or ("/" in pattern and not _is_there(ref)):
        return Reference(entry)
    return Reference(ref, pattern)


def split_options(ref: str) -> tuple[str, dict[str, str]]:
    """A reference without its options, and these: what is behind the last `?` of what does not exist as a path. Values are
    percent-decoded.

    Raises ValueError for an option without a value, or one given twice.
    """
    name, mark, query = ref.rpartition("?")
    if not mark or os.path.exists(ref):
        return ref, {}
    options: dict[str, str] = {}
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if not key or not value or key in options:
            raise ValueError(f"teacher {ref!r} has {part!r} behind the ?; options are OPTION=VALUE, once each, with & between them")
        options[key] = unquote(value)
    return name, options


def _is_there(ref: str) -> bool:
    return ref.partition(":")[0] in PREFIXES or os.path.exists(split_options(ref)[0])


def names_of(references: Iterable[Reference]) -> list[str]:
    """A name for each, as metrics have it: the reference alone where that names one teacher."""
    references = list(references)
    refs = [reference.ref for reference in references]
    return [r.ref if refs.count(r.ref) == 1 else f"{r.pattern}={r.ref}" for r in references]
