"""Small programs as exporters write them, made by hand, and the policy that they are."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from kickstarting.types import Inputs

OBSERVED, HIDDEN, ACTIONS = 4, 5, 3
LAST_IR = 10
"""The newest format that the oldest onnxruntime reads."""


EXAMPLES = torch.zeros(2, OBSERVED), torch.zeros(2, HIDDEN)
"""What a Policy reads, of two environments."""


class Policy(nn.Module):
    """h' = tanh(W x + U h + b); logits and value are linear in it."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.read, self.recur = nn.Linear(OBSERVED, HIDDEN), nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.policy, self.value = nn.Linear(HIDDEN, ACTIONS), nn.Linear(HIDDEN, 1)

    def forward(self, obs: Tensor, state_0: Tensor) -> dict[str, Tensor]:
        h = torch.tanh(self.read(obs) + self.recur(state_0))
        return {"logits": self.policy(h), "value": self.value(h), "next_state_0": h}

    @torch.no_grad()
    def unroll(self, inputs: Inputs, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """logits [T, B, A], values [T, B] and the last state, reset before every input that has is_first."""
        steps = []
        for x, is_first in zip(inputs.observations["observation"], inputs.is_first, strict=True):
            steps.append(self(x, h * ~is_first[:, None]))
            h = steps[-1]["next_state_0"]
        return torch.stack([s["logits"] for s in steps]), torch.stack([s["value"][:, 0] for s in steps]), h


class Flat(nn.Module):
    """The same without a memory."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, obs: Tensor) -> dict[str, Tensor]:
        found = self.policy(obs, torch.zeros(obs.shape[0], HIDDEN))
        return {"logits": found["logits"], "value": found["value"]}


def unroll(T: int = 6, B: int = 3, seed: int = 1, name: str = "observation") -> Inputs:
    """Random observations, with ends of episodes inside."""
    generator = torch.Generator().manual_seed(seed)
    is_first = torch.rand(T, B, generator=generator) < 0.3
    is_first[T // 2, 0] = True
    x = torch.randn(T, B, OBSERVED, generator=generator)
    return Inputs({name: x}, torch.full((T, B), -1), torch.zeros(T, B), is_first)


def save_onnx(
    path: Path,
    policy: Policy,
    *,
    batch: int | str = "batch",
    recurrent: bool = True,
    names: Mapping[str, str] | None = None,
    layers: bool = False,
    metadata: Mapping[str, str] | None = None,
    outputs: Sequence[str] = ("logits", "value", "next_state_0"),
) -> Path:
    """The policy as a graph. names: others for inputs and outputs. layers: its state is [1, B, H], as nn.LSTM has it."""
    named = {name: (names or {}).get(name, name) for name in ("obs", "state_0", "logits", "value", "next_state_0")}
    weights = {name: numpy_helper.from_array(x.detach().numpy(), name) for name, x in policy.state_dict().items()}
    node = helper.make_node
    nodes = [node("Gemm", [named["obs"], "read.weight", "read.bias"], ["read"], transB=1)]
    h = "read"
    if recurrent:
        state = named["state_0"]
        axes = numpy_helper.from_array(np.array([0]), "axes")
        weights |= {"axes": axes} if layers else {}
        nodes += [node("Squeeze", [state, "axes"], ["flat_state"])] if layers else []
        nodes.append(node("Gemm", ["flat_state" if layers else state, "recur.weight", "read"], ["sum"], transB=1))
        h = "sum"
    nodes.append(node("Tanh", [h], ["h"]))
    nodes.append(node("Gemm", ["h", "policy.weight", "policy.bias"], [named["logits"]], transB=1))
    nodes.append(node("Gemm", ["h", "value.weight", "value.bias"], [named["value"]], transB=1))
    nodes.append(
        node("Unsqueeze", ["h", "axes"], [named["next_state_0"]]) if layers else node("Identity", ["h"], [named["next_state_0"]])
    )
    weights = {name: x for name, x in weights.items() if recurrent or name != "recur.weight"}
    state_shape = [1, batch, HIDDEN] if layers else [batch, HIDDEN]
    shapes: dict[str, list[Any]] = {"logits": [batch, ACTIONS], "value": [batch, 1], "next_state_0": state_shape}
    given = {"obs": [batch, OBSERVED], **({"state_0": state_shape} if recurrent else {})}
    said = [name for name in outputs if recurrent or name != "next_state_0"]
    graph = helper.make_graph(
        [n for n in nodes if recurrent or named["next_state_0"] not in n.output],
        "policy",
        [helper.make_tensor_value_info(named[name], TensorProto.FLOAT, shape) for name, shape in given.items()],
        [helper.make_tensor_value_info(named[name], TensorProto.FLOAT, shapes[name]) for name in said],
        list(weights.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=LAST_IR)
    helper.set_model_props(model, dict(metadata or {}))
    onnx.save(model, path)
    return path


def save_exported(path: Path, module: nn.Module, *examples: Tensor) -> Path:
    """By torch.export, with a batch of any size."""
    batch = torch.export.Dim("batch")
    program = torch.export.export(module, examples, dynamic_shapes=tuple({0: batch} for _ in examples))
    torch.export.save(program, path)
    return path


def save_scripted(path: Path, module: nn.Module) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(module), path)
    return path


def prefer_the_first(observations: Mapping[str, np.ndarray]) -> int:
    """As a script."""
    return 0
