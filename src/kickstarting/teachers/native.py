"""Policies that this package trained: a run directory, one of its checkpoints, or zoo:NAME."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from kickstarting.algo.distributions import Distribution
from kickstarting.algo.schedules import nearest
from kickstarting.envs.multitask import make_distribution
from kickstarting.networks.spec import NetworkSpec
from kickstarting.runs.checkpoint import CheckpointError, Snapshot, latest_checkpoint, load_checkpoint
from kickstarting.runs.layout import STATE

ZOO = Path(__file__).parent.parent / "zoo"


@dataclass(frozen=True)
class Policy:
    """A frozen network and what it was made for."""

    ref: str
    network: Any
    """An `nn.Module` that is also a `Network`."""
    spec: NetworkSpec
    distribution: Distribution
    task_scores: dict[str, float]
    """Its own training score by task name, as far as known."""


def zoo_names() -> list[str]:
    """The teachers that the package ships."""
    return sorted(path.name for path in ZOO.iterdir() if (path / STATE).is_file()) if ZOO.is_dir() else []


def load_policy(ref: str) -> Policy:
    """The policy behind a reference, frozen and in evaluation mode.

    Raises CheckpointError if there is none there or it is damaged, ValueError if the zoo has no such name.
    """
    snapshot = load_checkpoint(find_checkpoint(ref), with_optimiser=False)
    spec = NetworkSpec.from_json(snapshot.record["spec"])
    distribution = make_distribution(spec.action_space)
    network = spec.build(distribution)
    load_weights(network, snapshot, ref)
    network.requires_grad_(False).eval()
    scores = {name: score for name, score in snapshot.record.get("task_scores", {}).items() if score is not None}
    return Policy(ref, network, spec, distribution, scores)


def find_checkpoint(ref: str) -> Path:
    """The checkpoint directory that a reference means."""
    if ref.startswith("zoo:"):
        name = ref.removeprefix("zoo:")
        if name not in zoo_names():
            raise ValueError(f"the zoo has no {name!r}; {nearest(name, zoo_names())}")
        return ZOO / name
    path = Path(ref)
    return path if (path / STATE).is_file() else latest_checkpoint(path)


def load_weights(network: nn.Module, snapshot: Snapshot, ref: str) -> None:
    """Copy a snapshot's weights into a network. Raises CheckpointError if their names or shapes differ."""
    own = network.state_dict()
    for name, tensor in snapshot.network.items():
        if name not in own or own[name].shape != tensor.shape:
            expected = f"shape {tuple(own[name].shape)}" if name in own else "no such weight"
            raise CheckpointError(
                f"{ref} has {name} of shape {tuple(tensor.shape)}, the network has {expected}; use the code that wrote it"
            )
    if missing := own.keys() - snapshot.network.keys():
        raise CheckpointError(f"{ref} lacks the weight {min(missing)} of the network; use the code that wrote it")
    network.load_state_dict({name: tensor.to(own[name].dtype) for name, tensor in snapshot.network.items()})
