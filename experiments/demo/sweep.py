"""The demo's question with several seeds, and what becomes of it without bfloat16 and with a constant lambda. See README.md.

    python experiments/demo/sweep.py final     # both arms with the defaults, then constant lambda
    python experiments/demo/sweep.py float32   # both arms once more without bfloat16

Everything resumes where it was killed. Results go to runs/experiments/demo.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from kickstarting.config import Config
from kickstarting.demo import ZOO_TEACHER, student_config
from kickstarting.launch.sweep import run_all

RUNS = Path("runs/experiments/demo")
TEACHERS = (f"zoo:{ZOO_TEACHER}",)
FRAMES = 2_000_000


def final_runs(seeds: int) -> dict[Path, Config]:
    """Both arms on every seed; constant lambda after them."""
    runs = {}
    for seed in range(seeds):
        runs[RUNS / "final" / f"kickstarted-{seed}"] = student_config(seed, FRAMES, TEACHERS)
        runs[RUNS / "final" / f"scratch-{seed}"] = student_config(seed, FRAMES)
    for seed in range(seeds):
        constant = student_config(seed, FRAMES, TEACHERS).changed(name="constant lambda", schedule="constant:1")
        runs[RUNS / "final" / f"constant-{seed}"] = constant
    return runs


def float32_runs(seeds: int) -> dict[Path, Config]:
    """Both arms in float32, to be compared with the final runs where those are bfloat16."""
    runs = {}
    for seed in range(seeds):
        for arm in (student_config(seed, FRAMES), student_config(seed, FRAMES, TEACHERS)):
            runs[RUNS / "float32" / f"{arm.group}-{seed}"] = arm.changed(name=f"{arm.group} float32", precision="float32")
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("final", "float32"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--only", default="", help="runs whose directory starts with this")
    arguments = parser.parse_args()
    runs = {"final": final_runs, "float32": float32_runs}[arguments.what](arguments.seeds)
    runs = {out: config for out, config in runs.items() if out.name.startswith(arguments.only)}
    run_all(runs, jobs=arguments.jobs, console=Console())


if __name__ == "__main__":
    main()
