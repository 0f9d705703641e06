"""The files that a run reads, pinned by their contents when it begins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kickstarting.runs.files import file_digest
from kickstarting.suites.file import extended


@dataclass(frozen=True)
class Input:
    """A file that decides what a run does."""

    name: str
    """suite, extended suite or schedule."""
    path: str
    """Absolute."""
    sha256: str


def inputs_of(suite: Path | None, schedule: str) -> tuple[Input, ...]:
    """The files behind a suite and a schedule, as they are now. suite: its file; None for an environment id."""
    files = {"suite": suite, "extended suite": extended(suite) if suite else None}
    files |= {"schedule": Path(schedule)} if schedule.endswith(".json") else {}
    return tuple(Input(name, str(path.resolve()), file_digest(path)) for name, path in files.items() if path)


def check_inputs(inputs: Iterable[Input]) -> None:
    """Raise ValueError if one of the files is not as it was then; teachers are checked when built."""
    for given in inputs:
        if (now := file_digest(Path(given.path))) != given.sha256:
            raise ValueError(
                f"the {given.name} {given.path} has SHA-256 {now[:12]}..., but this run began with {given.sha256[:12]}...; "
                "put back the file that it began with, or begin a new run with the other one"
            )
