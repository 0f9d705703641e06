"""Workload W1, for the scripts beside this file: the environments, the network below the LSTM, the stopwatch, the last line.

It imports nothing of `kickstarting`, because each script runs in its peer's own virtual environment. The network is the one of
`DoorKeyNetwork` in benchmarks/throughput.py; the LSTM and the two linear heads are the peer's own where it has them.

The scripts' default numbers of threads and processes are plausible, not measured to be the best: which are depends on the
machine, so run.py tries several and keeps the fastest.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from importlib.metadata import version
from typing import Any

import envpool
import gymnasium
import numpy as np
from torch import Tensor, nn

TASK, ENVS, UNROLL = "MiniGrid-DoorKey-5x5-v0", 64, 32
BATCH = ENVS * UNROLL
ACTIONS = 7
# The true range of MiniGrid's symbols. Not 0 to 255, or trainers take it for a picture, transpose it and divide it by 255.
IMAGE = gymnasium.spaces.Box(0, 10, (7, 7, 3), np.uint8)
WARMUP_SECONDS = 3.0  # after the first update, before steps are counted; at least WARMUP_UPDATES more
WARMUP_UPDATES = 3


class Torso(nn.Module):
    """[B, 7, 7, 3] symbols of any type -> [B, 256]: two valid convolutions and a fully connected layer, each with ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 256), nn.ReLU()
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image.permute(0, 3, 1, 2).float() / 10.0)


def make_pool(num_envs: int, threads: int, seed: int = 0) -> Any:
    """EnvPool's own environments. They reset in the NEXT_STEP way: the step that ends an episode returns its last
    observation, and the next step ignores its action and returns the first observation of a new one. A trainer that does not
    know this learns from one meaningless transition an episode; for its speed that needs no correction."""
    return envpool.make_gymnasium(TASK, num_envs=num_envs, num_threads=min(threads, num_envs), seed=seed)


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

    def report(self, peer: str, package: str, lstm: int, **settings: Any) -> None:
        """The JSON object that run.py reads, as the last line of the output."""
        if self._first is None or self._last is None:
            raise SystemExit("the run ended before anything was measured")
        seconds, steps = self._last[0] - self._first[0], self._last[1] - self._first[1]
        row = {
            "peer": peer,
            "version": version(package),
            "lstm": lstm,
            "steps_per_second": round(steps / seconds, 1),
            "seconds_measured": round(seconds, 2),
            "settings": settings,
        }
        print(json.dumps(row), flush=True)


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options all scripts have."""
    result = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--seconds", type=float, default=15.0, help="of measurement, after the warm-up")
    result.add_argument("--lstm", type=int, default=256, choices=(0, 256), help="its size; 0: none")
    result.add_argument("--env-threads", type=int, default=os.cpu_count() or 1, help="EnvPool's")
    return result
