"""What happened to a run on a cluster: who was alive when, what was lost, how old the policies were that acted."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

import numpy as np

from kickstarting.report.comparison import ClusterEvent, ClusterHistory, ClusterPart
from kickstarting.report.runs import Run, all_visible
from kickstarting.report.wording import frames_text
from kickstarting.runs.files import read_bytes, typed
from kickstarting.runs.layout import RunDirectory

REMEDY = "restore the file, or remove it"
BEGINS = ("started", "restarted")
ENDS = ("lost", "gave up", "drained")
ROWS = 40
"""Of the table; the file has all."""


@dataclass(frozen=True)
class Stretch:
    """From a start of the whole run to its next one: a resumed run has several."""

    hours: float
    """Since the first of them."""
    frames: int
    """Where it began."""


def read_cluster(run: Run) -> ClusterHistory | None:
    """What cluster.jsonl and the metrics of a run say; None of a run that was on no cluster. Lines that are damaged are left out:
    the file informs, nothing is made of it. Raises FileError if it cannot be read."""
    path = RunDirectory(run.directory).cluster
    if not path.exists():
        return None
    said = [event for line in read_bytes(path, remedy=REMEDY).splitlines() if (event := _event(line))]
    if not said:
        return None
    said.sort(key=lambda event: event[0])
    events = [event_at((time - said[0][0]) / 3600) for time, event_at in said]
    stretches = _stretches(events)
    hours = _hours_of_metrics(run, stretches)
    end = max([event.hours for event in events] + hours.tolist())
    curves = {name: tuple(_or_none(run.columns.get(name), len(hours))) for name in ("lag/mean", "lag/max", "actors_alive", "queue")}
    return ClusterHistory(
        name=run.name,
        seed=run.seed,
        hours=end,
        parts=_parts(events, stretches, hours, end),
        events=tuple(event for event in events if event.event != "started"),
        at=tuple(hours.tolist()),
        lag=curves["lag/mean"],
        lag_max=curves["lag/max"],
        alive=curves["actors_alive"],
        queue=curves["queue"],
        lost=_total(run, "lost_unrolls", stretches),
        dropped=_total(run, "dropped_unrolls", stretches),
    )


def cluster_sentence(cluster: ClusterHistory) -> str:
    """What there was, and what became of it, in numbers."""
    count = {
        kind: sum(event.event == kind for event in cluster.events) for kind in ("lost", "restarted", "stuck", "gave up", "drained")
    }
    parts = [f"{len(cluster.parts)} parts over {hours_text(cluster.hours)}"]
    parts += [f"{number} × {kind}" for kind, number in count.items() if number]
    lost = [
        f"{number:,} unrolls {what}" for number, what in ((cluster.lost, "lost"), (cluster.dropped, "dropped as too old")) if number
    ]
    lags = [lag for lag in cluster.lag_max if lag is not None]
    lost += [f"lag at most {max(lags):g} updates"] * bool(lags)
    return f"{'; '.join([*parts, *lost])}."


def cluster_table(cluster: ClusterHistory) -> str:
    """What happened, in order; '' if nothing did."""
    if not cluster.events:
        return ""
    head = "".join(f'<th scope="col">{title}</th>' for title in ("after", "frames", "part", "node", "what happened"))
    rows = "".join(map(_row, cluster.events[:ROWS]))
    table = f'<table class="runs"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    table = f'<div class="scroll wide" role="region" aria-label="table" tabindex="0">{table}</div>'
    more = len(cluster.events) - ROWS
    return table + (f'<p class="notes">{more} more in {RunDirectory(Path()).cluster} of the run.</p>' if more > 0 else "")


def hours_text(hours: float) -> str:
    """2:05:09, of less than an hour 5:09."""
    minutes, seconds = divmod(round(3600 * hours), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"


def _row(event: ClusterEvent) -> str:
    words = "".join(
        f'<td class="{kind}">{escape(text)}</td>' for kind, text in (("", event.node), ("words", event.text or event.event))
    )
    numbers = f'<td class="number">{frames_text(event.frames)}</td><td>{escape(event.part)}</td>'
    return f'<tr class="group"><th scope="row">{hours_text(event.hours)}</th>{numbers}{words}</tr>'


def _event(line: bytes):
    """Its time, and the event as a function of the hours at which it happened; None of a line that is damaged."""
    try:
        data = all_visible(typed(json.loads(line), dict, "the line"))
        time = typed(data["time"], float, "'time'")
        frames = typed(data["frames"], int, "'frames'")
        event, part, node, text = (typed(data[name], str, f"'{name}'") for name in ("event", "part", "node", "text"))
    except (ValueError, KeyError, RecursionError):
        return None
    return time, lambda hours: ClusterEvent(hours, frames, event, part, node, text)


def _stretches(events: Sequence[ClusterEvent]) -> list[Stretch]:
    """The whole run starts again where a part that had started says so once more."""
    found, starts = [Stretch(0.0, 0)], dict.fromkeys((event.part for event in events), 0)
    for event in events:
        if event.event == "started":
            starts[event.part] += 1
            if starts[event.part] > len(found):
                found.append(Stretch(event.hours, event.frames))
    return found


def _stretch_of(frames: np.ndarray, stretches: Sequence[Stretch]) -> np.ndarray:
    """Which stretch made the lines that end at these frames: what a later one repeated was replaced."""
    begins = np.maximum.accumulate([stretch.frames for stretch in stretches])
    return np.maximum(np.searchsorted(begins, frames, side="left") - 1, 0)


def _hours_of_metrics(run: Run, stretches: Sequence[Stretch]) -> np.ndarray:
    """When the lines were written [N]: they count the seconds of training, of all stretches together."""
    seconds = np.nan_to_num(run.columns.get("seconds", np.zeros(len(run.frames))))
    before = np.array([seconds[run.frames <= stretch.frames].max(initial=0.0) for stretch in stretches])
    began = np.array([stretch.hours for stretch in stretches])
    of_line = _stretch_of(run.frames, stretches)
    return began[of_line] + (seconds - before[of_line]) / 3600


def _parts(events: Sequence[ClusterEvent], stretches: Sequence[Stretch], hours: np.ndarray, end: float) -> tuple[ClusterPart, ...]:
    """Each part, and when it was alive. What was alive at the end of a stretch ended with it, at the last sign of the run."""
    signs = np.sort([*(event.hours for event in events), *hours.tolist()])
    ends = [float(signs[signs < later.hours].max(initial=0.0)) for _, later in pairwise(stretches)] + [end]
    spans: dict[str, list[tuple[float, float]]] = {}
    nodes: dict[str, str] = {}
    for part in dict.fromkeys(event.part for event in events):
        since: float | None = None
        lives = spans.setdefault(part, [])
        for event in (event for event in events if event.part == part):
            nodes[part] = event.node or nodes.get(part, "")
            if since is not None and (over := next(x for x in ends if x >= since)) < event.hours:
                lives.append((since, over))
                since = None
            if event.event in BEGINS and since is None:
                since = event.hours
            elif event.event in ENDS and since is not None:
                lives.append((since, event.hours))
                since = None
        if since is not None:
            lives.append((since, next(x for x in ends if x >= since)))
    ordered = sorted(spans, key=lambda part: [int(word) if word.isdigit() else word for word in re.split(r"(\d+)", part)])
    return tuple(ClusterPart(part, nodes[part], tuple(spans[part])) for part in ordered if spans[part])


def _total(run: Run, name: str, stretches: Sequence[Stretch]) -> int | None:
    """A count that begins at 0 in each stretch, at the end; None if it was not logged."""
    frames, values = run.curve(name)
    of_line = _stretch_of(frames, stretches)
    return int(sum(values[of_line == k].max() for k in np.unique(of_line))) if len(values) else None


def _or_none(values: np.ndarray | None, length: int) -> list[float | None]:
    return [None] * length if values is None else [float(x) if np.isfinite(x) else None for x in values]
