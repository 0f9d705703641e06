"""What ends a run that did nothing wrong. It costs the run nothing: training stops with a snapshot of its last update."""

from __future__ import annotations

from typing import Any


class Fault(RuntimeError):
    """Something that a run depends on did what it must not do: an environment, a teacher.

    The message names it and the remedy. What does not fit on a line is in `__notes__`.
    """

    snapshot: Any = None
    """What can be saved of the training that it ended."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what, remedy)
        self.what, self.remedy = what, remedy

    @property
    def whose(self) -> str:
        """Who did it."""
        return "fault"

    def __str__(self) -> str:
        what = " ".join(self.what.split())  # the words of others may have several lines
        return f"{self.whose}: {what}" + f"; {self.remedy}" * bool(self.remedy)
