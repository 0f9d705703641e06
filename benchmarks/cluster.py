"""Actors on a cluster of this machine: how their number scales where environments are slow, and what the way over Ray costs.

    python benchmarks/cluster.py --out benchmarks/results/cluster.json   # all of it; about seven minutes
    python benchmarks/cluster.py --actors 1 2 4 --seconds 5              # the first two in short
    python benchmarks/cluster.py --overhead --rounds 3                   # the third alone

Service times: of each part of the runs that follow, alone (`services.py`); `simulate.py` holds what they predict against these
runs. Scaling: environments that take 1 ms a step, eight to an actor, so that an actor needs little of a core; frames per second of
the learner with N actors over N times those with one. Overhead: eight MiniGrid tasks of eight columns, T = 32, the same work
without a cluster and with one actor on it, in lockstep and free, in turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

import services
from kickstarting import Config, train

NEVER = 10**15


class Pace(NamedTuple):
    frames_per_second: float
    core_seconds: np.ndarray
    """For each frame, of the learner's process, of the actors, and of Ray's own processes, [3]."""


def pace(config: Config, seconds: float, first: int = 4) -> Pace:
    """Of a run, without its first updates."""
    with closing(train(config)) as updates:
        start = [next(updates) for _ in range(first)][-1].frames
        began, used = time.perf_counter(), services.core_seconds()
        for update in updates:
            if (spent := time.perf_counter() - began) > seconds:
                frames = update.frames - start
                return Pace(frames / spent, (services.core_seconds() - used) / frames)
    raise AssertionError("the run has no end")


def slow(actors: int, columns: int = 8) -> Config:
    """So many actors whose environments take 1 ms a step."""
    return Config.of(
        "gymnasium:slow_environments:Slow-v0",
        network="small",
        network_options=("lstm=32", "hidden=32"),
        envs_per_task=actors * columns,
        unroll_length=32,
        actors=actors,
        actor_cpus=min(1.0, 2.0 / actors),
        torch_threads=1,
        total_frames=NEVER,
        checkpoint_every=str(NEVER),
        precision="float32",
    )


def scaling(actors: list[int], seconds: float) -> dict[int, float]:
    """Frames per second by number of actors. Prints, too, what an unroll took of a core, to be compared with the service times."""
    paces = {}
    for n in actors:
        paces[n], used = pace(config := slow(n), seconds)
        linear = paces[n] / n / (paces[actors[0]] / actors[0])
        learner, acting, ray = 1000 * used * config.learning.unroll_length * config.envs_each
        cores = f"{acting:.1f} ms of a core for each unroll, {learner:.1f} of the learner's process, {ray:.1f} of Ray's"
        print(f"{n:3d} actors: {paces[n]:9,.0f} frames/s, {linear:.0%} of linear; {cores}", flush=True)
    return paces


def overhead(rounds: int, seconds: float) -> dict[str, float]:
    """Median frames per second by the way that the work is done."""
    config = Config.of(
        "grid-8",
        envs_per_task=8,
        unroll_length=32,
        torch_threads=1,
        total_frames=NEVER,
        checkpoint_every=str(NEVER),
        precision="float32",
    )
    ways = {"here": config, "lockstep": config.changed(actors=1, lockstep=True), "free": config.changed(actors=1)}
    paces: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            paces[name].append(pace(way, seconds).frames_per_second)
            print(f"{name:9s} {paces[name][-1]:9,.0f} frames/s", flush=True)
    medians = {name: statistics.median(found) for name, found in paces.items()}
    for name in ("lockstep", "free"):
        print(f"{name}: {medians['here'] / medians[name] - 1:+.1%} time at equal work")
    return medians


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--overhead", action="store_true", help="leave the scaling out")
    parser.add_argument("--out", type=Path, help="a JSON file for the numbers")
    arguments = parser.parse_args()
    found = {}
    if not arguments.overhead:
        service = services.measure(slow, arguments.seconds)
        print(service, flush=True)
        found["service"] = asdict(service)
        found["scaling"] = scaling(arguments.actors, arguments.seconds)
    if arguments.overhead or arguments.actors == parser.get_default("actors"):
        found["overhead"] = overhead(arguments.rounds, arguments.seconds)
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
