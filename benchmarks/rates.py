"""How fast environments step alone, by random actions and without a network: the ceiling of every trainer.

    python benchmarks/rates.py                      # a task of each suite that is installed here; writes results/rates.*
    python benchmarks/rates.py atari-57:pong 'dmlab-30:rooms_*' --envs 8 --out runs/rates

The median of some rounds, each of so many seconds, in this process; environments with processes of their own use all cores.
"""

from __future__ import annotations

import argparse
import csv
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from gymnasium import spaces

from kickstarting.envs import EnvironmentFault, VectorEnv, make_task_env
from kickstarting.suites import Task, load_suite
from peers.table import machine

RESULTS = Path(__file__).parent / "results" / "rates"
CHOSEN = (
    "grid-8:door_key",
    "atari-57:pong",
    "procgen-16-easy:coinrun",
    "mujoco-5:half_cheetah",
    "dmc-10:walker_walk",
    "doom-8:basic",
    "doom-8:health_gathering",
    "dmlab-30:rooms_watermaze",
)


class Rate(NamedTuple):
    task: Task
    rounds: list[float]
    """Agent steps per second, all environments together."""
    reset: float
    """Seconds until all environments have begun."""


def random_actions(env: VectorEnv, rng: np.random.Generator) -> np.ndarray:
    space = env.action_space
    if isinstance(space, spaces.Discrete):
        return rng.integers(space.n, size=env.num_envs)
    if isinstance(space, spaces.MultiDiscrete):
        return rng.integers(space.nvec, size=(env.num_envs, len(space.nvec)))
    return rng.uniform(-1, 1, (env.num_envs, *(space.shape or ()))).astype(np.float32)


def measure(task: Task, envs: int, threads: int, seconds: float, rounds: int) -> Rate:
    rng, found = np.random.default_rng(0), []
    with closing(make_task_env(task, envs, seed=0, num_threads=threads)) as env:
        actions = [random_actions(env, rng) for _ in range(64)]
        began = time.perf_counter()
        env.reset()
        reset = time.perf_counter() - began
        for _ in range(rounds):
            began, steps = time.perf_counter(), 0
            while (took := time.perf_counter() - began) < seconds:
                env.send(actions[steps % len(actions)])
                env.recv()
                steps += 1
            found.append(steps * envs / took)
    return Rate(task, found, reset)


def table(rates: list[tuple[str, Rate]]) -> list[str]:
    lines = ["| task | steps/s | scatter | frames/s | first reset, s |", "|---|---:|---:|---:|---:|"]
    for name, rate in rates:
        steps = median(rate.rounds)
        scatter = (max(rate.rounds) - min(rate.rounds)) / steps
        lines.append(f"| {name} | {steps:,.0f} | {scatter:.0%} | {steps * rate.task.action_repeat:,.0f} | {rate.reset:.2f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", default=CHOSEN, help="suites, parts of suites or environments")
    parser.add_argument("--envs", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1, help="of EnvPool")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS, help="without an ending")
    arguments = parser.parse_args()
    rates: list[tuple[str, Rate]] = []
    for name in arguments.suites:
        suite = load_suite(name)
        for task in suite.tasks:
            shown = f"{suite.name.partition(':')[0]}:{task.name}"
            try:
                rates.append((shown, measure(task, arguments.envs, arguments.threads, arguments.seconds, arguments.rounds)))
            except (ValueError, EnvironmentFault) as error:
                print(f"{shown} is left out: {error}", flush=True)
                continue
            print(table(rates[-1:])[-1], flush=True)
    rounds = f"median of {arguments.rounds} rounds of {arguments.seconds:g} s"
    how = f"{arguments.envs} environments, threads of EnvPool: {arguments.threads}, {rounds}."
    lines = [*table(rates), "", f"{how} {machine()}"]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.with_suffix(".md").write_text("\n".join(lines) + "\n")
    with arguments.out.with_suffix(".csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("task", "environments", "threads", "round", "steps_per_second", "first_reset_seconds"))
        for name, rate in rates:
            rows.writerows(
                (name, arguments.envs, arguments.threads, i, f"{x:.1f}", f"{rate.reset:.3f}") for i, x in enumerate(rate.rounds, 1)
            )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
