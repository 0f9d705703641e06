"""Progress of one run or of many: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kickstarting.config import Config
from kickstarting.console import literal, say
from kickstarting.runs.health import HEALTH, Notice
from kickstarting.runs.layout import PopulationDirectory, RunDirectory, finished
from kickstarting.runs.metrics import last_metrics

PLAIN_EVERY = 10.0
"""Seconds between plain lines."""


class Display:
    """Shows the last metrics of one run: score, success of each task, lambda, frames/s, the time left, and what is wrong."""

    def __init__(self, config: Config, console: Console | None = None) -> None:
        self.config = config
        self.console = console or Console()
        self._live: Live | None = None
        self._printed = 0.0

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self._live = Live(Text("building environments and networks ..."), console=self.console, refresh_per_second=4)
            self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.__exit__(kind, error, trace)

    def __call__(self, frames: int, metrics: dict[str, float | None], warnings: Sequence[str] = ()) -> None:
        """warnings: what a terminal shows as long as it stands; elsewhere `say` says it once."""
        if self._live:
            self._live.update(panel(self.config, frames, metrics, warnings))
        elif time.monotonic() - self._printed > PLAIN_EVERY or frames >= self.config.total_frames:
            self._printed = time.monotonic()
            say(self.console, plain_line(self.config, frames, metrics))

    def say(self, notices: Sequence[Notice]) -> None:
        """Print what was not so a line ago: once, above the panel where there is one, which shows what stands already."""
        for notice in notices:
            if notice.passed or not self._live:
                say(self.console, f"{short(notice.frames)} frames  {notice.text}", "green" if notice.passed else "yellow")


def plain_line(config: Config, frames: int, metrics: dict[str, float | None]) -> str:
    metrics = finite(metrics)
    parts = [
        f"{config.group}:{config.seed}",
        f"{short(frames)}/{short(config.total_frames)} frames",
        f"score {number(metrics.get('score'))}",
        f"{short(metrics.get('frames_per_second') or 0)} frames/s",
        f"left {left(config, frames, metrics)}",
    ]
    parts += [f"lambda {value} ({teacher})" for teacher, value in lambdas(metrics)]
    parts += cluster_words(metrics)
    return "  ".join(parts)


def finite(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """With nothing for what is no finite number, of which nothing can be drawn."""
    return {name: value if value is not None and math.isfinite(value) else None for name, value in metrics.items()}


def lambdas(metrics: dict[str, float | None]) -> list[tuple[str, str]]:
    """Teacher and lambda of each; of more than three, their number and the range."""
    found = {name[7:]: value for name, value in metrics.items() if name.startswith("lambda/") and value is not None}
    if len(found) <= 3:
        return [(name, number(value, 3)) for name, value in found.items()]
    low, high = number(min(found.values()), 3), number(max(found.values()), 3)
    return [(f"{len(found)} teachers", low if low == high else f"{low} to {high}")]


def panel(config: Config, frames: int, metrics: dict[str, float | None], warnings: Sequence[str] = ()) -> Group:
    metrics = finite(metrics)
    head = Table.grid(padding=(0, 2))
    head.add_row(
        literal(f"{config.group} seed {config.seed}", "bold"),
        f"score [bold]{number(metrics.get('score'))}[/]",
        f"{short(frames)} of {short(config.total_frames)} frames",
        f"{short(metrics.get('frames_per_second') or 0)} frames/s",
        f"left {left(config, frames, metrics)}",
    )
    rows: list = [head, ProgressBar(total=config.total_frames, completed=min(frames, config.total_frames), width=76)]
    tasks = Table.grid(padding=(0, 1))
    for name, value in metrics.items():
        if name.startswith("task_success/") and value is not None:
            tasks.add_row(literal(name[13:]), ProgressBar(total=1.0, completed=value, width=24), f"{value:.0%}")
    rows.append(tasks)
    rows += [literal(f"lambda {value}  {teacher}", "cyan") for teacher, value in lambdas(metrics)]
    rows += [Text("  ".join(words))] if (words := cluster_words(metrics)) else []
    rows += [literal(warning, "yellow") for warning in warnings]
    return Group(*rows)


def cluster_words(metrics: Mapping[str, float | None]) -> list[str]:
    """Who acts on a cluster, what waits for the learner, how old it is, and what was lost or dropped so far."""
    if metrics.get("actors_alive") is None:
        return []
    words = [f"actors {number(metrics.get('actors_alive'), 0)}"]
    words += [f"{name} {number(metrics.get(key))}" for name, key in (("queue", "queue"), ("lag", "lag/mean"))]
    counted = (("dropped", "dropped_unrolls"), ("lost", "lost_unrolls"), ("restarts", "restarts"))
    return words + [f"{name} {short(count)}" for name, key in counted if (count := metrics.get(key))]


def left(config: Config, frames: int, metrics: dict[str, float | None]) -> str:
    """Time to the end at the present speed."""
    speed = metrics.get("frames_per_second")
    if not speed or not 1e-9 < speed < math.inf:
        return "?"
    seconds = max(0, int((config.total_frames - frames) / speed))
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def short(x: float) -> str:
    """1234567 -> 1.23M."""
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if x >= limit:
            return f"{x / limit:.3g}{unit}"
    return f"{x:.0f}"


def number(x: float | None, digits: int = 1) -> str:
    return "-" if x is None else f"{x:.{digits}f}"


class Refreshed(ABC):
    """A display of many runs that is refreshed as they go, and once more at their end; live on a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live = Live(console=console, refresh_per_second=2) if console.is_terminal else None
        self._shown = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self.refresh(last=True)
        if self._live:
            self._live.__exit__(*error)

    @abstractmethod
    def refresh(self, last: bool = False) -> None: ...


class Race(Refreshed):
    """One line a run: bar, score, speed, time left; plain lines when not on a terminal. turns: of how many runs one trains at a
    time, as a population's members do; each is so many times slower than it says."""

    def __init__(self, runs: dict[Path, Config], console: Console, turns: int = 1) -> None:
        super().__init__(console)
        self.runs = runs
        self.turns = turns

    def refresh(self, last: bool = False) -> None:
        states = {out: _slowed(_state(out), self.turns) for out in self.runs}
        if self._live:
            self._live.update(self._table(states))
        elif last or time.monotonic() - self._shown > 15.0:
            self._shown = time.monotonic()
            for out, metrics in states.items():
                if metrics and (last or not _finished(out)):
                    say(self.console, plain_line(self.runs[out], metrics["frames"], metrics))

    def _table(self, states: dict[Path, dict]) -> Table:
        table = Table.grid(padding=(0, 2))
        for out, config in self.runs.items():
            metrics = states[out]
            frames = metrics.get("frames", 0)
            table.add_row(
                literal(f"{config.group}:{config.seed}"),
                ProgressBar(total=config.total_frames, completed=min(frames, config.total_frames), width=30),
                f"{short(frames)} frames",
                f"score [bold]{number(metrics.get('score'))}[/]",
                " ".join(["lambda", *(value for _, value in lambdas(metrics))]) if lambdas(metrics) else "",
                f"{short(metrics.get('frames_per_second') or 0)}/s",
                "done" if _finished(out) else f"left {left(config, frames, metrics)}" if frames else "waiting",
                literal(" ".join(ailing(metrics)), "yellow"),
            )
        return table


def ailing(metrics: dict[str, float | None]) -> list[str]:
    """The diagnoses that stand, by name."""
    return [name.removeprefix(HEALTH) for name, value in metrics.items() if name.startswith(HEALTH) and value]


def _state(out: Path) -> dict:
    """The last metrics of a run; of a population its best member's, with the frames and speed of all."""
    try:
        members = PopulationDirectory(out).members()
    except OSError:
        members = []
    lines = [finite(line) for member in members if (line := last_metrics(member.metrics))]
    if not lines:
        return finite(last_metrics(RunDirectory(out).metrics))
    best = max(lines, key=lambda line: line.get("score") or -1e9)
    return _slowed({**best, "frames": sum(line["frames"] for line in lines) / len(members)}, len(members))


def _finished(out: Path) -> bool:
    """As far as can be seen."""
    try:
        return finished(out)
    except OSError:
        return False


def _slowed(metrics: dict, turns: int) -> dict:
    return {**metrics, "frames_per_second": (metrics.get("frames_per_second") or 0) / turns} if metrics else metrics
