"""Trajectories and weights between processes: as arrays, which Ray's object store gives to others without a copy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kickstarting.actor import Episode
from kickstarting.config import Config
from kickstarting.envs import TaskSpaces
from kickstarting.types import Trajectory


@dataclass(frozen=True)
class Unroll:
    """What an actor made of one call."""

    version: int
    """Of the weights that acted, through the whole unroll."""
    trajectory: Trajectory
    """Of arrays."""
    episodes: list[Episode]
    metrics: dict[str, float | None]


def to_array(x: Tensor) -> Any:
    """A view where there can be one. numpy has no bfloat16; float32 holds it exactly."""
    x = x.detach()
    return (x.float() if x.dtype == torch.bfloat16 else x).cpu().numpy()


def to_tensor(x: Any) -> Tensor:
    """A view of an array that may not be written to; torch warns of that, and everybody here only reads or copies it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.asarray(x))


def weights_to_arrays(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    return {name: to_array(weight) for name, weight in weights.items()}


def arrays_to_weights(arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: to_tensor(x) for name, x in arrays.items()}


def unroll_bytes(config: Config, spaces: TaskSpaces) -> int:
    """About the size of one actor's unroll: observations, and some room for actions, rewards and recurrent states."""
    observations = sum(
        int(np.prod(space.shape or ())) * np.dtype(space.dtype).itemsize for space in spaces.observation_space.values()
    )
    columns, steps = config.envs_each * spaces.num_tasks, config.learning.unroll_length + 1
    return columns * (steps * (observations + 64) + 16_384)
