"""Colours and type of the figures and the page."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib

INK, FAINT, GRID, PAPER = "#24292f", "#6e7681", "#e4e7eb", "#ffffff"
BASELINE = "#767d86"
# after Okabe and Ito, told apart by the colour-blind; dark enough for thin lines on white
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b0609a", "#b8860b")
DASHES: tuple[Any, ...] = ("-", (0, (7, 2.5)), (0, (1.5, 1.5)), (0, (7, 2, 1.5, 2)))  # points
TEACHER_DASH = (0, (4, 3))
MARKERS = ("D", "o", "^", "s", "v", "P")
LONGEST = 48  # characters of a name in a figure; the tables have all of it
WIDTH = 5.4  # inches; 9-point type is still readable when a phone shows it three inches wide

# name of the CSS variable: (in the light, in the dark). Every colour of a figure is here, so that a page can turn dark.
PALETTE = {
    "paper": (PAPER, "#0f1318"),
    "ink": (INK, "#e6e9ed"),
    "faint": (FAINT, "#98a1ac"),
    "grid": (GRID, "#2a3139"),
    "c0": (BASELINE, "#a3abb5"),
    "c1": (COLOURS[0], "#56a9e0"),
    "c2": (COLOURS[1], "#f08a4b"),
    "c3": (COLOURS[2], "#33c296"),
    "c4": (COLOURS[3], "#dd92c8"),
    "c5": (COLOURS[4], "#e0b341"),
}

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that figures are the same everywhere
    "font.size": 9.0,
    "text.parse_math": False,  # names may hold a $
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "lines.solid_capstyle": "round",
    "lines.scale_dashes": False,  # so that dashes of lines of different width lie on each other
    "legend.frameon": False,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "path",
    "svg.hashsalt": "kickstarting",  # the same comparison gives the same file
}


@contextmanager
def look() -> Iterator[None]:
    """What a figure must be both drawn and saved in."""
    with matplotlib.rc_context(RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")  # of names in other scripts; the page has them
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support .* natively")
        warnings.filterwarnings("ignore", message=r".*layout not applied because")  # of names that leave no room
        yield


def label(text: str, width: int = 0) -> str:
    """A name as figures show it: cut short, and with a space before a _, which hides it from a legend. width: of a line, if it may
    have several."""
    short = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    short = f" {short}" if short.startswith("_") else short
    return textwrap.fill(short, width) if width else short
