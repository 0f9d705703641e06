"""How fast one process acts and learns, where the time goes, and what a teacher's labels cost.

    make bench                                             # every row, about seven minutes; writes results/throughput.md
    python benchmarks/throughput.py --only W1 --seconds 20  # the rows whose name starts with W1

Every row is a process of its own that alternates blocks of training with blocks of its ceiling (the same network, precision
and environments in series, nothing else), because machines are noisy: compare within a row.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kickstarting.actor import Actor
from kickstarting.algo.distributions import Distribution
from kickstarting.assembly import build, make_env
from kickstarting.config import Config
from kickstarting.learner import Hyperparameters
from kickstarting.machine import mixed_precision, run_network
from kickstarting.networks.convolution import GridConv
from kickstarting.networks.lstm import LSTM
from kickstarting.networks.recurrent import Recurrent
from kickstarting.overlapped import OverlappedActor
from kickstarting.runs.metrics import Clock
from kickstarting.teachers import Assignment, NetworkTeacher, Teachers
from kickstarting.types import Inputs, Trajectory

HERE = Path(__file__).parent
DOOR_KEY, BREAKOUT = "MiniGrid-DoorKey-5x5-v0", "Breakout-v5"
W1 = f"{Path(__file__).stem}:DoorKeyNetwork"


class Row(NamedTuple):
    """A workload and how it is run."""

    name: str
    suite: str
    network: str
    options: tuple[str, ...] = ()
    envs_per_task: int = 64
    unroll_length: int = 32
    precision: str = "float32"
    teachers: str = ""
    """None, `one` of the student's size for all columns, or `experts`: one of the student's size for each task."""
    overlap: bool = False
    device: str = "cpu"
    groups: int = 1


class DoorKeyNetwork(Recurrent):
    """W1's network: raw 7x7x3 symbols, two valid convolutions, FC 256, LSTM 256 (or none); 607k parameters."""

    def __init__(self, observation_space: gymnasium.spaces.Dict, distribution: Distribution, lstm: int = 256) -> None:
        super().__init__()
        self.first = GridConv(3, 16)
        self.second = GridConv(16, 32)
        self.hidden = nn.Linear(288, 256)
        self.core = LSTM(256, lstm) if lstm else None
        self.policy = nn.Linear(lstm or 256, distribution.size)
        self.value = nn.Linear(lstm or 256, 1)

    def features(self, inputs: Inputs) -> Tensor:
        image: Tensor = inputs.observations["image"]
        x = self.second(self.first(image.flatten(0, 1).float() / 10.0))
        return F.relu(self.hidden(x.flatten(1))).view(*image.shape[:2], -1)


def rows(device: str) -> list[Row]:
    """The table. On a GPU: many more environments, acting overlapped with learning."""
    if device == "cuda":
        fast = {"precision": "bfloat16", "overlap": True, "device": "cuda", "groups": 2}
        doors = [Row(f"W1, {n} environments", DOOR_KEY, W1, (), n, 32, **fast) for n in (1024, 4096, 16384)]
        pixels = [Row(f"W3, {n} environments", BREAKOUT, "large", (), n, 20, **fast) for n in (128, 512)]
        return [row._replace(teachers=teachers) for row in doors + pixels for teachers in ("", "one")]
    workloads = [
        Row("W1", DOOR_KEY, W1),
        Row("W1 without LSTM", DOOR_KEY, W1, ("lstm=0",)),
        Row("W2", BREAKOUT, "small", (), 32, 20),
        Row("W3", BREAKOUT, "large", (), 32, 20),
    ]
    table = [
        row._replace(precision=precision, teachers=teachers)
        for row in workloads
        for precision in ("float32", "bfloat16")
        for teachers in ("", "one")
    ]
    overlapped = [row._replace(precision="bfloat16", overlap=True) for row in workloads]
    tasks = [
        Row("1 task x 240", str(HERE / "one_task.toml"), W1, (), 240, 20, "bfloat16"),
        Row("30 tasks x 8", str(HERE / "thirty_tasks.toml"), W1, (), 8, 20, "bfloat16"),
    ]
    experts = [tasks[1]._replace(teachers=teachers) for teachers in ("one", "experts")]
    return table + overlapped + tasks + [row._replace(overlap=True) for row in tasks] + experts


def measure(row: Row, seconds: float) -> dict[str, float]:
    """Medians over updates: steps/s, seconds of each phase, the ceiling and the environments alone; peak memory."""
    config = Config.of(
        row.suite,
        network=row.network,
        network_options=row.options,
        envs_per_task=row.envs_per_task,
        unroll_length=row.unroll_length,
        precision=row.precision,
        overlap=row.overlap,
        device=row.device,
        env_groups=row.groups,
    )
    suite, _, spec, learner = build(config)
    env = make_env(config, suite, 0)
    actor_class = OverlappedActor if row.overlap else Actor
    actor = actor_class(env, learner.network, config.learning.unroll_length, seed=0, device=row.device)
    groups = {"": [], "one": [np.arange(env.num_envs)]}
    groups["experts"] = [np.flatnonzero(env.task_of_column == task) for task in np.unique(env.task_of_column)]
    assignments = []
    for columns in groups[row.teachers]:
        frozen = spec.build(env.distribution).requires_grad_(False).to(row.device)
        teacher = NetworkTeacher(frozen, env.observation_space, env.action_space, "same size")
        assignments.append(Assignment(teacher, torch.from_numpy(columns)))
    teachers = Teachers(assignments, env.num_envs, env.distribution, env.action_space)
    weights = [np.ones(env.num_envs)] * len(assignments)
    hyperparameters = Hyperparameters(learning_rate=1e-4, entropy_cost=0.01)
    updates: list[dict[str, float]] = []
    ceilings: list[float] = []
    trajectory = None
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline or len(updates) < 10:
        for _ in range(5):
            clock, began = Clock(), time.perf_counter()
            trajectory = actor.unroll()
            trajectory = clock("label", teachers.label, trajectory, weights)
            losses = clock("learn", learner.step, trajectory, hyperparameters)
            losses["loss"].item()
            phases = {name.removeprefix("seconds/"): value or 0.0 for name, value in actor.metrics().items()}
            updates.append({"idle": 0.0, **phases, **clock.seconds, "total": time.perf_counter() - began})
        assert trajectory is not None
        if not row.overlap:  # its actor never rests
            ceilings.append(network_seconds(learner, trajectory))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {name: statistics.median(u[name] for u in updates[5:]) for name in updates[0]}
    actor.close()
    samples = config.learning.unroll_length * env.num_envs
    alone = environment_seconds(env, config.learning.unroll_length)
    result |= {"steps/s": samples / result["total"], "memory": memory, "environments alone": samples / alone}
    if ceilings:
        result["ceiling"] = samples / (statistics.median(ceilings) + alone)
    env.close()
    return result


def network_seconds(learner, trajectory: Trajectory) -> float:
    """The network alone: T forward steps of [1, B], one forward and backward pass of [T + 1, B]."""
    began = time.perf_counter()
    state = trajectory.initial_state
    with torch.no_grad(), mixed_precision(learner.device):
        for t in range(trajectory.rewards.shape[0]):
            _, state = run_network(learner.network, trajectory.inputs[t : t + 1], state)
    output, _ = run_network(learner.network, trajectory.inputs, trajectory.initial_state)
    (output.logits.sum() + output.values.sum()).backward()
    return time.perf_counter() - began


def environment_seconds(env, steps: int) -> float:
    """The environments alone, random actions: seconds of `steps` steps."""
    rng = np.random.default_rng(0)
    times = []
    for _ in range(5):
        actions = rng.integers(0, env.action_space.n, (steps, env.num_envs))
        began = time.perf_counter()
        for action in actions:
            env.step(action)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


HEADER = (
    "| workload | precision | teacher | overlap | steps/s | act | environment | label | learn | idle | ceiling | of ceiling "
    "| environments alone | peak memory |\n|" + "---|" * 14
)


def line(row: Row, r: dict[str, float]) -> str:
    """One row as Markdown. Shares are of the update's wall time; with overlap those of the actor run beside the learner's."""
    shares = " | ".join(f"{r[name] / r['total']:.0%}" for name in ("act", "environment", "label", "learn", "idle"))
    ceiling = f"{r['ceiling']:,.0f} | {r['steps/s'] / r['ceiling']:.0%}" if "ceiling" in r else "- | -"
    return (
        f"| {row.name} | {row.precision} | {row.teachers or '-'} | {'yes' if row.overlap else '-'} "
        f"| {r['steps/s']:,.0f} | {shares} | {ceiling} | {r['environments alone']:,.0f} | {r['memory']:,.0f} MiB |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each row")
    parser.add_argument("--only", default="", help="rows whose name starts with this")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "throughput.md")
    parser.add_argument("--row", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    table = rows(arguments.device)
    if arguments.row is not None:
        print(json.dumps(measure(table[arguments.row], arguments.seconds)))
        return
    lines = [HEADER]
    print(HEADER, flush=True)
    for i, row in enumerate(table):
        if row.name.startswith(arguments.only):
            command = [sys.executable, __file__, "--row", str(i), "--seconds", str(arguments.seconds), "--device", row.device]
            done = subprocess.run(command, cwd=HERE, stdout=subprocess.PIPE, text=True, check=True)
            lines.append(line(row, json.loads(done.stdout.splitlines()[-1])))
            print(lines[-1], flush=True)
    lines += ["", f"torch {torch.__version__}, {os.cpu_count()} cores, {_processor()}. {arguments.seconds:g} s for each row."]
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text("\n".join(lines) + "\n")


def _processor() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        if cpuinfo.exists()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
