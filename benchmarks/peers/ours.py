"""This package: `train()` for real, one step on each unroll, with the default options as a user gets them.

    python ours.py --seconds 15 [--workload W2] [--precision float32] [--actors 2]

Only what defines the workload is set: suite, network, environments, length of unrolls, one epoch of one minibatch. Threads,
processes and, unless given, precision are what the package chooses on this machine. With --actors so many processes act on a
Ray cluster of this machine, as RLlib's environment runners do. It runs in this project's own environment.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from workload import Stopwatch, Workload, parser, workload_of

from kickstarting.config import Config
from kickstarting.machine import PRECISIONS
from kickstarting.pace import spread
from kickstarting.train import train

BENCHMARKS = Path(__file__).resolve().parent.parent
NETWORKS = {"W1": "throughput:DoorKeyNetwork", "W1-no-lstm": "throughput:DoorKeyNetwork", "W2": "small", "W3": "large"}
SUITES = {1: "", 30: str(BENCHMARKS / "thirty_tasks.toml")}


def config_of(workload: Workload, precision: str, actors: int = 0) -> Config:
    """What `kickstart train` makes of the options that define a workload. actors: on a cluster of this machine, or none."""
    config = Config.of(
        SUITES[workload.tasks] or workload.env_id,
        network=NETWORKS[workload.name],
        network_options=("lstm=0",) if not workload.lstm else (),
        trust_modules=("throughput",),
        envs_per_task=workload.envs,
        unroll_length=workload.unroll,
        epochs=1,
        minibatches=1,
        precision=precision,
        total_frames=10**12,
    )
    return (config.changed(actors=actors, actor_cpus=0.5, torch_threads=1) if actors else spread(config)[0]).on_this_machine()


def main() -> None:
    options = parser(__doc__, precisions=PRECISIONS, threads=False)
    options.add_argument("--actors", type=int, default=0, help="processes that act, over Ray")
    arguments = options.parse_args()
    workload = workload_of(arguments)
    if workload.tasks not in SUITES or (workload.tasks > 1 and workload.env_id != "MiniGrid-DoorKey-5x5-v0"):
        raise SystemExit(f"there is a suite of {' or '.join(map(str, SUITES))} tasks, for W1, not of {workload.tasks}")
    sys.path.insert(0, str(BENCHMARKS))  # where the network of W1 is
    config = config_of(workload, arguments.precision, arguments.actors)
    stopwatch, steps = Stopwatch(arguments.seconds), 0
    for _ in train(config):
        steps += workload.batch
        if stopwatch.lap(steps):
            break
    stopwatch.report("kickstarting", "kickstarting", workload, actors=arguments.actors, **asdict(config.machine))


if __name__ == "__main__":
    main()
