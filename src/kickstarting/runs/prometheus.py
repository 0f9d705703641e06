"""`kickstart metrics`: the last metrics of runs for Prometheus, read from their files whenever it asks.

It is a process of its own beside the runs, so that it can neither slow nor stop them, and it serves whatever writes metrics.jsonl:
runs, members of populations, runs of sweeps, on one machine or on a cluster whose run directory it can read.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kickstarting.console import visible
from kickstarting.runs.layout import RunDirectory
from kickstarting.runs.metrics import last_metrics, metric_of

PREFIX = "kickstarting"
LABELS = {
    "task_return": "task",
    "task_success": "task",
    "task_score": "task",
    "lambda": "teacher",
    "teacher_known": "teacher",
    "health": "diagnosis",
    "frames_per_second": "node",
}
"""What the second half of a name like task_score/door_key is; `name` of any other."""


class Sample(NamedTuple):
    """A number as Prometheus has it."""

    name: str
    labels: dict[str, str]
    value: float
    meaning: str


def samples(line: dict[str, Any]) -> Iterator[Sample]:
    """The numbers of a line of metrics.jsonl. Of a family, as task_score/door_key, each is a label:
    kickstarting_task_score{task="door_key"}; what METRICS lists as itself, as seconds/act, is a metric of its own."""
    for name, value in line.items():
        if value is None:
            continue
        known = metric_of(name)
        meaning = name if known is None else f"{known.meaning}, {known.unit}" if known.unit else known.meaning
        labels: dict[str, str] = {}
        if "/" in name and (known is None or known.name != name):
            family = known.name.removesuffix("/*") if known and known.name.endswith("/*") else name.partition("/")[0]
            label = LABELS.get(family, "name")
            labels = {label: visible(name.removeprefix(f"{family}/"))}
            plain = metric_of(family)
            name = (
                f"{family}_by_{label}" if plain and plain.name == family else family
            )  # sums of frames/s must not count each node twice
        yield Sample(f"{PREFIX}_{re.sub(r'[^a-zA-Z0-9_]', '_', name)}", labels, float(value), meaning)


class Runs:
    """A collector of prometheus_client: every run at or below some directories, at the moment of asking."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._directories = directories

    def collect(self) -> Iterable[Any]:
        """One family of gauges for each metric, with a sample for each run that has it."""
        from prometheus_client.core import Metric

        families: dict[str, Any] = {}
        for path in runs_below(self._directories):
            for sample in _samples_of(RunDirectory(path)):
                family = families.setdefault(sample.name, Metric(sample.name, sample.meaning, "gauge"))
                family.add_sample(sample.name, {"run": visible(str(path)), **sample.labels}, sample.value)
        return families.values()


def runs_below(directories: Sequence[Path]) -> list[Path]:
    """The run directories at or below these, as far as they have begun."""
    found: dict[Path, None] = {}
    for directory in directories:
        for folder, below, _ in os.walk(directory):
            path = Path(folder)
            if RunDirectory(path).begun:
                found[path] = None
                below.clear()
            below[:] = sorted(name for name in below if not name.startswith("."))
    return list(found)


def serve_metrics(directories: Sequence[Path], *, host: str, port: int, said: Callable[[str], None]) -> None:
    """Serve until a signal comes. said: called with where, when it is ready. Raises ValueError if prometheus_client is missing, a
    directory is, or the address cannot be had."""
    for directory in directories:
        if not directory.is_dir():
            raise ValueError(f"there is no directory {directory}; name run directories, or folders that hold some")
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError as error:
        raise ValueError(f"{error}; `kickstart metrics` needs pip install 'kickstarting[prometheus]'") from error
    registry = CollectorRegistry()
    registry.register(Runs(directories))  # type: ignore[arg-type]
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise ValueError(f"cannot serve at {host}:{port}: {error.strerror or error}; choose another --host or --port") from error
    try:
        said(f"metrics are at http://{host}:{server.server_port}/metrics; stop with Ctrl-C")
        thread.join()
    finally:
        server.shutdown()
        server.server_close()


def _samples_of(run: RunDirectory) -> Iterator[Sample]:
    """Of its last line, whether it has finished, and how long it has said nothing."""
    yield from samples(last_metrics(run.metrics))
    yield Sample(f"{PREFIX}_finished", {}, float(run.finished), "1 after the end of the run")
    try:
        quiet = time.time() - run.metrics.stat().st_mtime
    except OSError:
        return
    yield Sample(f"{PREFIX}_quiet_seconds", {}, quiet, "time since the last line of metrics, seconds")
