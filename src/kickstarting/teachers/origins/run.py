"""`run:PATH`: policies that this package trained, as a run directory, one of its checkpoints, or a folder that was exported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kickstarting.algo.distributions import Distribution
from kickstarting.networks.spec import NetworkSpec
from kickstarting.runs.checkpoint import Snapshot, latest_checkpoint, load_checkpoint, load_weights
from kickstarting.runs.exported import is_exported, read_exported
from kickstarting.runs.layout import STATE, RunDirectory
from kickstarting.spaces import make_distribution
from kickstarting.teachers.network import NetworkTeacher

OPTIONS: Mapping[str, str] = {}
BY_PATH = True
"""Its names are paths."""


@dataclass(frozen=True)
class Policy:
    """A frozen network and what it was made for."""

    network: Any
    """An `nn.Module` that is also a `Network`."""
    spec: NetworkSpec
    distribution: Distribution
    task_scores: dict[str, float]
    """Its own training score by task name, as far as known."""


def load(name: str, ref: str, device: str = "cpu", options: Mapping[str, str] | None = None) -> NetworkTeacher:
    policy = read_policy(Path(name), ref)
    return NetworkTeacher(policy.network.to(device), policy.spec.observation_space, policy.spec.action_space, ref)


def digest(name: str, options: Mapping[str, str] | None = None) -> str:
    """Of weights and network. Scores and frames, which a checkpoint holds too, change nothing that it says."""
    snapshot = read_snapshot(Path(name))
    sha256 = hashlib.sha256(json.dumps(snapshot.record["spec"], sort_keys=True).encode())
    for weight, tensor in sorted(snapshot.network.items()):
        sha256.update(weight.encode() + tensor.contiguous().numpy().tobytes())
    return sha256.hexdigest()


def recognises(path: Path) -> bool:
    return (path / STATE).is_file() or RunDirectory(path).checkpoints.is_dir() or is_exported(path)


def read_policy(path: Path, ref: str) -> Policy:
    """The policy of a run directory, a checkpoint or an exported folder, frozen and in evaluation mode. Raises CheckpointError
    if there is none there, or it is damaged."""
    snapshot = read_snapshot(path)
    spec = NetworkSpec.from_json(snapshot.record["spec"], path)
    distribution = make_distribution(spec.action_space)
    network = spec.build(distribution)
    load_weights(network, snapshot, ref)
    network.requires_grad_(False).eval()
    scores = {name: score for name, score in snapshot.record.get("task_scores", {}).items() if score is not None}
    return Policy(network, spec, distribution, scores)


def read_snapshot(path: Path) -> Snapshot:
    """The newest checkpoint, without the optimiser, or what was exported."""
    if is_exported(path):
        return read_exported(path)
    return load_checkpoint(path if (path / STATE).is_file() else latest_checkpoint(path), with_optimiser=False)
