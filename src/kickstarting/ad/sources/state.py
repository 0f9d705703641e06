"""What a learner and its tasks must remember to go on in another process: tables, networks, and what is drawn by lot."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from kickstarting.optimisers import load_optimiser, optimiser_tensors

BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Numbers are kept bit by bit: one that is not finite may mean that nothing is known."""


def state_of(thing: object, prefix: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Arrays, tensors, numbers, generators and optimisers among a thing's attributes: plain data, and tensors, by their names."""
    plain: dict[str, Any] = {}
    tensors: dict[str, Tensor] = {}
    for name, x in vars(thing).items():
        key = f"{prefix}{name}"
        if isinstance(x, np.ndarray):
            tensors[key] = _bits(torch.from_numpy(np.ascontiguousarray(x)))
        elif isinstance(x, Tensor):
            tensors[key] = _bits(x.detach())
        elif isinstance(x, torch.Generator):
            tensors[key] = x.get_state()
        elif isinstance(x, np.random.Generator):
            plain[key] = x.bit_generator.state
        elif isinstance(x, torch.optim.Optimizer):
            tensors |= {f"{key}/{part}": _bits(value) for part, value in optimiser_tensors(x).items()}
        elif isinstance(x, int | float):
            plain[key] = x
    return plain, tensors


@torch.no_grad()
def restore(thing: object, prefix: str, plain: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """The inverse of `state_of`, into a thing that was made alike."""
    for name, x in vars(thing).items():
        key = f"{prefix}{name}"
        if isinstance(x, np.ndarray):
            setattr(thing, name, _like(tensors[key], torch.from_numpy(x)).numpy())
        elif isinstance(x, Tensor):
            x.copy_(_like(tensors[key], x))
        elif isinstance(x, torch.Generator):
            x.set_state(tensors[key])
        elif isinstance(x, np.random.Generator):
            x.bit_generator.state = plain[key]
        elif isinstance(x, torch.optim.Optimizer):
            own = {part.removeprefix(f"{key}/"): value for part, value in tensors.items() if part.startswith(f"{key}/")}
            load_optimiser(x, {part: value.view(torch.float32) for part, value in own.items()})
        elif isinstance(x, int | float):
            setattr(thing, name, plain[key])


def _bits(x: Tensor) -> Tensor:
    return x.contiguous().view(BITS[x.element_size()]) if x.is_floating_point() else x


def _like(bits: Tensor, x: Tensor) -> Tensor:
    return bits.view(x.dtype) if x.is_floating_point() else bits
