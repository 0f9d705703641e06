"""The names of the files of a report and of a check, exactly once; those of runs stand in `runs/layout.py`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReportDirectory:
    """A comparison of runs; figures lie beside it under the names of `report/figures`."""

    path: Path

    @property
    def page(self) -> Path:
        return self.path / "report.html"

    @property
    def numbers(self) -> Path:
        """Every number of the page."""
        return self.path / "comparison.json"

    @property
    def table(self) -> Path:
        return self.path / "table.md"

    @property
    def clip(self) -> Path:
        """A student and its teacher in one episode, where a run has a checkpoint."""
        return self.path / "clip.gif"

    @property
    def experiment(self) -> Path:
        """Scale, seeds and versions, where an experiment of the paper wrote the report."""
        return self.path / "experiment.json"


@dataclass(frozen=True)
class CheckDirectory:
    """What `kickstart check --out` leaves."""

    path: Path

    @property
    def page(self) -> Path:
        return self.path / "check.html"

    @property
    def numbers(self) -> Path:
        """Every number of the page, and more."""
        return self.path / "check.json"

    @property
    def clip(self) -> Path:
        """The teacher in an episode of the first task."""
        return self.path / "teacher.gif"
