"""A policy as a program of tensors alone, one step of a batch at a time, for other runtimes: torch.export and ONNX.

obs.NAME [B, ...], last_action [B, ...], last_reward [B], is_first [B], state_I [B, ...]
-> logits [B, A], or mean and log_std [B, D]; value [B]; next_state_I [B, ...]
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import torch
from torch import Tensor, nn

from kickstarting.algo.distributions import Distribution
from kickstarting.spaces import make_distribution
from kickstarting.types import Inputs

METADATA = "kickstarting"
"""Under this name a program says its spaces, and the rest of config.json."""


class Step(nn.Module):
    """One step of a network: what it reads by name, what it says by name."""

    def __init__(self, network: Any, action_space: gymnasium.Space) -> None:
        super().__init__()
        self.network, self.continuous = network, isinstance(action_space, gymnasium.spaces.Box)

    def forward(self, obs: dict[str, Tensor], last_action: Tensor, last_reward: Tensor, is_first: Tensor, *state: Tensor) -> dict:
        inputs = Inputs(obs, last_action, last_reward, is_first).map(lambda x: x[None])
        output, state = self.network(inputs, state)
        logits, value = output.logits[0].float(), output.values[0].float()
        policy = dict(zip(("mean", "log_std"), logits.chunk(2, -1), strict=True)) if self.continuous else {"logits": logits}
        return {**policy, "value": value, **{f"next_state_{i}": x for i, x in enumerate(state)}}


def to_torch_export(
    network: Any, observation_space: gymnasium.spaces.Dict, action_space: gymnasium.Space, config: Mapping
) -> bytes:
    """As a .pt2 file. Raises ValueError if torch cannot follow the network."""
    written = io.BytesIO()
    with _readable(network):
        program = _exported(network, observation_space, action_space)
        torch.export.save(program, written, extra_files={METADATA: json.dumps(config)})
    return written.getvalue()


def to_onnx(network: Any, observation_space: gymnasium.spaces.Dict, action_space: gymnasium.Space, config: Mapping) -> bytes:
    """As an .onnx file, weights inside. Raises ValueError if an extra is missing, or the network cannot be written so."""
    try:
        import onnx
        import onnxscript  # noqa: F401  # torch's exporter needs it
    except ImportError as error:
        raise ValueError(f"{error}; to export ONNX needs pip install 'kickstarting[onnx]'") from error
    with _readable(network):
        program = _exported(network, observation_space, action_space)
        example = _example(network, observation_space, action_space)
        inputs = [*(f"obs.{name}" for name in observation_space), "last_action", "last_reward", "is_first"]
        exported: Any = torch.onnx.export(
            program,
            input_names=[*inputs, *(f"state_{i}" for i in range(len(example) - 4))],
            output_names=list(Step(network, action_space)(*example)),
            dynamo=True,
            verbose=False,
            external_data=False,
        )
    model = exported.model_proto
    batch = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param == batch:
                dimension.dim_param = "batch"
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA, json.dumps(config)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _exported(network: Any, observation_space: gymnasium.spaces.Dict, action_space: gymnasium.Space) -> Any:
    example = _example(network, observation_space, action_space)
    batch = torch.export.Dim("batch", min=1)
    dynamic = tuple({name: {0: batch} for name in x} if isinstance(x, dict) else {0: batch} for x in example[:4])
    shapes = (*dynamic, tuple({0: batch} for _ in example[4:]))
    return torch.export.export(Step(network, action_space).eval(), example, dynamic_shapes=shapes)


def _example(network: Any, observation_space: gymnasium.spaces.Dict, action_space: gymnasium.Space, batch: int = 3) -> tuple:
    """Arguments of `Step`, as at the beginning of episodes."""
    distribution: Distribution = make_distribution(action_space)
    observations = {}
    for name, space in observation_space.items():
        dtype = torch.from_numpy(space.sample() if space.shape else space.sample()[None]).dtype
        observations[name] = torch.zeros(batch, *(space.shape or ()), dtype=dtype)
    actions = torch.full((batch, *distribution.action_shape), distribution.no_action, dtype=distribution.action_dtype)
    state = (x.clone() for x in network.initial_state(batch))  # what is one tensor twice would be one input
    return observations, actions, torch.zeros(batch), torch.ones(batch, dtype=torch.bool), *state


@contextlib.contextmanager
def _readable(network: Any) -> Iterator[None]:
    """Whatever torch says or raises while it follows a network is one sentence."""
    noise = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(noise), torch.no_grad():
            warnings.simplefilter("ignore")
            logging.disable(logging.WARNING)
            yield
    except Exception as error:
        why = " ".join(str(error).split())[:300]
        raise ValueError(
            f"network {type(network).__name__} cannot be exported: {why}; export safetensors, or write its forward without "
            "control flow that depends on numbers"
        ) from error
    finally:
        logging.disable(logging.NOTSET)
