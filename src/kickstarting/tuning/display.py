"""What a tune says: its plan, how far it is, and all configurations with their scores."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from kickstarting.algo.parsing import written
from kickstarting.config import Config
from kickstarting.console import literal, say
from kickstarting.display import Refreshed, left, number, short
from kickstarting.runs.layout import JobDirectory, RunDirectory
from kickstarting.runs.metrics import last_metrics
from kickstarting.tuning.halving import Rung, Setting, cost, ranked, space, stretched
from kickstarting.tuning.recipe import settings

PLAIN_EVERY = 15.0
"""Seconds between plain lines."""
LIVE_EVERY = 2.0


def plan_table(rungs: Sequence[Rung]) -> Table:
    table = Table("rung", "runs", "frames each", "in all")
    before = 0
    for i, rung in enumerate(rungs):
        since = f"{short(before)} to " if before else ""
        table.add_row(str(i + 1), str(rung.runs), f"{since}{short(rung.frames)}", short(rung.runs * (rung.frames - before)))
        before = rung.frames
    table.add_section()
    table.add_row("total", "", "", short(cost(rungs)))
    return table


def searched(config: Config) -> str:
    """The settings that are searched, with their factors."""

    def said(setting: Setting) -> str:
        factors = [f"{factor:g}" for factor in setting.factors]
        return f"{_title(setting)} {' to '.join(factors) if setting.kind == 'log' else ', '.join(factors)}"

    return "; ".join(map(said, space(config)))


def _title(setting: Setting) -> str:
    return setting.name.replace("_", " ") + ("" if setting.of == "start" else f"'s {setting.of}")


def _value(config: Config, setting: Setting) -> str:
    """Of a schedule only what is searched: its start, or what in it is frames."""
    value = settings(config)[setting.name]
    if not isinstance(value, str):
        return str(value)
    if setting.of == "start":
        return f"{config.parsed(setting.name).start:g}"
    text = written(stretched(config.parsed(setting.name), 1.0, config.total_frames), config.total_frames)
    return " ".join(share for share in text.split(":") if share.endswith("%"))


def said_score(scores: Mapping[int, float | None]) -> str:
    """The best score of a rung beside the default's."""
    best = ranked(scores)[0]
    default = "diverged or has no score" if scores[0] is None else number(scores[0])
    return f"best {number(scores[best])} (configuration {best}), the default {default}"


def results_table(
    configs: Sequence[Config], results: Sequence[Mapping[int, float | None]], rungs: Sequence[Rung], winner: int
) -> Table:
    """Every configuration with its last score: who came furthest first, and among them the best first."""
    tuned = space(configs[0])
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    titles = ["its length" if setting.of == "length" else _title(setting) for setting in tuned]
    for title in ("score", "after", *titles):
        table.add_column(title.replace(" ", "\n"), no_wrap=True)
    last = {i: (scores[i], rung.frames) for scores, rung in zip(results, rungs, strict=False) for i in scores}

    def place(i: int) -> tuple[bool, int, float]:
        score, frames = last[i]
        return i != winner, -frames, -score if score is not None else float("inf")

    for i in sorted(last, key=place):
        score, frames = last[i]
        values = [_value(configs[i], setting) for setting in tuned]
        row = [str(i) if i else "default", number(score), short(frames), *map(literal, values)]
        table.add_row(*row, style="bold" if i == winner else None)
    return table


class RungProgress(Refreshed):
    """One line for the whole tune while a rung runs: its runs, frames of all, speed, and the time left to the end of the tune."""

    def __init__(self, runs: Mapping[Path, Config], rungs: Sequence[Rung], index: int, console: Console) -> None:
        super().__init__(console)
        self._runs, self._rung = list(runs), rungs[index]
        self._since = rungs[index - 1].frames if index else 0
        self._before, self._whole = cost(rungs[:index]), replace(next(iter(runs.values())), total_frames=cost(rungs))
        self._name = f"rung {index + 1} of {len(rungs)}"
        self._began = time.monotonic()
        self._began_with = sum(self._frames())

    def refresh(self, last: bool = False) -> None:
        now = time.monotonic()
        if not last and now - self._shown < (LIVE_EVERY if self._live else PLAIN_EVERY):
            return
        self._shown = now
        if self._live:
            self._live.update(literal(self.line()))
        else:
            say(self.console, self.line())

    def line(self) -> str:
        each = self._frames()
        done, ended = self._before + sum(each), sum(frames >= self._rung.frames - self._since for frames in each)
        ended += sum(os.path.exists(JobDirectory(run).diverged) for run in self._runs)  # False, too, where it cannot be seen
        speed = (sum(each) - self._began_with) / max(1e-9, time.monotonic() - self._began)
        return "  ".join(
            (
                self._name,
                f"{ended} of {len(each)} runs",
                f"{short(done)}/{short(self._whole.total_frames)} frames",
                f"{short(speed)} frames/s",
                f"left {left(self._whole, done, {'frames_per_second': speed})}",
            )
        )

    def _frames(self) -> list[int]:
        """Of each run, since the rung before."""
        reached = [last_metrics(RunDirectory(run).metrics).get("frames", 0) for run in self._runs]
        return [min(max(0, frames - self._since), self._rung.frames - self._since) for frames in reached]
