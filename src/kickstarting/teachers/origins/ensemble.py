"""`ensemble:REF,REF`: several teachers as one, by the mean of their probabilities (`teachers/ensemble.py`).

A comma inside a reference is written %2C.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from kickstarting.teachers import origins
from kickstarting.teachers.ensemble import Ensemble

OPTIONS: Mapping[str, str] | None = None
"""What stands behind a `?` belongs to the members."""


def load(name: str, ref: str, device: str = "cpu", options: Mapping[str, str] | None = None) -> Ensemble:
    return Ensemble([origins.load_teacher(member, device) for member in members(name, ref)], ref)


def digest(name: str, options: Mapping[str, str] | None = None) -> str:
    return hashlib.sha256("".join(map(origins.digest, members(name, f"ensemble:{name}"))).encode()).hexdigest()


def absolute(name: str) -> str:
    return ",".join(origins.absolute(member).replace(",", "%2C") for member in members(name, f"ensemble:{name}"))


def modules(name: str, options: Mapping[str, str]) -> list[str]:
    return [module for member in members(name, f"ensemble:{name}") for module in origins.named_modules(member)]


def recognises(path: Path) -> bool:
    return False


def members(name: str, ref: str) -> list[str]:
    """The references in REF,REF. Raises ValueError for one alone."""
    found = [member.replace("%2C", ",") for member in name.split(",") if member]
    if len(found) < 2:
        raise ValueError(f"teacher {ref} has {len(found)} members; an ensemble is written ensemble:REF,REF")
    return found
