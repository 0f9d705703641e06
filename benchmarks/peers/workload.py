"""The workloads, for the scripts beside this file: the environments, the network below the LSTM, the stopwatch, the last line.

It imports nothing of `kickstarting`, because each script runs in its peer's own virtual environment. The torsos are those of
W1, W2 and W3 in ../README.md; the LSTM and the two linear heads are the peer's own where it has them.

The scripts' default numbers of threads and processes are plausible, not measured to be the best: which are depends on the
machine, so run.py tries several and keeps the fastest.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, NamedTuple

import envpool
import gymnasium
import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

WARMUP_SECONDS = 3.0  # after the first update, before steps are counted; at least WARMUP_UPDATES more
WARMUP_UPDATES = 3


class Grid(nn.Module):
    """[B, 7, 7, 3] symbols of any type -> [B, 256]: two valid convolutions and a fully connected layer, each with ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 256), nn.ReLU()
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image.permute(0, 3, 1, 2).float() / 10.0)


class PixelSmall(nn.Module):
    """[B, 4, 84, 84] bytes -> [B, 256]: IMPALA's shallow torso, two valid convolutions and a fully connected layer."""

    def __init__(self) -> None:
        super().__init__()
        convolutions = (nn.Conv2d(4, 16, 8, 4), nn.ReLU(), nn.Conv2d(16, 32, 4, 2), nn.ReLU())
        self.layers = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(2592, 256), nn.ReLU())

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image.float() / 255.0)


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(channels, channels, 3, padding=1), nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(F.relu(x))))


class PixelLarge(nn.Module):
    """[B, 4, 84, 84] bytes -> [B, 256]: IMPALA's deep torso, fifteen convolutions and a fully connected layer."""

    def __init__(self) -> None:
        super().__init__()
        sections: list[nn.Module] = []
        for before, after in ((4, 16), (16, 32), (32, 32)):
            sections += [nn.Conv2d(before, after, 3, padding=1), nn.MaxPool2d(3, 2, padding=1), Residual(after), Residual(after)]
        self.layers = nn.Sequential(*sections, nn.ReLU(), nn.Flatten(), nn.Linear(3872, 256), nn.ReLU())

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image.float() / 255.0)


class Workload(NamedTuple):
    """Environments and the network that acts in them; torso() makes what turns observations into [B, 256]."""

    name: str
    env_id: str
    envs: int
    """Of each task."""
    unroll: int
    actions: int
    image: gymnasium.spaces.Box
    lstm: int
    """Its size; 0: none."""
    torso: Callable[[], nn.Module]
    tasks: int = 1
    """Pools of the same environment, as a suite of tasks has them."""

    @property
    def columns(self) -> int:
        return self.envs * self.tasks

    @property
    def batch(self) -> int:
        return self.columns * self.unroll


# The true range of MiniGrid's symbols. Not 0 to 255, or trainers take it for a picture, transpose it and divide it by 255.
SYMBOLS = gymnasium.spaces.Box(0, 10, (7, 7, 3), np.uint8)
PIXELS = gymnasium.spaces.Box(0, 255, (4, 84, 84), np.uint8)
DOOR_KEY = Workload("W1", "MiniGrid-DoorKey-5x5-v0", 64, 32, 7, SYMBOLS, 256, Grid)
BREAKOUT = Workload("W2", "Breakout-v5", 32, 20, 4, PIXELS, 256, PixelSmall)
WORKLOADS = {
    workload.name: workload
    for workload in (
        DOOR_KEY,
        DOOR_KEY._replace(name="W1-no-lstm", lstm=0),
        BREAKOUT,
        BREAKOUT._replace(name="W3", torso=PixelLarge),
    )
}


class Pool:
    """EnvPool's own environments, as many pools as tasks, as one vector environment with nothing but images [B, ...].

    They reset in the NEXT_STEP way: the step that ends an episode returns its last observation, and the next step ignores its
    action and returns the first observation of a new one. A trainer that does not know this learns from one meaningless
    transition an episode; for its speed that needs no correction. They stay open until their process ends.
    """

    def __init__(self, workload: Workload, threads: int, envs: int = 0, seed: int = 0) -> None:
        """threads: of each pool. envs: in each, the workload's unless given."""
        envs = envs or workload.envs
        options = {"num_envs": envs, "num_threads": min(threads, envs)}
        self._pools = [envpool.make_gymnasium(workload.env_id, seed=seed + i, **options) for i in range(workload.tasks)]

    def reset(self) -> np.ndarray:
        return _joined([_image(pool.reset()[0]) for pool in self._pools])

    def send(self, actions: Any) -> None:
        """The environments begin to step, in threads of their own."""
        for pool, part in zip(self._pools, np.split(np.asarray(actions, np.int32), len(self._pools)), strict=True):
            pool.send(part)

    def recv(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Observations, rewards, terminated, truncated."""
        steps = [pool.recv()[:4] for pool in self._pools]
        observations, rewards, terminated, truncated = zip(*steps, strict=True)
        return _joined([_image(x) for x in observations]), _joined(rewards), _joined(terminated), _joined(truncated)

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        self.send(actions)
        return self.recv()


def _image(observation: Any) -> np.ndarray:
    return observation["image"] if isinstance(observation, dict) else observation


def _joined(parts: Any) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


class Stopwatch:
    """Counts agent steps from the first update after the warm-up. Call `lap` with the total after every update."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._began: float | None = None
        self._laps = 0
        self._first: tuple[float, int] | None = None
        self._last: tuple[float, int] | None = None

    def lap(self, steps: int) -> bool:
        """Returns whether enough has been measured."""
        now = time.perf_counter()
        self._laps += 1
        if self._began is None:
            self._began = now
        if self._first is None:
            if now - self._began >= WARMUP_SECONDS and self._laps > WARMUP_UPDATES:
                self._first = now, steps
            return False
        self._last = now, steps
        return now - self._first[0] >= self.seconds

    def report(self, peer: str, package: str, workload: Workload, **settings: Any) -> None:
        """The JSON object that run.py reads, as the last line of the output."""
        if self._first is None or self._last is None:
            raise SystemExit("the run ended before anything was measured")
        seconds, steps = self._last[0] - self._first[0], self._last[1] - self._first[1]
        row = {
            "peer": peer,
            "version": version(package),
            "workload": workload.name,
            "steps_per_second": round(int(steps) / seconds, 1),
            "seconds_measured": round(seconds, 2),
            "settings": {"columns": workload.columns, **settings},
        }
        print(json.dumps(row), flush=True)


def parser(description: str | None, *, precisions: tuple[str, ...] = (), threads: bool = True) -> argparse.ArgumentParser:
    """The options that all scripts have, and those that those have that may choose their precision and their threads."""
    result = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--seconds", type=float, default=15.0, help="of measurement, after the warm-up")
    result.add_argument("--workload", default="W1", choices=WORKLOADS)
    result.add_argument("--envs", type=int, default=0, help="of each task; 0: the workload's")
    result.add_argument("--tasks", type=int, default=1, help="pools of the same environment")
    if precisions:
        result.add_argument("--precision", default=precisions[0], choices=precisions)
    if threads:
        result.add_argument("--env-threads", type=int, default=os.cpu_count() or 1, help="of each task's pool")
    return result


def workload_of(arguments: argparse.Namespace) -> Workload:
    workload = WORKLOADS[arguments.workload]
    return workload._replace(envs=arguments.envs or workload.envs, tasks=arguments.tasks)
