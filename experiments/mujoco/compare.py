"""Does it learn continuous control as well as those who are known for it, and what do teachers bring there?

    python experiments/mujoco/compare.py run --frames 300k                    # ours and the CleanRL-style PPO, three seeds
    python experiments/mujoco/compare.py run --frames 300k --arms sb3 --sb3 VENV/bin/python
    python experiments/mujoco/compare.py run --frames 300k --arms kickstarted one-pass ppd      # students of a teacher
    python experiments/mujoco/compare.py table                                # what there is, as results.csv and Markdown

Runs go one after the other, each in a process with one thread, to runs/mujoco; what is there already is not run again. All act in
EnvPool's environments. A run's score is the mean return of its last 20 training episodes, its time that of the whole process, on
the wall and of the processor.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from kickstarting.algo.parsing import parse_frames
from kickstarting.runs.metrics import read_metrics

HERE, RUNS = Path(__file__).parent, Path("runs/mujoco")
TASKS = ("HalfCheetah-v4", "Walker2d-v4", "Hopper-v4")
WINDOW = 20
TEACHER_SEED = 1000
OURS = ("--network", "mlp", "--score-window", str(WINDOW))
ALONE = ("--learners", "1", "--torch-threads", "1", "--environment-threads", "1")
STUDENT = ("--network-option", "hidden=(128,128)")
"""Of another size than its teacher, which has 64-64."""
ARMS: dict[str, tuple[str, ...]] = {
    "ours": (),
    "ours-quiet": ("--network-option", "initial_std=0.14"),
    "cleanrl": (),
    "sb3": (),
    "scratch": STUDENT,
    "kickstarted": STUDENT,
    "one-pass": STUDENT,
    "ppd": (*STUDENT, "--proximal-distillation", "--schedule", "constant:1"),
}
TAUGHT = ("kickstarted", "one-pass", "ppd")
RECIPES = {"one-pass": str(HERE / "one-pass.toml")}
"""All others have that of the package."""


def place(task: str, arm: str, frames: int, seed: int) -> Path:
    return RUNS / task / f"{arm}-{frames // 1000}k-{seed}"


def command(task: str, arm: str, frames: int, seed: int, sb3: str) -> list[str]:
    out = place(task, arm, frames, seed)
    if arm in ("cleanrl", "sb3"):
        python, script = (sys.executable, "cleanrl_style.py") if arm == "cleanrl" else (sb3, "sb3_ppo.py")
        words = [python, str(HERE / script), task, "--frames", str(frames), "--seed", str(seed)]
        return [*words, "--out", f"{out}.episodes.json"]
    taught = ["--teacher", str(place(task, "ours", frames, TEACHER_SEED)), "--accept-weak-teachers"] if arm in TAUGHT else []
    words = ["train", task, *OURS, "--recipe", RECIPES.get(arm, "mujoco"), *ALONE, *ARMS[arm], *taught]
    words += ["--frames", str(frames), "--seed", str(seed)]
    return [sys.executable, "-m", "kickstarting", *words, "--out", str(out)]


def run(task: str, arm: str, frames: int, seed: int, sb3: str) -> None:
    out = place(task, arm, frames, seed)
    if Path(f"{out}.json").exists():
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with Path(f"{out}.log").open("w") as log:
        subprocess.run(command(task, arm, frames, seed, sb3), env=environment, stdout=log, stderr=log, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result = {"score": score(task, out), "seconds": time.perf_counter() - began, "cpu_seconds": cpu}
    Path(f"{out}.json").write_text(json.dumps(result) + "\n")
    print(f"{out}: {result['score']:.0f} in {result['seconds']:.0f} s", flush=True)


def score(task: str, out: Path) -> float:
    if (file := Path(f"{out}.episodes.json")).exists():
        episodes = json.loads(file.read_text())["episodes"]
        return float(np.mean([total for _, total in episodes[-WINDOW:]]))
    return float(read_metrics(out / "metrics.jsonl")[-1][f"task_return/{task}"])


def rows() -> list[dict[str, Any]]:
    """One for each finished run."""
    found = []
    for file in sorted(file for file in RUNS.glob("*/*.json") if not file.name.endswith(".episodes.json")):
        arm, frames, seed = file.stem.rsplit("-", 2)
        row = {"task": file.parent.name, "arm": arm, "frames": int(frames.removesuffix("k")) * 1000, "seed": int(seed)}
        found.append(row | json.loads(file.read_text()))
    return found


def table() -> None:
    found = [row for row in rows() if row["seed"] != TEACHER_SEED]
    with (HERE / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]))
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in found)
    print("| task | frames | arm | seeds | score | seconds | of the processor |\n|---|---:|---|---:|---:|---:|---:|")
    for key in sorted(
        {(row["task"], row["frames"], row["arm"]) for row in found}, key=lambda k: (k[0], k[1], list(ARMS).index(k[2]))
    ):
        own = [row for row in found if (row["task"], row["frames"], row["arm"]) == key]
        scores = np.array([row["score"] for row in own])
        seconds, cpu = (np.mean([row[which] for row in own]) for which in ("seconds", "cpu_seconds"))
        spread = f"{scores.mean():.0f} ({scores.min():.0f} to {scores.max():.0f})"
        print(f"| {key[0]} | {key[1] / 1e3:.0f}k | {key[2]} | {len(own)} | {spread} | {seconds:.0f} | {cpu:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("--tasks", nargs="+", default=["HalfCheetah-v4"], choices=TASKS)
    parser.add_argument("--frames", default="1M")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", nargs="+", default=["ours", "cleanrl"], choices=list(ARMS))
    parser.add_argument("--sb3", default="", help="a Python that has stable-baselines3 and envpool")
    arguments = parser.parse_args()
    if arguments.what == "table":
        return table()
    if "sb3" in arguments.arms and not arguments.sb3:
        parser.error("--arms sb3 needs --sb3 PYTHON, one that has stable-baselines3 and envpool")
    frames = int(parse_frames(arguments.frames, 0))
    for task in arguments.tasks:
        if set(arguments.arms) & set(TAUGHT):
            run(task, "ours", frames, TEACHER_SEED, arguments.sb3)
        for seed in range(arguments.seeds):
            for arm in arguments.arms:
                run(task, arm, frames, seed, arguments.sb3)
    return table()


if __name__ == "__main__":
    main()
