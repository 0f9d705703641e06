"""The demo's question, with the same tuning effort on both sides. See README.md.

    python experiments/demo/sweep.py tune      # learning rate, entropy cost and unroll length: the same cells for both arms
    python experiments/demo/sweep.py final     # the winners, several seeds, and constant lambda
    python experiments/demo/sweep.py float32   # the winners once more without bfloat16
    python experiments/demo/sweep.py table     # what the runs say, as Markdown and CSV

Everything resumes where it was killed. Results go to runs/experiments/demo.
"""

from __future__ import annotations

import argparse
import csv
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from kickstarting.config import Config
from kickstarting.demo import ZOO_TEACHER, kickstarted_config, scratch_config
from kickstarting.metrics import read_metrics
from kickstarting.sweep import run_all

RUNS = Path("runs/experiments/demo")
HERE = Path(__file__).parent
TEACHER = f"zoo:{ZOO_TEACHER}"
CELLS = (
    ("1e-3", "0.003", 10),
    ("1e-3", "0.01", 10),
    ("2e-3", "0.003", 10),
    ("1e-3", "0.003", 20),
    ("1e-3", "0.01", 20),
    ("6e-4", "0.01", 20),
    ("2e-3", "0.003", 20),
)
"""Learning rate (linear to a tenth), entropy cost, unroll length: the same cells for both arms."""


def tuning_runs() -> dict[Path, Config]:
    """Every cell for both arms, one seed that the final runs do not use."""
    runs = {}
    for (rate, entropy, unroll), arm in itertools.product(CELLS, (scratch_config(100), kickstarted_config(100, TEACHER))):
        name = f"{arm.name}-lr{rate}-ent{entropy}-T{unroll}"
        runs[RUNS / "tune" / name] = replace(
            arm, name=name, learning_rate=f"linear:{rate}:{float(rate) / 10:g}:100%", entropy_cost=entropy, unroll_length=unroll
        )
    return runs


def final_runs(seeds: int) -> dict[Path, Config]:
    """Both arms on every seed; constant lambda after them."""
    runs = {}
    for seed in range(seeds):
        runs[RUNS / "final" / f"scratch-{seed}"] = scratch_config(seed)
        runs[RUNS / "final" / f"kickstarted-{seed}"] = kickstarted_config(seed, TEACHER)
    for seed in range(seeds):
        constant = replace(kickstarted_config(seed, TEACHER), name="constant lambda", schedule="constant:1")
        runs[RUNS / "final" / f"constant-{seed}"] = constant
    return runs


def float32_runs(seeds: int) -> dict[Path, Config]:
    """Both arms in float32, to be compared with the final runs where those are bfloat16."""
    runs = {}
    for seed in range(seeds):
        for arm in (scratch_config(seed), kickstarted_config(seed, TEACHER)):
            name = f"{arm.name} float32"
            runs[RUNS / "float32" / f"{arm.name}-{seed}"] = replace(arm, name=name, precision="float32")
    return runs


def table() -> None:
    """Final score (mean of the last 5 % of frames) and score at a tenth of the budget of every tuning run."""
    rows = []
    for out in sorted((RUNS / "tune").glob("*")):
        if not (out / "finished.json").exists():
            continue
        lines = [line for line in read_metrics(out / "metrics.jsonl") if line["score"] is not None]
        frames = np.array([line["frames"] for line in lines])
        scores = np.array([line["score"] for line in lines])
        early = scores[frames >= 0.2 * frames[-1]][0]
        arm, rate, entropy, unroll = _parse(out.name)
        rows.append([arm, rate, entropy, unroll, f"{early:.1f}", f"{scores[frames >= 0.95 * frames[-1]].mean():.1f}"])
    header = ["arm", "learning rate", "entropy cost", "unroll", "score at 20 %", "final score"]
    with (HERE / "tuning.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    for row in [header, ["---"] * len(header), *sorted(rows, key=lambda row: (row[0], -float(row[5])))]:
        print("| " + " | ".join(row) + " |")


def _parse(name: str) -> tuple[str, str, str, str]:
    arm, _, rest = name.partition("-lr")
    rate, _, rest = rest.partition("-ent")
    entropy, _, unroll = rest.partition("-T")
    return arm, rate, entropy, unroll


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("tune", "final", "float32", "table"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--only", default="", help="runs whose directory starts with this")
    arguments = parser.parse_args()
    if arguments.what == "table":
        table()
    else:
        sweeps = {"tune": lambda _: tuning_runs(), "final": final_runs, "float32": float32_runs}
        runs = sweeps[arguments.what](arguments.seeds)
        runs = {out: config for out, config in runs.items() if out.name.startswith(arguments.only)}
        run_all(runs, jobs=arguments.jobs, console=Console())


if __name__ == "__main__":
    main()
