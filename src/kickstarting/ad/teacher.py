"""A trained model as a teacher: what it says of a step depends on all that was done in that environment before, over many episodes.

Its context is its recurrent state. It goes on where an episode begins, and begins anew where states do, as at a run's checkpoint.
What stands in it is what the student did: from the student's own attempts the model concludes what to do better.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from kickstarting.ad.context import context_of, empty_context
from kickstarting.ad.saved import TrainedModel, load_model, read_model_file
from kickstarting.spaces import Vector
from kickstarting.teachers.protocol import Label
from kickstarting.types import Inputs, State


class InContextTeacher:
    """Raises ValueError for a model without a step for an episode's last observation, which unrolls hold."""

    across_episodes = True

    def __init__(self, model: TrainedModel, ref: str, device: str = "cpu") -> None:
        if not model.config.terminal:
            raise ValueError(
                f"teacher {ref} was trained with --no-terminal; train it without that, for unrolls hold last observations"
            )
        self.ref, self.device = ref, device
        self._network, self._room = model.network.to(device), model.room
        self.observation_space = spaces.Dict({name: _shown(space) for name, space in model.network.space.items()})
        self.action_space = model.action_space

    def initial_state(self, batch: int) -> State:
        return empty_context(self._network, batch)

    @torch.no_grad()
    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        context = context_of(self._network, self._room, tuple(x.clone() for x in state))
        with torch.autocast(torch.device(self.device).type, enabled=False):  # its context is float32, as it was trained
            logits = context.read(self._read(inputs))
        return Label(logits.transpose(0, 1).float().to(inputs.is_first.device)), context.state

    def _read(self, inputs: Inputs) -> Inputs:
        """[T, B] as environments give it to [B, T] as the model reads it."""
        space = self._network.space
        observations = {name: _numbers(inputs.observations[name], part) for name, part in space.items()}
        own = Inputs(observations, inputs.last_actions, inputs.last_rewards, inputs.is_first)
        return own.map(lambda x: x.transpose(0, 1).to(self.device))


def load_teacher(path: Path, ref: str, device: str, context: int) -> InContextTeacher:
    """context: steps that it looks back on; all that it was trained with if 0. Raises ValueError if there is no model, or it is
    damaged."""
    return InContextTeacher(load_model(path, context), ref, device)


def digest_of_model(path: Path, context: int) -> str:
    """The SHA-256 of weights, network, spaces, and of a shorter context."""
    data = read_model_file(path)
    what = {name: data[name] for name in ("config", "observation_space", "action_space")}
    sha256 = hashlib.sha256(json.dumps([what, context], sort_keys=True).encode())
    for name, weights in sorted(load_model(path).network.state_dict().items()):
        sha256.update(name.encode() + weights.contiguous().numpy().tobytes())
    return sha256.hexdigest()


def _shown(space: gymnasium.Space) -> gymnasium.Space:
    """As the package's environments show it: small numbers one-hot, one behind the other."""
    return Vector(0, 1, (int(space.nvec.sum()),), np.float32) if isinstance(space, spaces.MultiDiscrete) else space


def _numbers(x: Tensor, space: gymnasium.Space) -> Tensor:
    """The inverse of `_shown`."""
    if not isinstance(space, spaces.MultiDiscrete):
        return x
    return torch.stack([part.argmax(-1) for part in x.split(space.nvec.tolist(), -1)], -1)
