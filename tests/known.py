"""Values that a type calls optional, or too general, where a test knows better; it fails here where it does not."""

from __future__ import annotations

from typing import Any, TypeVar

import gymnasium
import torch

from kickstarting.algo.distributions import Distribution
from kickstarting.teachers import NetworkTeacher, Teacher

X = TypeVar("X")


def known(x: X | None) -> X:
    assert x is not None
    return x


def network_of(teacher: Teacher) -> Any:
    assert isinstance(teacher, NetworkTeacher)
    return teacher.network


def register(env_id: str, entry_point: Any = None, **options: Any) -> None:
    """`gymnasium.register`, whose annotation refuses a class that does not take every keyword."""
    gymnasium.register(env_id, entry_point, **options)


def drawn(distribution: Distribution, logits: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """An action of each policy."""
    return distribution.sample(logits, distribution.noise(tuple(logits.shape[:-1]), generator or torch.Generator()))
