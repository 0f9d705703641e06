"""Does a model that is distilled from ordinary training runs learn faster in its context than they did, and faster still if they
were kickstarted?

    python experiments/ad-of-runs/run.py

Each run of `kickstart train --record-histories` learns one goal of Dark Room with the small network. Two models learn from their
histories: one from runs from scratch, one from runs with the AD model that the package ships as their teacher. Both then look for
goals that no run and no teacher had. Everything goes to runs/ad-of-runs, and what is there is not done again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from rich.console import Console

from kickstarting.ad.demo import SHIPPED
from kickstarting.ad.figures import curves_figure, write_figure
from kickstarting.ad.results import HowEvaluated, read_shares
from kickstarting.ad.saved import TrainConfig, load_model
from kickstarting.ad.steps import Evaluate, Join, Train, carry_out
from kickstarting.ad.summary import curve_of, read
from kickstarting.ad.tasks import find_family
from kickstarting.config import Config
from kickstarting.launch.sweep import run_all
from kickstarting.machine import use_machine

HERE, RUNS = Path(__file__).parent, Path("runs/ad-of-runs")
ROOM = find_family("dark-room")
GOALS = ROOM.split(int(load_model(SHIPPED).facts["split_seed"]))
ARMS = {"from scratch": {}, "kickstarted": {"teachers": (f"ad:{SHIPPED}",), "accept_weak_teachers": True}}
TRAINING = TrainConfig(updates=3000, threads=1)
FRAMES, HORIZON = 48_000, 20
ROLLOUTS, EPISODES = 4, 200


def suite(name: str, goals: np.ndarray) -> Path:
    """A file with a task for each goal."""
    tasks = [
        f'[[task]]\nname = "goal-{row}-{column}"\nenv_id = "kickstarting.ad.tasks:DarkRoom-v0"\nbackend = "gymnasium-vector"\n'
        f"options = {{tasks = [[{row}, {column}]]}}\n"
        for row, column in goals.tolist()
    ]
    path = RUNS / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(tasks))
    return path


def learn(arm: str, goals: np.ndarray, jobs: int) -> tuple[Path, ...]:
    """A run for each goal; their directories."""
    runs = {}
    for seed, goal in enumerate(goals):
        name = f"goal-{goal[0]}-{goal[1]}"
        how = {"network": "small", "unroll_length": HORIZON, "total_frames": FRAMES, "record_histories": True, **ARMS[arm]}
        runs[RUNS / arm.replace(" ", "-") / name] = Config.of(str(suite(name, goal[None])), name=arm, seed=seed, **how)
    run_all(runs, jobs=jobs)
    return tuple(runs)


def distil(arm: str, directories: tuple[Path, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Returns of the runs and of the model in its context, [rows, episodes], as shares of the optimum."""
    to = RUNS / "distilled" / arm.replace(" ", "-")
    histories, model, looked = to / "histories", to / "model", to / "test"
    test = HowEvaluated(suite=str(suite("test", GOALS.test)), episodes=EPISODES, rollouts=ROLLOUTS)
    steps = [Join(directories, histories), Train(TRAINING, histories, model), Evaluate(model, test, False, looked)]
    carry_out(steps, Console())
    joined = read(histories)
    goals = np.array([[int(n) for n in str(task).split("-")[1:]] for task in joined.about.tasks])
    returns = next(iter(read_shares(looked)[1].values())) / np.repeat(ROOM.optimum(GOALS.test), ROLLOUTS)[:, None]
    return curve_of(joined)[:, :-1] / ROOM.optimum(goals)[:, None], returns  # a run ends within an episode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--goals", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=0)
    arguments = parser.parse_args()
    use_machine(1)
    print("| | 1 | 5 | 10 | 20 | 50 | 100 | last 10 | failed |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    found = {}
    for arm in ARMS:
        runs, model = distil(arm, learn(arm, GOALS.train[: arguments.goals], arguments.jobs))
        for name, curve in ((f"runs {arm}", runs), (f"model of runs {arm}", model)):
            at = " | ".join(f"{curve[:, n - 1].mean():.3f}" if n <= curve.shape[1] else "" for n in (1, 5, 10, 20, 50, 100))
            last = curve[:, -10:].mean(1)
            print(f"| {name} | {at} | {last.mean():.3f} | {(last < 0.5).mean():.0%} |", flush=True)
            found[name] = curve
    write_figure(curves_figure(found, "Dark Room: runs, and models of runs on goals that no run had"), HERE / "curves.png")
    (HERE / "curves.json").write_text(json.dumps({name: curve.mean(0).round(4).tolist() for name, curve in found.items()}) + "\n")


if __name__ == "__main__":
    main()
