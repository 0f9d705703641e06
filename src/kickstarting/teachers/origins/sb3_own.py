"""Policies of somebody's own class in archives of Stable-Baselines3: made, filled and run by that library itself, which they need.

Class and options are unpickled, which runs their code; the weights are read as data as everywhere.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor

from kickstarting.algo.moments import parameters, squashed_gaussian
from kickstarting.envs.actions import Actions
from kickstarting.teachers.origins.foreign import OBSERVATION, AsTheirs, Units, parts_of, reads
from kickstarting.teachers.origins.sb3_archive import Archive
from kickstarting.teachers.origins.sb3_heads import Binary
from kickstarting.teachers.origins.sb3_options import unpickled
from kickstarting.teachers.protocol import Kind, Label
from kickstarting.types import Inputs, State


class OwnPolicy:
    """Says what its `get_distribution` and `predict_values` say, as those of PPO and its kin do; without them, what it would do."""

    def __init__(self, archive: Archive, named: str, ref: str, *, device: str, std: float, scale: float) -> None:
        """named: its class. std: of continuous actions that come without one. scale: by which its values are multiplied.

        Raises ValueError if pickles are not trusted, the policy cannot be made, or it has a memory.
        """
        self._space, self._acts = archive.space("observation_space"), archive.space("action_space")
        self._policy = _made(archive, named, self._space, self._acts).to(device)
        if hasattr(self._policy, "lstm_actor"):
            raise ValueError(f"{archive.path} has a policy of its own class with a memory, {named}; export it, or serve it")
        if coded := [name for name, part in parts_of(self._space).items() if isinstance(part, spaces.MultiDiscrete)]:
            raise ValueError(f"{archive.path} has a policy of its own class that reads {coded[0]!r}, a MultiDiscrete; serve it")
        self.ref, self.device, self._std, self._scale = ref, device, std, scale
        self.observation_space, self.action_space = reads(self._space), Actions(self._acts).space
        self._as_theirs = AsTheirs(self._space)
        self._units = Units(self._acts) if isinstance(self._acts, spaces.Box) else None

    def initial_state(self, batch: int) -> State:
        return ()

    @torch.no_grad()
    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        leading = inputs.is_first.shape
        x: Any = self._as_theirs({name: part.flatten(0, 1) for name, part in inputs.observations.items()})
        x = x if isinstance(self._space, spaces.Dict) else x[OBSERVATION]
        if not hasattr(self._policy, "get_distribution"):
            policy, kind = self._action(self._policy._predict(x, deterministic=True))
            return Label(policy.unflatten(0, leading), kind), state
        policy = self._parameters(self._policy.get_distribution(x).distribution)
        values = self._policy.predict_values(x)[..., 0].float() * self._scale
        return Label(policy.unflatten(0, leading), values=values.unflatten(0, leading)), state

    def _parameters(self, law: Any) -> Tensor:
        """Of torch's distribution, or several of them, in the student's units."""
        if isinstance(law, list):
            return torch.cat([part.logits for part in law], -1)
        if hasattr(law, "logits"):
            return Binary()(law.logits) if isinstance(self._acts, spaces.MultiBinary) else law.logits
        assert self._units
        mean, std = law.mean.double(), law.stddev.double()
        return parameters(*squashed_gaussian(mean, std)) if self._policy.squash_output else self._units.normal(mean, std)

    def _action(self, action: Tensor) -> tuple[Tensor, Kind]:
        if self._units is None:
            return action.reshape(len(action), *(self.action_space.shape or ())).long(), Kind.ACTIONS
        mean = action.float().flatten(1)
        mean = mean if self._policy.squash_output else self._units.actions(mean)
        return torch.cat([mean, torch.full_like(mean, math.log(self._std))], -1), Kind.PARAMETERS


def _made(archive: Archive, named: str, space: spaces.Space, acts: spaces.Space) -> Any:
    make, kwargs = unpickled(archive, "policy_class", named), unpickled(archive, "policy_kwargs", named) or {}
    kwargs = {"use_sde": True, **kwargs} if archive.data.get("use_sde") else kwargs
    try:
        policy = make(space, acts, lambda _: 0.0, **kwargs)
        policy.load_state_dict(archive.weights)
    except Exception as error:  # whatever its code raises, or weights of another class
        why = " ".join(str(error).split())[:200]
        raise ValueError(f"{archive.path}: its policy {named} cannot be made: {type(error).__name__}: {why}") from error
    policy.set_training_mode(False)
    return policy.requires_grad_(False)
