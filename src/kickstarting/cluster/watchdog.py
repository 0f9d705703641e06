"""Where a process stands that does not answer: read by another process on its node, since it cannot be asked itself."""

from __future__ import annotations

import re

from kickstarting.cluster.connect import Cluster
from kickstarting.cluster.remote import Place


def stands_in(cluster: Cluster, place: Place) -> str:
    """In words, where a process stands, or why nobody knows."""
    try:
        state, stack = cluster.on(place.node, _reader(), place.process, place.file)
    except Exception as error:  # a watchdog says what it knows
        return f"and node {place.name} does not answer either ({type(error).__name__})"
    if state in ("T", "t"):
        return "its process was stopped (SIGSTOP)"
    if state in ("", "Z"):
        return "its process is gone"
    return f"it stands in {frames}" if (frames := main_thread(stack)) else "it has not said where it stands"


def main_thread(stack: str, most: int = 4) -> str:
    """The innermost calls of the main thread, on one line, of what faulthandler wrote about all threads."""
    threads = re.split(r"^(?:Current t|T)hread 0x.*$", stack, flags=re.MULTILINE)
    calls = re.findall(r'File "(.*?)", line (\d+) in (\S+)', threads[-1])  # the main thread began first, and is written last
    return ", called by ".join(f"{name} ({file.rpartition('/')[2]}:{line})" for file, line, name in calls[:most])


def _reader():
    """A function for another node; nested, so that it travels by value."""

    def read(process: int, file: int) -> tuple[str, str]:
        from pathlib import Path

        own = Path(f"/proc/{process}")
        try:
            state = own.joinpath("stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
            return state, own.joinpath("fd", str(file)).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "", ""

    return read
