"""Do the defaults work on tasks that nobody tuned? Suites drawn at random, the old defaults, and a tuning for each suite.

    python experiments/robust/sweep.py run                    # teachers, then scratch and kickstarted with the defaults, 3 seeds
    python experiments/robust/sweep.py run --frames 300000    # a shorter budget, whose learning rate falls sooner
    python experiments/robust/sweep.py old                    # the defaults of version 0.1 beside them
    python experiments/robust/sweep.py cells --suites 101 102 # six cells tuned for a suite, one seed
    python experiments/robust/sweep.py worlds                 # classic control, a T-maze and Breakout with the defaults
    python experiments/robust/sweep.py table                  # what there is, as results.csv and Markdown

Everything resumes where it was killed. Results go to runs/robust.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from scipy.integrate import trapezoid

from kickstarting.config import Config
from kickstarting.launch.sweep import run_all
from kickstarting.learner import PAPER
from kickstarting.report.resampled import frames_to_reach
from kickstarting.reproduce.tuning import CELLS
from kickstarting.runs.configuration import read_config
from kickstarting.runs.metrics import read_metrics
from kickstarting.suites import load_suite

HERE = Path(__file__).parent
RUNS = Path("runs/robust")
TEST = (101, 102, 103, 104, 105)
OLD: dict[str, Any] = {"learning_rate": "6e-4", "learner": PAPER}
ARMS = ("scratch", "kickstarted")
BUDGET = 1_000_000
KEY = ("suite", "frames", "arm", "variant")
WORLDS: dict[str, dict[str, Any]] = {
    "CartPole-v1": {"total_frames": 300_000},
    "Acrobot-v1": {"total_frames": 300_000},
    "Pendulum-v1": {"total_frames": 500_000},
    "gymnasium:t_maze:TMaze-v0": {"total_frames": 300_000, "network_options": ("lstm=64",)},
    "atari-57:breakout": {"total_frames": 1_000_000, "network": "small"},
}
"""Breakout: 250k steps of four frames each; the large network would take hours."""


def config(suite: int, name: str, seed: int, frames: int, **changes: Any) -> Config:
    path = HERE / "suites" / f"random-{suite}.toml"
    return Config.of(str(path.relative_to(Path.cwd())), **{"name": name, "seed": seed, "total_frames": frames, **changes})


def teacher(suite: int, arguments: argparse.Namespace) -> tuple[Path, Config]:
    frames = arguments.teacher_frames
    return RUNS / f"random-{suite}" / "teacher", config(suite, "teacher", 1000, frames, network="small")


def students(suite: int, what: str, arguments: argparse.Namespace) -> Iterator[tuple[Path, Config]]:
    """Both arms on one suite: with the defaults (`run`), those of version 0.1 (`old`), or every cell but the defaults."""
    changes: dict[str, dict[str, Any]] = {
        "run": {"defaults": {}},
        "old": {"old": OLD},
        "cells": {name: cell for name, cell in CELLS.items() if cell},
    }[what]
    listening = {"teachers": (str(teacher(suite, arguments)[0]),)}
    budget = "" if arguments.frames == BUDGET else f"@{arguments.frames // 1000}k"
    for seed in range(arguments.seeds):
        for variant, settings in changes.items():
            for arm in arguments.arms:
                taught = listening | ({"schedule": "linear:1:0:20%"} if what == "old" else {}) if arm == "kickstarted" else {}
                out = RUNS / f"random-{suite}" / f"{arm}-{variant.replace(' ', '-')}{budget}-{seed}"
                yield out, config(suite, f"{arm}, {variant}", seed, arguments.frames, **settings, **taught)


def sweep(arguments: argparse.Namespace) -> dict[Path, Config]:
    """All suites of a seed before the next seed."""
    runs = dict(teacher(suite, arguments) for suite in arguments.suites)
    found = [list(students(suite, arguments.what, arguments)) for suite in arguments.suites]
    each = len(found[0]) // arguments.seeds
    for seed in range(arguments.seeds):
        for of_suite in found:
            runs |= dict(of_suite[seed * each : (seed + 1) * each])
    return runs


def worlds(seeds: int) -> dict[Path, Config]:
    """The defaults on other kinds of observations, actions and rewards; the T-maze is examples/t_maze.py."""
    runs = {}
    for seed in range(seeds):
        for suite, changes in WORLDS.items():
            name = Path(suite.rpartition(":")[2]).stem.removesuffix("-v0").removesuffix("-v1")
            runs[RUNS / "worlds" / f"{name}-{seed}"] = Config.of(suite, name=name, seed=seed, **changes)
    return runs


def curve(out: Path) -> tuple[np.ndarray, np.ndarray]:
    """Frames and scores of a run, averaged over 3 % of it. A task of which too few episodes ended to have a score counts 0, as
    the random policy does: the suite itself has no score then."""
    tasks = len(load_suite(read_config(out / "config.json").suite).tasks)
    lines = read_metrics(out / "metrics.jsonl")
    scores = np.array([sum(x for name, x in line.items() if name.startswith("task_score/")) / tasks for line in lines])
    smooth = np.array([scores[max(0, i - 5) : i + 1].mean() for i in range(len(scores))])
    return np.array([line["frames"] for line in lines]), smooth


def rows() -> Iterator[dict[str, Any]]:
    """One for each finished student: final score (mean over the last 5 % of the frames), area under the curve."""
    for out in sorted(RUNS.glob("random-*/*")):
        if out.name == "teacher" or not (out / "finished.json").exists():
            continue
        arm, _, rest = out.name.partition("-")
        variant, _, seed = rest.rpartition("-")
        frames, scores = curve(out)
        final = scores[frames >= 0.95 * frames[-1]].mean()
        yield {
            "suite": out.parent.name,
            "frames": read_config(out / "config.json").total_frames,
            "arm": arm,
            "variant": variant.partition("@")[0],
            "seed": int(seed),
            "final": final,
            "area": trapezoid(scores, frames) / frames[-1],
            "out": out,
        }


def table() -> None:
    found = list(rows())
    baseline = {
        key: np.mean([r["final"] for r in found if tuple(r[name] for name in KEY) == (*key, "scratch", "defaults")])
        for key in {(r["suite"], r["frames"]) for r in found}
    }
    for row in found:
        frames, scores = curve(row.pop("out"))
        row["frames_to_scratch"] = float(frames_to_reach(frames, scores[None], float(baseline[row["suite"], row["frames"]]))[0])
    with (HERE / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]))
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in found)
    print("| suite | budget | arm | settings | seeds | final score | spread | area | frames to scratch's final |")
    print("|---|---:|---|---|---:|---:|---:|---:|---:|")
    for key in sorted({tuple(r[name] for name in KEY) for r in found}):
        own = [r for r in found if tuple(r[name] for name in KEY) == key]
        final, area, frames = (np.array([r[name] for r in own]) for name in ("final", "area", "frames_to_scratch"))
        spread = f"{final.std(ddof=1):.1f}" if len(own) > 1 else "-"
        print(
            f"| {key[0]} | {key[1] / 1e3:.0f}k | {key[2]} | {key[3]} | {len(own)} "
            f"| {final.mean():.1f} ({final.min():.1f} to {final.max():.1f}) | {spread} "
            f"| {area.mean():.1f} | {np.median(frames) / 1e3:.0f}k |"
        )


def speed_up() -> None:
    """How many times fewer frames the mean kickstarted curve takes to scratch's mean final score than scratch's mean curve."""
    print("| suite | budget | fewer frames |\n|---|---:|---:|")
    found = [row for row in rows() if row["variant"] == "defaults"]
    for suite, budget in sorted({(row["suite"], row["frames"]) for row in found}):
        own = {arm: [row for row in found if (row["suite"], row["frames"], row["arm"]) == (suite, budget, arm)] for arm in ARMS}
        if not all(own.values()):
            continue
        goal, reached = float(np.mean([row["final"] for row in own["scratch"]])), []
        for arm in ARMS:
            curves = [curve(row["out"]) for row in own[arm]]
            frames = curves[0][0]
            mean = np.mean([np.interp(frames, *one) for one in curves], axis=0)
            reached.append(float(frames_to_reach(frames, mean[None], goal)[0]))
        saved = f"{reached[0] / reached[1]:.1f}x" if np.isfinite(reached[1]) else "not reached"
        print(f"| {suite} | {budget / 1e3:.0f}k | {saved} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "old", "cells", "worlds", "table"))
    parser.add_argument("--suites", type=int, nargs="+", default=TEST, help="seeds of scripts/random_suites.py")
    parser.add_argument("--arms", nargs="+", default=ARMS, choices=ARMS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=BUDGET)
    parser.add_argument("--teacher-frames", type=int, default=1_500_000)
    parser.add_argument("--jobs", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.what == "table":
        table()
        speed_up()
    else:
        runs = worlds(arguments.seeds) if arguments.what == "worlds" else sweep(arguments)
        run_all(runs, jobs=arguments.jobs, console=Console())


if __name__ == "__main__":
    main()
