"""Pace and memory with many environments, and with many tasks: W1 with ours and the best peer.

    python benchmarks/peers/run.py --workload W1               # which peer is best here, and with which options
    python benchmarks/environments.py --rounds 3 --seconds 10  # twelve minutes; writes results/environments.csv, .png and .md

One task of 16 to 1,024 environments, and 30 tasks of 8 against one of 240. Memory is the largest that all of a trainer's processes
together had, pages that several share counted once (Linux only). Memory of an environment: what it is more than with the fewest
environments, for each environment more.
"""

from __future__ import annotations

import argparse
import csv
from itertools import product
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from busy import Entry, entries
from peers.measuring import Measured, measure
from peers.table import machine
from peers.trainers import RESULTS, VENVS


class Size(NamedTuple):
    tasks: int
    envs: int
    """Of each task."""

    @property
    def columns(self) -> int:
        return self.tasks * self.envs

    def __str__(self) -> str:
        return f"{self.tasks} x {self.envs}"


CURVE = tuple(Size(1, envs) for envs in (16, 64, 256, 1024))
TASKS, ONE_TASK = Size(30, 8), Size(1, 240)
SIZES = (*CURVE, ONE_TASK, TASKS)


class Memory:
    """The most memory of all processes of a session together, in MiB; called with the session's number while it lives."""

    def __init__(self) -> None:
        self.peak = 0.0

    def __call__(self, session: int) -> None:
        self.peak = max(self.peak, sum(_share(process) for process in Path("/proc").glob("[0-9]*") if _session(process) == session))


def _session(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[3])
    except (OSError, IndexError, ValueError):  # it ended
        return -1


def _share(process: Path) -> float:
    """A process's memory in MiB, of shared pages its share."""
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


Found = dict[tuple[Entry, Size], tuple[Measured, Memory]]


def table(found: Found) -> list[str]:
    lines = ["| trainer | tasks x environments | steps/s | of 1 x 240 | memory, MiB | MiB for each environment more |"]
    lines.append("|---|---|---:|---:|---:|---:|")
    for (entry, size), (measured, memory) in found.items():
        base, fewest = found[entry, ONE_TASK][0].median, found[entry, CURVE[0]][1].peak
        share = f"{measured.median / base:.0%}" if size == TASKS and measured.median and base else "-"
        more = size.columns - CURVE[0].columns
        each = f"{(memory.peak - fewest) / more:.2f}" if more and memory.peak and fewest else "-"
        lines.append(f"| {entry} | {size} | {measured.cell()} | {share} | {memory.peak:,.0f} | {each} |")
    return lines


def write_csv(found: Found, path: Path) -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("trainer", "precision", "tasks", "environments", "round", "steps_per_second", "peak_memory_mib"))
        for (entry, size), (measured, memory) in found.items():
            for i, speed in enumerate(measured.rounds):
                rows.writerow((entry.trainer.name, entry.precision, size.tasks, size.columns, i + 1, speed, round(memory.peak, 1)))


def draw(found: Found, path: Path) -> None:
    """Pace and memory over the number of environments of one task; medians, the scatter of the rounds as a band."""
    figure, (pace, space) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for entry in dict.fromkeys(entry for entry, _ in found):
        cells = [(size.columns, *found[entry, size]) for size in CURVE if found[entry, size][0].rounds]
        columns = [n for n, _, _ in cells]
        pace.plot(columns, [measured.median for _, measured, _ in cells], marker="o", label=str(entry))
        low, high = ([end(measured.rounds) for _, measured, _ in cells] for end in (min, max))
        pace.fill_between(columns, low, high, alpha=0.2)
        space.plot(columns, [memory.peak for _, _, memory in cells], marker="o", label=str(entry))
    for axes, label in ((pace, "agent steps/s"), (space, "peak memory, MiB")):
        axes.set(xscale="log", xlabel="environments of one task", ylabel=label, ylim=(0, None), xticks=[s.columns for s in CURVE])
        axes.set_xticklabels([str(size.columns) for size in CURVE])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    pace.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=int, default=1, help="how many of the best")
    parser.add_argument("--seconds", type=float, default=10.0, help="of measurement in each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--venvs", type=Path, default=VENVS, help="folder of the virtual environments")
    parser.add_argument("--results", type=Path, default=RESULTS, help="what run.py measured here")
    parser.add_argument("--out", type=Path, default=RESULTS.with_name("environments"), help="without an ending")
    arguments = parser.parse_args()
    chosen = entries("W1", arguments.peers, arguments.results)
    found: Found = {(entry, size): (Measured([], []), Memory()) for entry, size in product(chosen, SIZES)}
    for turn, size, entry in product(range(arguments.rounds), SIZES, chosen):
        words = ("--tasks", str(size.tasks), "--envs", str(size.envs))
        command = entry.command(arguments.venvs.resolve(), "W1", arguments.seconds, *words)
        measured, memory = found[entry, size]
        measure(command, arguments.seconds, measured, memory)
        print(f"round {turn + 1}, {entry}, {size}: {measured.cell()}, {memory.peak:,.0f} MiB", flush=True)
    write_csv(found, arguments.out.with_suffix(".csv"))
    draw(found, arguments.out.with_suffix(".png"))
    how = f"Medians of {arguments.rounds} rounds of {arguments.seconds:g} s, run in turns. {machine()}"
    lines = [*table(found), "", how]
    arguments.out.with_suffix(".md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
