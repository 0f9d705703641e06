"""Layouts in which others keep learning histories: read and written, so that theirs train here and ours train elsewhere.

Each module has `read(path, family) -> Histories` and `write(histories, out)`; family: the name of one of ours that they are of,
where they do not say it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from kickstarting.ad.layouts import ad_eps, minari
from kickstarting.runs.histories import Histories, read_histories
from kickstarting.runs.histories_writer import write_histories
from kickstarting.runs.layout import HISTORIES
from kickstarting.runs.ownership import check_free, written_by_us

__all__ = ["LAYOUTS", "export_histories", "import_histories"]


class Layout(Protocol):
    """What a module of a layout holds."""

    def read(self, path: Path, family: str) -> Histories:
        """Raises ValueError if there is nothing of this layout, or it is damaged."""
        ...

    def write(self, histories: Histories, out: Path) -> None:
        """Into a new directory. Raises ValueError if the layout cannot hold these."""
        ...


LAYOUTS: dict[str, Layout] = {"ad-eps": ad_eps, "minari": minari}


def import_histories(path: Path, layout: str, out: Path, family: str = "") -> Histories:
    """Histories of others, as a directory of ours. Raises ValueError before anything is written."""
    check_free(out, "collection", "")
    found = LAYOUTS[layout].read(path, family)
    with written_by_us(out):
        write_histories(out / HISTORIES, found)
    return found


def export_histories(directory: Path, layout: str, out: Path) -> Histories:
    """Histories of ours, in the layout of others. Raises ValueError before anything is written."""
    found = read_histories(directory / HISTORIES if directory.is_dir() else directory)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is in use already; choose another --out")
    LAYOUTS[layout].write(found, out)
    return found
