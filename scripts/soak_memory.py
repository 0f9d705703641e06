"""How the memory of a soak moves: of each kind of process, without what processes share, and of the nodes' object stores."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

KINDS = {r"ray::RemoteActor": "actor", r"ray::TeacherWorker": "teacher worker", r".*/gcs_server$": "head", r".*/raylet$": "node"}
"""What the first word of a process's command line is, and what kind it is of."""
STORE = "object store"
EVERY = 5.0
"""Seconds between two looks."""
SETTLED = 30.0
"""Seconds at the beginning of a process that do not count: it imports, opens environments and fills its caches."""


class Seen(NamedTuple):
    """The memory of a process, or of a node's object store, at a moment."""

    kind: str
    name: str
    """Which one: what took the place of another is another one."""
    seconds: float
    megabytes: float


class Memory:
    """Looks at the processes of this machine and at the stores of a cluster (`ray.cluster_utils.Cluster`) from time to time."""

    def __init__(self, cluster: Any) -> None:
        self._cluster, self._looked = cluster, 0.0
        self.seen: list[Seen] = []
        self.spilled = 0.0
        """MB that a node's store has put on its disk, of the node that has most."""

    def look(self, command: int) -> None:
        """Unless that was a moment ago. command: the process that trains."""
        now = time.monotonic()
        if now - self._looked < EVERY:
            return
        self._looked = now
        for kind, process in (("command", command), *_processes()):
            if megabytes := resident(process):
                self.seen.append(Seen(kind, str(process), now, megabytes))
        for node, used, spilled in self._stores():
            self.seen.append(Seen(STORE, node, now, used))
            self.spilled = max(self.spilled, spilled)

    def report(self) -> str:
        """A table with a line for each kind."""
        lines = ["| memory of | seen | first MB | last MB | MB a minute |", "|---|---:|---:|---:|---:|"]
        kinds: dict[str, list[Seen]] = defaultdict(list)
        for seen in self.seen:
            kinds[seen.kind].append(seen)
        for kind, own in kinds.items():
            number, first, last = len({seen.name for seen in own}), own[0].megabytes, own[-1].megabytes
            lines.append(f"| {kind} | {number} | {first:.0f} | {last:.0f} | {slope(own):+.2f} |")
        return "\n".join([*lines, f"At most {self.spilled:.0f} MB of a node's objects were spilled to its disk."])

    def _stores(self) -> Iterator[tuple[str, float, float]]:
        """Of each node: MB of objects, and MB that were spilled."""
        from ray._private.internal_api import node_stats

        try:
            nodes = [node for node in self._cluster.global_state.node_table() if node["Alive"]]
            for node in nodes:
                stats = node_stats(node["NodeManagerAddress"], node["NodeManagerPort"], include_memory_info=False).store_stats
                yield node["NodeID"], stats.object_store_bytes_used / 2**20, stats.spilled_bytes_total / 2**20
        except Exception as error:  # head or node were killed a moment ago
            print(f"a store was not looked at: {type(error).__name__}", flush=True)


def slope(seen: Iterable[Seen]) -> float:
    """MB a minute by which those of one kind grow: one slope for all of them, through points of which each has its own mean; nan if
    none lived long enough."""
    lives: dict[str, list[Seen]] = defaultdict(list)
    for one in seen:
        lives[one.name].append(one)
    above = below = 0.0
    for life in lives.values():
        settled = [x for x in life if x.seconds - life[0].seconds >= SETTLED]
        if len(settled) > 1:
            minutes, megabytes = np.array([(x.seconds / 60, x.megabytes) for x in settled]).T
            minutes = minutes - minutes.mean()
            above, below = above + float(minutes @ megabytes), below + float(minutes @ minutes)
    return above / below if below else float("nan")


def resident(process: int) -> float:
    """MB of a process's own memory; 0 if it is gone. The pages of the object store are in nobody's."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    return sum(int(kilobytes) for kilobytes in re.findall(r"^Rss(?:Anon|File):\s+(\d+) kB", status, re.MULTILINE)) / 1024


def _processes() -> Iterator[tuple[str, int]]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            word = path.read_bytes().split(b"\0")[0].decode(errors="replace")
        except OSError:
            continue
        for pattern, kind in KINDS.items():
            if re.match(pattern, word):
                yield kind, int(path.parent.name)
