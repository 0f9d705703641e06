"""Is this checkout as fast as another one? The same workloads with both, in turns, since machines are noisy.

    git worktree add ../old COMMIT
    python benchmarks/against.py ../old --rounds 3 --seconds 8

Every measurement is a process of its own. The ratio is of the medians over the rounds; the range is that of the ratios of single
rounds, new to old. Rows are the workloads of `throughput.py`, of whose table both checkouts must have the same, and whole runs of
`kickstart train` with the defaults, from start to end.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from throughput import rows

HERE = Path(__file__).resolve().parent
TRAIN = "kickstart train, defaults"
NAMES = ("W1", "W1 without LSTM", "W2", "W3", "1 task x 240", "30 tasks x 8")


def workload(checkout: Path, index: int, seconds: float) -> float:
    """Steps per second of a row of throughput.py."""
    command = [sys.executable, str(checkout / "benchmarks" / "throughput.py"), "--row", str(index), "--seconds", str(seconds)]
    done = subprocess.run(command, cwd=checkout / "benchmarks", env=_with(checkout), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])["steps/s"]


def training(checkout: Path, frames: int) -> float:
    """Frames per second of a run with a teacher, its start included."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", "grid-8", "--teacher", "zoo:grid-8-small", "--frames", str(frames), "--schedule", "constant:1"]
        command = [sys.executable, "-m", "kickstarting", *words, "--torch-threads", "2", "--out", f"{folder}/run"]
        began = time.perf_counter()
        subprocess.run(command, env=_with(checkout), stdout=subprocess.DEVNULL, check=True)
    return frames / (time.perf_counter() - began)


def _with(checkout: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(checkout / "src")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="for each measurement of a workload")
    parser.add_argument("--frames", type=int, default=60_000, help="of each whole run")
    parser.add_argument("--only", default="", help="rows whose name starts with this")
    arguments = parser.parse_args()
    checkouts = (arguments.old.resolve(), HERE.parent)
    chosen = [
        (i, row) for i, row in enumerate(rows("cpu")) if row.name in NAMES and row.precision == "bfloat16" and not row.overlap
    ]
    print("| workload | teacher | old steps/s | new steps/s | new / old | rounds |\n|---|---|---:|---:|---:|---|", flush=True)
    for index, name, teachers in [*((i, row.name, row.teachers or "-") for i, row in chosen), (-1, TRAIN, "one")]:
        if not name.startswith(arguments.only):
            continue
        found: tuple[list[float], list[float]] = ([], [])
        for turn in range(arguments.rounds):
            for which in (0, 1) if turn % 2 else (1, 0):
                checkout = checkouts[which]
                speed = training(checkout, arguments.frames) if index < 0 else workload(checkout, index, arguments.seconds)
                found[which].append(speed)
        old, new = map(statistics.median, found)
        ratios = sorted(n / o for o, n in zip(*found, strict=True))
        print(
            f"| {name} | {teachers} | {old:,.0f} | {new:,.0f} | {new / old:.3f} | {ratios[0]:.3f} to {ratios[-1]:.3f} |", flush=True
        )


if __name__ == "__main__":
    main()
