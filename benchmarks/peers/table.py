"""What run.py measured, as JSON for other scripts and as a Markdown table."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import throughput
from peers.measuring import Measured
from peers.trainers import OURS, PRECISIONS, TRAINERS


class Key(NamedTuple):
    """A row of measurements."""

    workload: str
    trainer: str
    precision: str

    def __str__(self) -> str:
        return f"{self.workload}, {TRAINERS[self.trainer].name}, {self.precision}"


class Results(NamedTuple):
    """Everything of one call of run.py. versions by trainer; chosen: the options that each row ran with."""

    measured: dict[Key, Measured]
    versions: dict[str, str]
    chosen: dict[Key, str]
    tried: dict[Key, dict[str, str]]
    settings: dict[Key, str]

    def write(self, out: Path, how: str) -> str:
        """Writes the table to `out`, all numbers beside it as JSON; returns the table. how: rounds and seconds, in words."""
        rows = [
            {**key._asdict(), "options": self.chosen.get(key, ""), **measured._asdict(), "version": self.versions[key.trainer]}
            for key, measured in self.measured.items()
        ]
        out.parent.mkdir(parents=True, exist_ok=True)
        out.with_suffix(".json").write_text(json.dumps({"rows": rows, "how": how, "machine": machine()}, indent=1) + "\n")
        text = "\n".join([*self._table(), "", *self._best(), "", f"{how} {machine()}", *self._details()]) + "\n"
        out.write_text(text)
        return text

    def _workloads(self) -> list[str]:
        return list(dict.fromkeys(key.workload for key in self.measured))

    def _table(self) -> list[str]:
        """A row for each trainer and precision, ours first; how many times faster ours is, in each precision."""
        columns = ["trainer", "version", "precision", "resets"]
        for workload in self._workloads():
            columns += [f"{workload} steps/s", *(f"{workload}: ours, {precision} / it" for precision in PRECISIONS)]
        lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        for name, precision in dict.fromkeys((key.trainer, key.precision) for key in self.measured):
            cells = [TRAINERS[name].name, self.versions[name], precision, "yes" if TRAINERS[name].resets else "never"]
            for workload in self._workloads():
                its = self.measured.get(Key(workload, name, precision), Measured([], []))
                cells += [its.cell(), *(self._ratio(workload, ours, its.median) for ours in PRECISIONS)]
            lines.append("| " + " | ".join(cells) + " |")
        return lines

    def _ratio(self, workload: str, precision: str, its: float | None) -> str:
        ours = self.measured.get(Key(workload, OURS, precision))
        return f"{ours.median / its:.2f}" if ours and ours.median and its else "-"

    def _best(self) -> list[str]:
        """The fastest peer on each workload, with or without resets."""
        lines = []
        for workload in self._workloads():
            medians = {k: m.median for k, m in self.measured.items() if k.workload == workload and k.trainer != OURS and m.median}
            if not medians:
                continue
            key = max(medians, key=medians.__getitem__)
            ratio = self._ratio(workload, PRECISIONS[-1], medians[key])
            resets = "" if TRAINERS[key.trainer].resets else ", which never resets its LSTM"
            name = f"{TRAINERS[key.trainer].name} in {key.precision}{resets}"
            lines.append(f"- {workload}: the best peer is {name}: {medians[key]:,.0f} steps/s; ours makes {ratio} times as many.")
        return lines

    def _details(self) -> list[str]:
        lines = ["", "Every round, steps/s:", ""]
        lines += [f"- {key}: {', '.join(f'{x:,.0f}' for x in m.rounds) or m.cell()}" for key, m in self.measured.items()]
        lines += ["", "Settings:", "", *(f"- {key}: `{value}`" for key, value in self.settings.items())]
        if self.tried:
            lines += ["", "Options tried first, steps/s; the best were kept:", ""]
            lines += [f"- {key}: `{options}` {speed}" for key, seen in self.tried.items() for options, speed in seen.items()]
        return lines


def machine() -> str:
    return f"torch {version('torch')} (ours), {os.cpu_count()} cores, {throughput._processor()}."
