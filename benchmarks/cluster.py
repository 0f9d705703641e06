"""Actors on a cluster of this machine: how their number scales where environments are slow, and what the way over Ray costs.

    python benchmarks/cluster.py                              # both; about six minutes
    python benchmarks/cluster.py --actors 1 2 4 --seconds 5   # the first in short
    python benchmarks/cluster.py --overhead --rounds 3        # the second alone

Scaling: environments that take 1 ms a step, eight to an actor, so that an actor needs little of a core; frames per second of the
learner with N actors over N times those with one. Overhead: eight MiniGrid tasks of eight columns, T = 32, the same work without
a cluster and with one actor on it, in lockstep and free, in turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from contextlib import closing
from pathlib import Path

from kickstarting import Config, train

HERE = Path(__file__).parent
NEVER = 10**15


def pace(config: Config, seconds: float, first: int = 4) -> float:
    """Frames per second of a run, without its first updates."""
    with closing(train(config)) as updates:
        start = [next(updates) for _ in range(first)][-1].frames
        began = time.perf_counter()
        for update in updates:
            if (spent := time.perf_counter() - began) > seconds:
                return (update.frames - start) / spent
    raise AssertionError("the run has no end")


def scaling(actors: list[int], seconds: float, columns: int = 8) -> dict[int, float]:
    """Frames per second by number of actors."""
    sys.path.insert(0, str(HERE))
    paces = {}
    for n in actors:
        config = Config.of(
            "gymnasium:slow_environments:Slow-v0",
            network="small",
            network_options=("lstm=32", "hidden=32"),
            envs_per_task=n * columns,
            unroll_length=32,
            actors=n,
            actor_cpus=min(1.0, 2.0 / n),
            torch_threads=1,
            total_frames=NEVER,
            checkpoint_every=str(NEVER),
            precision="float32",
        )
        paces[n] = pace(config, seconds)
        print(
            f"{n:3d} actors: {paces[n]:9,.0f} frames/s, {paces[n] / n / (paces[actors[0]] / actors[0]):.0%} of linear", flush=True
        )
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
            paces[name].append(pace(way, seconds))
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
        found["scaling"] = scaling(arguments.actors, arguments.seconds)
    if arguments.overhead or arguments.actors == parser.get_default("actors"):
        found["overhead"] = overhead(arguments.rounds, arguments.seconds)
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
