"""Networks as teachers, and teachers as networks."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import gymnasium
import torch

from kickstarting.algo.distributions import Distribution
from kickstarting.machine import product_dtype, run_network
from kickstarting.teachers.label import parameters_of
from kickstarting.teachers.protocol import Label, Teacher
from kickstarting.types import Inputs, Output, State


class NetworkTeacher:
    """A frozen `Network` as a teacher: what its policy says, and what its critic thinks."""

    def __init__(
        self, network: Any, observation_space: gymnasium.spaces.Dict, action_space: gymnasium.Space, ref: str = ""
    ) -> None:
        self.network = network
        """Frozen, a `Network`; what it can be batched with it states itself (`Recurrent`)."""
        self.observation_space, self.action_space = observation_space, action_space
        self.ref = ref
        self.device = next(network.parameters()).device.type if isinstance(network, torch.nn.Module) else "cpu"

    def initial_state(self, batch: int) -> State:
        return self.network.initial_state(batch)

    @torch.no_grad()
    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        output, state = run_network(self.network, inputs, state)
        return Label(output.logits, values=output.values), state

    @property
    def batch_key(self) -> Hashable | None:
        return getattr(self.network, "batch_key", None)

    @property
    def most_together(self) -> int:
        return getattr(self.network, "most_together", 1)

    def together(self, others: Sequence[NetworkTeacher]) -> NetworkTeacher:
        network = self.network.together([other.network for other in others], product_dtype())
        return NetworkTeacher(network, self.observation_space, self.action_space, self.ref)


class AsNetwork:
    """A teacher as a `Network` that can act. Where it has no critic its values are 0, where it has no opinion it acts evenly.

    distribution, action_space: of the environments.
    """

    def __init__(self, teacher: Teacher, distribution: Distribution, action_space: gymnasium.Space) -> None:
        self.teacher, self.device = teacher, teacher.device
        self._distribution, self._action_space = distribution, action_space

    def initial_state(self, batch: int) -> State:
        return self.teacher.initial_state(batch)

    @torch.no_grad()
    def __call__(self, inputs: Inputs, state: State) -> tuple[Output, State]:
        label, state = self.teacher.label(inputs, state)
        logits = parameters_of(label, self._distribution, self._action_space, smoothing=0.0)
        if label.known is not None:
            logits = logits.masked_fill(~label.known[..., None], 0.0)
        return Output(logits, logits.new_zeros(logits.shape[:-1]) if label.values is None else label.values), state
