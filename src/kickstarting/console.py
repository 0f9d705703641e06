"""What the package says: texts as they stand, whatever names hold, on streams that cannot end the work."""

from __future__ import annotations

import io
import os
import select
import sys
import unicodedata
from typing import TextIO

from rich.console import Console
from rich.text import Text

INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of control, format (among them what turns the direction of writing), surrogates, ends of lines."""
JOINERS = "\u200c\u200d"
"""Format characters that words of some languages, and emoji, are written with."""


def visible(text: str) -> str:
    """On one line, with what would move the cursor, end the line or turn its direction as an escape: \\n, \\x1b, \\u202e."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in INVISIBLE and c not in JOINERS else c for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def in_figures(x: float) -> str:
    """A score, be it points or a return: 0.0512, 87.3, 2,118."""
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}"


def literal(text: str, style: str = "") -> Text:
    """For rich, which finds neither markup nor names of emoji in it."""
    return Text(visible(text), style=style)


def say(console: Console, text: str, style: str = "") -> None:
    """Print a line as it stands, which is broken by nobody but the terminal."""
    console.print(literal(text, style), soft_wrap=True, highlight=False)


def keep_streams() -> None:
    """Make standard output and error last, before anything else happens in a command or the process of a job.

    A character that the stream's encoding lacks is written as an escape. What can no longer be written (a pipe that was closed, a
    terminal that went away, a full disk) is dropped: a run is worth more than its output. A stream that was closed from the
    start becomes the null device, so that no file of a run takes its number.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            _to_null(number)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__"):  # and nobody has put another in its place
            setattr(sys, name, _lasting(stream, number))


def _lasting(stream: TextIO | None, number: int) -> TextIO:
    if stream is None:
        return open(number, "w", encoding="utf-8", closefd=False)
    stream.flush()
    lasting = io.BufferedWriter(_Lasting(stream.fileno(), "w", closefd=False))
    by_line = bool(getattr(stream, "line_buffering", False) or getattr(stream, "write_through", False))
    return io.TextIOWrapper(lasting, encoding=stream.encoding, errors="backslashreplace", newline="\n", line_buffering=by_line)


class _Lasting(io.FileIO):
    """A descriptor that becomes the null device when it can no longer be written."""

    def write(self, data, /) -> int:
        try:
            while (written := super().write(data)) is None:  # it must not block, as other programs may have set a shared terminal
                select.select([], [self], [])
            return written
        except OSError as error:
            _to_null(self.fileno())
            if not isinstance(error, BrokenPipeError) and self.fileno() == 1:
                print(f"kickstart: standard output cannot be written: {error.strerror}; going on without it", file=sys.stderr)
            return super().write(data) or 0


def _to_null(number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)
