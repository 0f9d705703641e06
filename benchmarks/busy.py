"""How much of its pace on a machine alone each trainer keeps beside other busy processes: ours and the best peers.

    python benchmarks/peers/run.py --workload W1       # which peers are best here, and with which options
    python benchmarks/busy.py --rounds 3 --seconds 12  # nine minutes; writes results/busy.md

The other processes compute in one thread each, at normal priority, on whichever core the system gives them. All trainers run in
turns at each load, in every round.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import NamedTuple

from peers.measuring import Measured, measure
from peers.table import machine
from peers.trainers import OURS, PRECISIONS, RESULTS, TRAINERS, VENVS, WORKLOADS, Trainer, best_peers

BUSY = "import numpy\nx = numpy.ones(50_000)\nwhile True: numpy.tanh(x, out=x)"
LOADS = {0: "alone", 1: "beside one", 2: "beside two"}


class Entry(NamedTuple):
    """A trainer as it is run: with the options that suited it on the quiet machine."""

    trainer: Trainer
    precision: str
    options: str

    def command(self, venvs: Path, workload: str, seconds: float, *further: str) -> list[str]:
        return [*self.trainer.command(venvs, workload, self.precision, seconds, self.options), *further]

    def __str__(self) -> str:
        return f"{self.trainer.name}, {self.precision}"


def entries(workload: str, number: int, results: Path) -> list[Entry]:
    """Ours with its defaults, and the best peers as run.py found them."""
    peers = [Entry(TRAINERS[row["trainer"]], row["precision"], row["options"]) for row in best_peers(workload, number, results)]
    return [Entry(TRAINERS[OURS], PRECISIONS[-1], ""), *peers]


@contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """Keeps so many cores busy."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def table(measured: dict[tuple[Entry, int], Measured]) -> list[str]:
    """Pace alone, and pace and share of it at each load."""
    lines = ["| trainer | " + " | ".join(f"{name}, steps/s" for name in LOADS.values()) + " | share beside one | beside two |"]
    lines.append("|---|" + "---:|" * (2 * len(LOADS) - 1))
    for entry in dict.fromkeys(entry for entry, _ in measured):
        alone = measured[entry, 0].median
        medians = [measured[entry, load].median for load in LOADS]
        shares = [f"{median / alone:.0%}" if median and alone else "-" for median in medians[1:]]
        lines.append(f"| {entry} | " + " | ".join([*(measured[entry, load].cell() for load in LOADS), *shares]) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", default="W1", choices=WORKLOADS)
    parser.add_argument("--peers", type=int, default=2, help="how many of the best")
    parser.add_argument("--seconds", type=float, default=12.0, help="of measurement in each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--venvs", type=Path, default=VENVS, help="folder of the virtual environments")
    parser.add_argument("--results", type=Path, default=RESULTS, help="what run.py measured here")
    parser.add_argument("--out", type=Path, default=RESULTS.with_name("busy.md"))
    arguments = parser.parse_args()
    chosen = entries(arguments.workload, arguments.peers, arguments.results)
    measured = {(entry, load): Measured([], []) for entry, load in product(chosen, LOADS)}
    settings: dict[str, str] = {}
    for turn, load, entry in product(range(arguments.rounds), LOADS, chosen):
        command = entry.command(arguments.venvs.resolve(), arguments.workload, arguments.seconds)
        with busy_processes(load):
            result = measure(command, arguments.seconds, measured[entry, load])
        if result:
            settings[f"{entry}, {LOADS[load]}"] = json.dumps(result["settings"])
        print(f"round {turn + 1}, {entry}, {LOADS[load]}: {measured[entry, load].cell()}", flush=True)
    how = f"{arguments.workload}. Medians of {arguments.rounds} rounds of {arguments.seconds:g} s, run in turns. {machine()}"
    lines = [*table(measured), "", how, "", *(f"- {name}: `{value}`" for name, value in settings.items())]
    arguments.out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
