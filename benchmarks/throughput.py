"""W1: how fast one process acts and learns, where the time goes, and what a teacher's labels cost.

    make bench        # writes benchmarks/README.md's table to benchmarks/results/throughput.md

The workload is the one that other trainers were measured on: MiniGrid-DoorKey-5x5, Conv 3->16 3x3, Conv 16->32 3x3, FC 256,
LSTM 256 (607k parameters), 64 environments, T = 32, one update per sample, float32. Each row is the median of the
repetitions; the ceiling and the environments alone are measured in the same run, because machines are noisy.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import time
from pathlib import Path

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kickstarting.actor import Actor
from kickstarting.algo.distributions import Distribution
from kickstarting.config import Config
from kickstarting.learner import Hyperparameters
from kickstarting.metrics import Clock
from kickstarting.networks.lstm import LSTM
from kickstarting.teachers import Policy, Teacher, Teachers
from kickstarting.train import build
from kickstarting.types import Inputs, Output, State

HERE = Path(__file__).parent
UPDATES = 8


class DoorKeyNetwork(nn.Module):
    """The benchmark's network: raw 7x7x3 symbols, two valid convolutions, FC 256, LSTM 256 (or none)."""

    def __init__(self, observation_space: gymnasium.spaces.Dict, distribution: Distribution, lstm: int = 256) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3)
        self.second = nn.Conv2d(16, 32, 3)
        self.hidden = nn.Linear(288, 256)
        self.core = LSTM(256, lstm) if lstm else None
        self.policy = nn.Linear(lstm or 256, distribution.size)
        self.value = nn.Linear(lstm or 256, 1)

    def initial_state(self, batch: int) -> State:
        return self.core.initial_state(batch) if self.core else ()

    def forward(self, inputs: Inputs, state: State) -> tuple[Output, State]:
        image: Tensor = inputs.observations["image"]
        x = image.flatten(0, 1).permute(0, 3, 1, 2).float() / 10.0
        x = F.relu(self.second(F.relu(self.first(x))))
        x = F.relu(self.hidden(x.flatten(1))).view(*image.shape[:2], -1)
        if self.core:
            x, state = self.core(x, state, inputs.is_first)
        return Output(self.policy(x), self.value(x)[..., 0]), state


def measure(lstm: int, teacher: bool, seconds: float) -> dict[str, float]:
    """Median steps/s and seconds of each phase per update."""
    config = Config(
        "MiniGrid-DoorKey-5x5-v0",
        network=f"{__name__}:DoorKeyNetwork",
        network_options=(f"lstm={lstm}",),
        envs_per_task=64,
        unroll_length=32,
    )
    _, env, spec, learner = build(config)
    actor = Actor(env, learner.network, config.unroll_length, seed=0)
    columns = np.arange(env.num_envs)
    frozen = spec.build(env.distribution).requires_grad_(False)
    policy = Policy("same size", frozen, spec, env.distribution, {})
    teachers = Teachers([Teacher(policy, columns, env.num_envs)] if teacher else [], env.num_envs)
    weights = [np.ones(env.num_envs)] * len(teachers.teachers)
    hyperparameters = Hyperparameters(1e-4, 0.01)
    phases: list[dict[str, float]] = []
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline or len(phases) < UPDATES:
        clock = Clock()
        trajectory = clock("act", actor.unroll)
        clock.move("act", "environment", actor.drain_environment_seconds())
        trajectory = clock("label", teachers.label, trajectory, weights)
        clock("learn", learner.step, trajectory, hyperparameters)
        phases.append(clock.seconds)
    phases = phases[2:]
    samples = config.unroll_length * env.num_envs
    result = {name: statistics.median(p[name] for p in phases) for name in phases[0]}
    result["steps/s"] = samples / statistics.median(sum(p.values()) for p in phases)
    result["ceiling"] = ceiling(learner, trajectory, samples, seconds / 3)
    env.close()
    return result


def ceiling(learner, trajectory, samples: int, seconds: float) -> float:
    """Steps/s of the network alone: T forward steps of [1, B] and one forward and backward of [T + 1, B], nothing else."""
    times = []
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline or len(times) < 3:
        started = time.perf_counter()
        state = trajectory.initial_state
        with torch.no_grad():
            for t in range(trajectory.rewards.shape[0]):
                _, state = learner.network(trajectory.inputs[t : t + 1], state)
        output, _ = learner.network(trajectory.inputs, trajectory.initial_state)
        (output.logits.sum() + output.values.sum()).backward()
        times.append(time.perf_counter() - started)
    return samples / statistics.median(times)


def environment_only(seconds: float) -> float:
    """Steps/s of the 64 environments alone, random actions."""
    _, env, _, _ = build(Config("MiniGrid-DoorKey-5x5-v0", network="small", envs_per_task=64))
    env.reset()
    actions = np.random.default_rng(0).integers(0, 7, (1000, 64))
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        env.step(actions[steps % 1000])
        steps += 1
    env.close()
    return steps * 64 / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each row")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    rows = [
        "| workload | steps/s | act | environment | label | learn | network-only ceiling | of ceiling |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for lstm, teacher in ((256, False), (256, True), (0, False), (0, True)):
        r = measure(lstm, teacher, arguments.seconds)
        total = sum(r[name] for name in ("act", "environment", "label", "learn"))
        shares = " | ".join(f"{r[name] / total:.0%}" for name in ("act", "environment", "label", "learn"))
        name = f"W1{'' if lstm else ' without LSTM'}{', teacher of the same size' if teacher else ''}"
        rows.append(f"| {name} | {r['steps/s']:,.0f} | {shares} | {r['ceiling']:,.0f} | {r['steps/s'] / r['ceiling']:.0%} |")
        print(rows[-1], flush=True)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows.append("")
    rows.append(
        f"Environments alone: {environment_only(arguments.seconds / 3):,.0f} steps/s. Peak memory {memory:.0f} MiB. "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores, {_processor()}, float32."
    )
    text = "\n".join(rows) + "\n"
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "throughput.md").write_text(text)
    print("\n" + text)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        if cpuinfo.exists()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
