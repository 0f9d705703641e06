"""A policy outside of any run: weights as safetensors, and beside them what they are for, as JSON. Nothing in it is executed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch

from kickstarting.runs.checkpoint import CheckpointError, Snapshot, Tensors
from kickstarting.runs.files import FileError, read_bytes, read_json, typed

FORMAT = 1
REMEDY = "export it again, or download it again"


@dataclass(frozen=True)
class ExportDirectory:
    """A policy that others can load, in the names that model hubs use."""

    path: Path

    @property
    def card(self) -> Path:
        return self.path / "README.md"

    @property
    def config(self) -> Path:
        """What the weights are for: network, spaces, suite."""
        return self.path / "config.json"

    @property
    def weights(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def results(self) -> Path:
        """Scores of every task."""
        return self.path / "results.json"

    @property
    def onnx(self) -> Path:
        return self.path / "policy.onnx"

    @property
    def torch_export(self) -> Path:
        return self.path / "policy.pt2"


def is_exported(path: Path) -> bool:
    directory = ExportDirectory(path)
    return directory.weights.is_file() and directory.config.is_file()


def to_files(network: Tensors, config: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """The weights as a file, and the configuration that names them. config: has `spec`, a `NetworkSpec` as JSON."""
    weights = safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in network.items()})
    return weights, {"library": "kickstarting", "format": FORMAT, **config, "sha256": hashlib.sha256(weights).hexdigest()}


def read_exported(path: Path) -> Snapshot:
    """What `to_files` made. Raises CheckpointError if a file is missing, damaged, or of somebody else."""
    directory = ExportDirectory(path)
    try:
        config = read_json(directory.config, remedy=REMEDY)
        weights = read_bytes(directory.weights, remedy=REMEDY)
        if config.get("library") != "kickstarting" or "spec" not in config:
            raise FileError(f"{directory.config} is of no policy that this package exported; it has no 'spec'")
        if config.get("format") != FORMAT:
            raise FileError(
                f"{path} has format {config.get('format')!r}, this version reads {FORMAT}; use the version that wrote it"
            )
        if hashlib.sha256(weights).hexdigest() != config.get("sha256"):
            raise FileError(f"{directory.weights} is damaged or was altered: its SHA-256 differs from {directory.config}; {REMEDY}")
        record = {"spec": typed(config["spec"], dict, "'spec'")}
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    try:
        return Snapshot(0, record, safetensors.torch.load(weights), {})
    except Exception as error:  # safetensors has an error class of its own, and raises others beside it
        raise CheckpointError(f"{directory.weights} holds no tensors ({error}); {REMEDY}") from error
