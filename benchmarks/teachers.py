"""What a label costs by where its teacher comes from, at equal networks: milliseconds of an unroll, and times the native ones.

    python benchmarks/teachers.py

One network (FC 256, LSTM 256 or none) labels 32 steps of 64 columns: as a network of this package, as a program of torch, as an
ONNX graph, as a Python callable, and the first behind HTTP on this machine. All in turns, the median and the least of all rounds:
machines are noisy. It needs the extra `onnx`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
import warnings
from contextlib import ExitStack
from pathlib import Path

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from kickstarting.machine import use_machine
from kickstarting.networks.lstm import LSTM
from kickstarting.networks.recurrent import Recurrent
from kickstarting.serve import Served, TeacherServer
from kickstarting.spaces import Vector
from kickstarting.teachers import NetworkTeacher, Teacher, load_teacher
from kickstarting.teachers.origins.script import ScriptTeacher
from kickstarting.trust import CODE, trust
from kickstarting.types import Inputs

OBSERVED, WIDTH, ACTIONS = 147, 256, 7
T, B = 32, 64
SPACE = spaces.Dict(observation=Vector(-np.inf, np.inf, (OBSERVED,), np.float32))


class Network(Recurrent):
    """As the package runs it: whole unrolls."""

    def __init__(self, lstm: bool) -> None:
        super().__init__()
        self.hidden = nn.Linear(OBSERVED, WIDTH)
        self.core = LSTM(WIDTH, WIDTH) if lstm else None
        self.policy, self.value = nn.Linear(WIDTH, ACTIONS), nn.Linear(WIDTH, 1)

    def features(self, inputs: Inputs) -> Tensor:
        return torch.relu(self.hidden(inputs.observations["observation"]))


class Step(nn.Module):
    """One step of it, as exporters write it."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, obs: Tensor, state_0: Tensor, state_1: Tensor) -> dict[str, Tensor]:
        network, x = self.network, torch.relu(self.network.hidden(obs))
        assert network.core
        i, f, o, g = (network.core.input(x) + state_0 @ network.core.weight.T).chunk(4, -1)
        c = f.sigmoid() * state_1 + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        return {"logits": network.policy(h), "value": network.value(h), "next_state_0": h, "next_state_1": c}


class Flat(nn.Module):
    """One step without a memory."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, obs: Tensor) -> dict[str, Tensor]:
        x = torch.relu(self.network.hidden(obs))
        return {"logits": self.network.policy(x), "value": self.network.value(x)}


class Script:
    """The same as a Python callable, of rows."""

    action_space = spaces.Discrete(ACTIONS)

    def __init__(self, module: nn.Module, states: int) -> None:
        self.module = module
        if states:
            self.initial_state = lambda batch: (np.zeros((batch, WIDTH), np.float32),) * states

    def __call__(self, observations: dict[str, np.ndarray], state: tuple[np.ndarray, ...] = ()):
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the array is read-only, and is only read
            found = self.module(torch.from_numpy(observations["observation"]), *map(torch.from_numpy, state))
        answer = {name: x.numpy() for name, x in found.items()}
        after = tuple(answer.pop(f"next_state_{i}") for i in range(len(state)))
        return (answer, after) if state else answer


def teachers(lstm: bool, folder: Path, stack: ExitStack) -> dict[str, Teacher]:
    """The same policy by its origins."""
    torch.manual_seed(0)
    network = Network(lstm).requires_grad_(False).eval()
    module = Step(network) if lstm else Flat(network)
    states = 2 if lstm else 0
    examples = (torch.zeros(2, OBSERVED), *(torch.zeros(2, WIDTH) for _ in range(states)))
    names = ["obs", "state_0", "state_1"][: 1 + states]
    given = ["logits", "value", "next_state_0", "next_state_1"][: 2 + states]
    batch = torch.export.Dim("batch")
    torch.export.save(torch.export.export(module, examples, dynamic_shapes=({0: batch},) * len(examples)), folder / "policy.pt2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        axes = {name: {0: "batch"} for name in (*names, *given)}
        torch.onnx.export(
            module,
            examples,
            str(folder / "policy.onnx"),
            input_names=names,
            output_names=given,
            dynamic_axes=axes,
            dynamo=False,
        )
    native = NetworkTeacher(network, SPACE, spaces.Discrete(ACTIONS), "native")
    server = stack.enter_context(TeacherServer(Served(native)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stack.callback(server.shutdown)
    script = ScriptTeacher(Script(module, states), "script", "cpu", {"per": "batch"})
    loaded = {"torch": load_teacher(str(folder / "policy.pt2")), "onnx": load_teacher(str(folder / "policy.onnx"))}
    return {"native": native, **loaded, "script": script, "http": load_teacher(server.url)}


def measure(lstm: bool, rounds: int) -> None:
    """Prints a row for each teacher, having made sure that all say the same."""
    is_first = torch.rand(T, B) < 0.02
    inputs = Inputs({"observation": torch.randn(T, B, OBSERVED)}, torch.full((T, B), -1), torch.zeros(T, B), is_first)
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        found = teachers(lstm, Path(folder), stack)
        expected = found["native"].label(inputs, found["native"].initial_state(B))[0].policy
        for _ in range(rounds):
            for name, teacher in found.items():
                state = teacher.initial_state(B)
                began = time.perf_counter()
                label, _ = teacher.label(inputs, state)
                times.setdefault(name, []).append(time.perf_counter() - began)
                torch.testing.assert_close(label.policy, expected, rtol=1e-4, atol=1e-4)
    native = statistics.median(times["native"])
    for name, seconds in times.items():
        median = statistics.median(seconds)
        said = f"| {name} | {'LSTM' if lstm else 'none'} | {1e3 * median:.1f} | {median / native:.2f} | {1e3 * min(seconds):.1f} |"
        print(f"{said} {min(seconds) / min(times['native']):.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    use_machine(arguments.threads)
    trust((CODE,))
    print("| teacher | memory | ms, median | times native | ms, least | times native |\n|---|---|---:|---:|---:|---:|")
    for lstm in (True, False):
        measure(lstm, arguments.rounds)
    print(f"\n{T} steps of {B} columns, {arguments.threads} threads, torch {torch.__version__}, gymnasium {gymnasium.__version__}")


if __name__ == "__main__":
    main()
