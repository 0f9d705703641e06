"""`zoo:NAME`: the teachers that the package ships, each a folder as `kickstart export` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kickstarting.algo.parsing import nearest
from kickstarting.runs.exported import is_exported
from kickstarting.teachers.network import NetworkTeacher
from kickstarting.teachers.origins import run

OPTIONS: Mapping[str, str] = {}
ZOO = Path(__file__).parents[2] / "zoo"


def names() -> list[str]:
    """What the zoo has."""
    return sorted(path.name for path in ZOO.iterdir() if is_exported(path)) if ZOO.is_dir() else []


def load(name: str, ref: str, device: str = "cpu", options: Mapping[str, str] | None = None) -> NetworkTeacher:
    return run.load(str(find(name)), ref, device)


def digest(name: str, options: Mapping[str, str] | None = None) -> str:
    return run.digest(str(find(name)))


def recognises(path: Path) -> bool:
    return False


def find(name: str) -> Path:
    """The folder of a name. Raises ValueError, with the nearest names, if the zoo has none."""
    if name not in names():
        raise ValueError(f"the zoo has no {name!r}; {nearest(name, names())}")
    return ZOO / name
