"""`sb3:PATH`: policies of Stable-Baselines3 and sb3-contrib, from what `model.save` wrote; neither package is needed.

PPO, A2C, TRPO, MaskablePPO, RecurrentPPO, DQN, QR-DQN, SAC, TQC, CrossQ, TD3, DDPG and ARS, with MlpPolicy, CnnPolicy and
MultiInputPolicy. A features extractor or a policy of one's own is code inside the archive: it needs --trust-pickle, and
Stable-Baselines3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import torch
from torch import nn

from kickstarting.envs.actions import Actions
from kickstarting.machine import mixed_precision
from kickstarting.ranges import Range
from kickstarting.runs.files import read_bytes
from kickstarting.teachers.origins.foreign import reads
from kickstarting.teachers.origins.sb3_archive import Archive, is_archive, read_archive
from kickstarting.teachers.origins.sb3_normalise import REMEDY, behind_statistics, find_statistics, value_scale
from kickstarting.teachers.origins.sb3_options import is_own, policy_class, policy_options
from kickstarting.teachers.origins.sb3_own import OwnPolicy
from kickstarting.teachers.origins.sb3_policies import Actor, ActorCritic, QNetwork, Searched
from kickstarting.teachers.protocol import Kind, Label, Teacher
from kickstarting.types import Inputs, State

OPTIONS: Mapping[str, str] = {
    "temperature": "of the softmax of Q, for DQN and QR-DQN: 1 unless given",
    "std": "deviation of the actions of TD3, DDPG and ARS, of half their range: 0.1 unless given",
    "normalise": "the .pkl of VecNormalize, or none; looked for beside the archive unless given",
}
BY_PATH = True
PATHS = ("normalise",)
NUMBERS = {"temperature": (1.0, Range(1e-6, 1e6)), "std": (0.1, Range(0.01, 1))}


def load(name: str, ref: str, device: str = "cpu", options: Mapping[str, str] | None = None) -> Teacher:
    """Raises ValueError, with the reason, for an archive that cannot be read, or not without running its code."""
    archive, numbers = read_archive(Path(name)), _numbers(ref, options or {})
    space, action_space = archive.space("observation_space"), archive.space("action_space")
    statistics = find_statistics(Path(name), (options or {}).get("normalise", ""))
    scale = value_scale(statistics) if statistics else 1.0
    if is_own(named := policy_class(archive)):
        policy: Teacher = OwnPolicy(archive, named, ref, device=device, std=numbers["std"], scale=scale)
        return behind_statistics(policy, statistics) if statistics else policy
    try:
        network = _network(archive, action_space, {**policy_options(archive), **numbers})
    except (KeyError, IndexError, RuntimeError, AttributeError) as error:  # weights of other names or shapes than the policy's
        why = " ".join(str(error).split())[:200]
        raise ValueError(f"teacher {ref}: its weights are not those of a policy that is known here: {why}") from error
    policy = Policy(network.to(device), reads(space), Actions(action_space).space, ref, scale)
    return behind_statistics(policy, statistics) if statistics else policy


def digest(name: str, options: Mapping[str, str] | None = None) -> str:
    """Of all that is read: archive, statistics and options."""
    given = options or {}
    sha256 = hashlib.sha256(read_archive(Path(name)).digest().encode())
    if statistics := find_statistics(Path(name), given.get("normalise", "")):
        sha256.update(read_bytes(statistics, remedy=REMEDY))
    sha256.update(repr(sorted((key, value) for key, value in given.items() if key not in PATHS)).encode())
    return sha256.hexdigest()


def recognises(path: Path) -> bool:
    """Whether the path holds an archive."""
    return is_archive(path)


class Policy:
    """A rebuilt policy as a teacher."""

    def __init__(
        self, network: nn.Module, observation_space: gymnasium.spaces.Dict, action_space: gymnasium.Space, ref: str, scale: float
    ) -> None:
        """scale: of rewards in the peer's training, by which its values are multiplied."""
        self.network: Any = network.requires_grad_(False).eval()
        self.observation_space, self.action_space, self.ref = observation_space, action_space, ref
        self.device, self._scale = next(network.parameters()).device.type, scale
        self._kind = getattr(network, "kind", Kind.PARAMETERS)

    def initial_state(self, batch: int) -> State:
        return self.network.initial_state(batch)

    @torch.no_grad()
    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        with mixed_precision(inputs.is_first.device.type):
            policy, values, state = self.network(inputs.observations, inputs.is_first, state)
        policy = policy if self._kind == Kind.ACTIONS else policy.float()
        return Label(policy, self._kind, None if values is None else values.float() * self._scale), state


def _network(archive: Archive, action_space: gymnasium.Space, options: Mapping[str, Any]) -> nn.Module:
    """By the names of its weights."""
    names = archive.weights
    if any(name.startswith(("q_net.q_net.", "quantile_net.quantile_net.")) for name in names):
        return QNetwork(archive, options, action_space)
    if "action_net.weight" in names:
        return ActorCritic(archive, options, action_space)
    if any(name.startswith("actor.mu.") for name in names):
        return Actor(archive, options, action_space)
    if "action_net.0.weight" in names:
        return Searched(archive, options, action_space)
    raise ValueError(
        f"{archive.path} has weights such as {', '.join(sorted(names)[:3])}; known are those of PPO, A2C, TRPO, MaskablePPO, "
        "RecurrentPPO, DQN, QR-DQN, SAC, TQC, CrossQ, TD3, DDPG and ARS"
    )


def _numbers(ref: str, options: Mapping[str, str]) -> dict[str, float]:
    numbers = {}
    for name, (default, allowed) in NUMBERS.items():
        try:
            numbers[name] = float(options.get(name, default))
        except ValueError:
            raise ValueError(f"teacher {ref}: {name} is {options[name]!r}; it must be a number, and {allowed}") from None
        allowed.check(f"teacher {ref}: {name}", numbers[name])
    return numbers
