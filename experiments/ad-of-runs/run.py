"""Does a model that is distilled from ordinary training runs learn faster in its context than they did, and faster still if they
were kickstarted?

    python experiments/ad-of-runs/run.py                  # goals of Dark Room
    python experiments/ad-of-runs/run.py --family rooms   # rooms of BabyAI that differ in layout and goal

Each run of `kickstart train --record-histories` learns one task with the small network. A model learns from their histories, of
Dark Room two: one from runs from scratch, one from runs with the AD model that the package ships as their teacher. It then does
tasks that no run and no teacher had. Everything goes to runs/ad-of-runs, and what is there is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from kickstarting.trust import trust

HERE, RUNS = Path(__file__).parent, Path("runs/ad-of-runs")
SCRATCH: Mapping[str, Any] = {}
KICKSTARTED: Mapping[str, Any] = {"teachers": (f"ad:{SHIPPED}",), "accept_weak_teachers": True}
ROLLOUTS = 4


@dataclass(frozen=True)
class Task:
    name: str
    written: str
    """The lines of a suite's file that make it."""
    optimum: float


@dataclass(frozen=True)
class Family:
    title: str
    train: Callable[[int], Sequence[Task]]
    test: Callable[[], Sequence[Task]]
    arms: Mapping[str, Mapping[str, Any]]
    config: Mapping[str, Any]
    training: TrainConfig
    episodes: int
    """In context."""


def goals(cells: np.ndarray) -> list[Task]:
    how = 'env_id = "kickstarting.ad.tasks:DarkRoom-v0"\nbackend = "gymnasium-vector"\noptions = {{tasks = [[{0}, {1}]]}}'
    best = find_family("dark-room").optimum(cells)
    return [Task(f"goal-{x}-{y}", how.format(x, y), float(most)) for (x, y), most in zip(cells.tolist(), best, strict=True)]


def layouts(numbers: Sequence[int]) -> list[Task]:
    from rooms import Room

    how = 'env_id = "rooms:Room-v0"\nbackend = "gymnasium"\noptions = {{layout = {0}}}'
    return [Task(f"layout-{n}", how.format(n), Room(n).optimum()) for n in numbers]


SPLIT = find_family("dark-room").split(int(load_model(SHIPPED).facts["split_seed"]))
FAMILIES = {
    "dark-room": Family(
        "Dark Room",
        train=lambda n: goals(SPLIT.train[:n]),
        test=lambda: goals(SPLIT.test),
        arms={"from scratch": SCRATCH, "kickstarted": KICKSTARTED},
        config={"unroll_length": 20, "total_frames": 48_000},
        training=TrainConfig(updates=3000, threads=1),
        episodes=200,
    ),
    "rooms": Family(
        "Rooms of BabyAI",
        train=lambda n: layouts(range(n)),
        test=lambda: layouts(range(1000, 1016)),
        arms={"from scratch": SCRATCH},
        config={"total_frames": 16_000, "trust_modules": ("rooms",)},
        training=TrainConfig(context=195, batch=32, updates=2000, threads=1),  # three of the longest episodes
        episodes=50,
    ),
}


def suite(path: Path, tasks: Sequence[Task]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(f'[[task]]\nname = "{task.name}"\n{task.written}' for task in tasks) + "\n")
    return str(path)


def learn(family: Family, tasks: Sequence[Task], arm: str, where: Path, jobs: int) -> tuple[Path, ...]:
    """A run for each task; their directories."""
    runs = {}
    for seed, task in enumerate(tasks):
        how = {"network": "small", "record_histories": True, **family.config, **family.arms[arm]}
        name = suite(where / "suites" / f"{task.name}.toml", [task])
        runs[where / arm.replace(" ", "-") / task.name] = Config.of(name, name=arm, seed=seed, **how)
    run_all(runs, jobs=jobs)
    return tuple(runs)


def distil(family: Family, tasks: Sequence[Task], arm: str, where: Path, jobs: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns of the runs and of the model in its context, [rows, episodes], as shares of the optimum."""
    to = where / "distilled" / arm.replace(" ", "-")
    histories, model, looked = to / "histories", to / "model", to / "test"
    unseen = family.test()
    test = HowEvaluated(suite=suite(where / "test.toml", unseen), episodes=family.episodes, rollouts=ROLLOUTS)
    directories = learn(family, tasks, arm, where, jobs)
    carry_out(
        [Join(directories, histories), Train(family.training, histories, model), Evaluate(model, test, False, looked)], Console()
    )
    joined, optimum = read(histories), {task.name: task.optimum for task in tasks}
    returns = next(iter(read_shares(looked)[1].values()))
    best = np.repeat([task.optimum for task in unseen], ROLLOUTS)
    whole = curve_of(joined)[:, :-1]  # a run ends within an episode
    return whole / np.array([optimum[str(task)] for task in joined.about.tasks])[:, None], returns / best[:, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=FAMILIES, default="dark-room")
    parser.add_argument("--tasks", type=int, default=30, help="runs of each arm")
    parser.add_argument("--jobs", type=int, default=0)
    arguments = parser.parse_args()
    sys.path.insert(0, str(HERE.resolve()))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])])
    trust(["rooms"])
    use_machine(1)
    family, where = FAMILIES[arguments.family], RUNS / arguments.family
    tasks = family.train(arguments.tasks)
    print("| | 1 | 5 | 10 | 20 | 50 | 100 | last 10 | failed |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    found = {}
    for arm in family.arms:
        runs, model = distil(family, tasks, arm, where, arguments.jobs)
        for name, curve in ((f"runs {arm}", runs), (f"model of runs {arm}", model)):
            at = " | ".join(f"{curve[:, n - 1].mean():.3f}" if n <= curve.shape[1] else "" for n in (1, 5, 10, 20, 50, 100))
            last = curve[:, -10:].mean(1)
            print(f"| {name} | {at} | {last.mean():.3f} | {(last < 0.5).mean():.0%} |", flush=True)
            found[name] = curve
    file = HERE / ("curves" if arguments.family == "dark-room" else arguments.family)
    title = f"{family.title}: runs, and models of runs on tasks that no run had"
    write_figure(curves_figure(found, title), file.with_suffix(".png"))
    numbers = {name: curve.mean(0).round(4).tolist() for name, curve in found.items()}
    file.with_suffix(".json").write_text(json.dumps(numbers) + "\n")


if __name__ == "__main__":
    main()
