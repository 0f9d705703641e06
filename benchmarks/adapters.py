"""What adapters on pixels cost: milliseconds of a label of an unroll, and times those of the same teacher without adapters.

    python benchmarks/adapters.py

One network (the three convolutions of DQN's, FC 512) reads 84 x 84 x 4 bytes and labels 32 steps of 16 columns, behind each
pipeline in turns, the median and the least of all rounds: machines are noisy. Each pipeline gets what a student's environment would
give it, so the bytes that go in differ.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from kickstarting.machine import use_machine
from kickstarting.networks.recurrent import Recurrent
from kickstarting.spaces import Pixels
from kickstarting.teachers import NetworkTeacher, adapt
from kickstarting.teachers.adapters import parse_adapters
from kickstarting.types import Inputs

T, B, ACTIONS = 32, 16, spaces.Discrete(6)
PIPELINES: dict[str, tuple[int, ...]] = {
    "identity": (84, 84, 4),
    "rename(observation=frames)": (84, 84, 4),
    "stack(4)": (84, 84, 1),
    "crop(84,84)": (96, 96, 4),
    "resize(84,84)+stack(4)": (96, 96, 1),
    "grey+stack(4)": (84, 84, 3),
    "grey+resize(84,84)+stack(4)": (96, 96, 3),
    "crop(160,160)+grey+resize(84,84)+stack(4)": (210, 160, 3),
}
"""With the image that the student's environment gives."""


class Network(Recurrent):
    """Without a memory."""

    def __init__(self) -> None:
        super().__init__()
        convolutions = [nn.Conv2d(4, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(), nn.Conv2d(64, 64, 3, 1), nn.ReLU()]
        self.body = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(3136, 512), nn.ReLU())
        self.core = None
        self.policy, self.value = nn.Linear(512, int(ACTIONS.n)), nn.Linear(512, 1)

    def features(self, inputs: Inputs) -> Tensor:
        image = inputs.observations["observation"]
        x = image.flatten(0, 1).permute(0, 3, 1, 2).float() / 255
        return self.body(x).unflatten(0, image.shape[:2])


def pipelines() -> dict[str, tuple[Any, Inputs]]:
    """Each teacher behind its adapters, and an unroll for it."""
    torch.manual_seed(0)
    space = spaces.Dict(observation=Pixels(0, 255, (84, 84, 4), np.uint8))
    native = NetworkTeacher(Network().requires_grad_(False).eval(), space, ACTIONS, "native")
    is_first, found = torch.rand(T, B) < 0.02, {}
    for text, shape in PIPELINES.items():
        name = "frames" if text.startswith("rename") else "observation"
        given = spaces.Dict({name: Pixels(0, 255, shape, np.uint8)})
        inputs = Inputs({name: torch.randint(0, 256, (T, B, *shape), dtype=torch.uint8)}, *_before(), is_first)
        found[text] = adapt(native, parse_adapters(text), given, ACTIONS), inputs
    return found


def _before() -> tuple[Tensor, Tensor]:
    return torch.full((T, B), -1), torch.zeros(T, B)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    use_machine(arguments.threads)
    times: dict[str, list[float]] = {}
    found = pipelines()
    for _ in range(arguments.rounds):
        for text, (teacher, inputs) in found.items():
            state = teacher.initial_state(B)
            began = time.perf_counter()
            teacher.label(inputs, state)
            times.setdefault(text, []).append(time.perf_counter() - began)
    median, least = (function(times["identity"]) for function in (statistics.median, min))
    print("| adapters | image | ms, median | times native | ms, least | times native |\n|---|---|---:|---:|---:|---:|")
    for text, seconds in times.items():
        image, now, best = " x ".join(map(str, PIPELINES[text])), statistics.median(seconds), min(seconds)
        print(f"| `{text}` | {image} | {1e3 * now:.1f} | {now / median:.2f} | {1e3 * best:.1f} | {best / least:.2f} |")
    print(f"\n{T} steps of {B} columns, {arguments.threads} threads, torch {torch.__version__}")


if __name__ == "__main__":
    main()
