"""Who is measured: each trainer's script, what it runs in, and the options among which the best are looked for."""

from __future__ import annotations

import json
import os
import statistics
import sys
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from kickstarting.machine import resolve_precision

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results" / "peers.json"
VENVS = HERE.parent.parent / ".peers"
WORKLOADS = ("W1", "W1-no-lstm", "W2", "W3")
PRECISIONS = tuple(dict.fromkeys(("float32", resolve_precision("auto"))))
"""bfloat16 only where the processor multiplies it fast; elsewhere it is emulated, many times slower."""
ALL = os.cpu_count() or 1
THREADS = tuple(f"--torch-threads {t} --env-threads {e}" for t, e in product(dict.fromkeys((1, ALL)), repeat=2))


class Trainer(NamedTuple):
    """A trainer in the table. candidates: the options among which `run.py --tune-seconds` looks for the best."""

    name: str
    script: str
    package: str
    candidates: tuple[str, ...]
    venv: str = ""
    """Folder of its virtual environment, beside those of the others; empty: this project's own."""
    options: str = ""
    resets: bool = True
    """Whether its LSTM forgets at the ends of episodes."""
    precisions: tuple[str, ...] = ("float32",)
    further: tuple[str, ...] = ()
    """Options that are tried with the best of the candidates."""

    def command(self, venvs: Path, workload: str, precision: str, seconds: float, options: str) -> list[str]:
        python = str(venvs / self.venv / "bin" / "python") if self.venv else sys.executable
        words = [python, str(HERE / self.script), "--seconds", str(seconds), "--workload", workload]
        words += ["--precision", precision] if len(self.precisions) > 1 else []
        return [*words, *self.options.split(), *options.split()]

    def here(self) -> tuple[str, ...]:
        """Its precisions that make sense on this machine."""
        return tuple(precision for precision in self.precisions if precision in PRECISIONS)


BOTH = ("float32", "bfloat16")
OURS = "ours"
TRAINERS = {
    OURS: Trainer("kickstarting, defaults", "ours.py", "kickstarting", ("",), precisions=BOTH),
    "cleanrl": Trainer("CleanRL-style loop", "cleanrl_style.py", "torch", THREADS, resets=False, precisions=BOTH),
    "cleanrl-resets": Trainer(
        "CleanRL-style loop with resets", "cleanrl_style.py", "torch", THREADS, options="--resets", precisions=BOTH
    ),
    "puffer1": Trainer("PufferLib 1.0", "pufferlib_ppo.py", "pufferlib", THREADS, "puffer1", "", False, BOTH, ("--compile",)),
    "puffer3": Trainer("PufferLib 3.0", "pufferlib_ppo.py", "pufferlib", THREADS, "puffer3", "", False, BOTH, ("--compile",)),
    "sb3": Trainer("Stable-Baselines3", "stable_baselines3_ppo.py", "sb3-contrib", THREADS, "sb3"),
    "sf": Trainer(
        "Sample Factory",
        "sample_factory_appo.py",
        "sample-factory",
        (
            *(f"--mode {mode} --env-threads {e}" for mode in ("async", "double") for e in dict.fromkeys((1, ALL))),
            f"--mode sync --env-threads {ALL}",
            f"--mode serial --torch-threads {ALL} --env-threads {ALL}",
        ),
        "sf",
    ),
    "rllib": Trainer(
        "RLlib",
        "rllib_impala.py",
        "ray",
        (
            "--env-runners 1 --learners 0 --env-threads 1",
            f"--env-runners 1 --learners 0 --torch-threads {ALL} --env-threads 1",
            "--env-runners 1 --learners 1 --env-threads 1",
            "--env-runners 2 --learners 0 --env-threads 1",
            f"--env-runners 0 --learners 0 --torch-threads {ALL} --env-threads {ALL}",
        ),
        "rllib",
    ),
}


def best_peers(workload: str, number: int, results: Path = RESULTS) -> list[dict[str, Any]]:
    """The fastest peers on a workload as run.py measured them on this machine, fastest first: trainer, precision, options."""
    if not results.exists():
        raise SystemExit(f"{results} is missing; run benchmarks/peers/run.py first")
    rows = [
        r for r in json.loads(results.read_text())["rows"] if r["workload"] == workload and r["trainer"] != OURS and r["rounds"]
    ]
    if not rows:
        raise SystemExit(f"{results} has no peer on {workload}; run benchmarks/peers/run.py --workload {workload}")
    best: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: -statistics.median(row["rounds"])):
        best.setdefault(row["trainer"], row)
    return list(best.values())[:number]
