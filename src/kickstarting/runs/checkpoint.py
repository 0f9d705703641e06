"""Checkpoints: directories of safetensors and JSON, written atomically, verified on reading; nothing in them is executed.

checkpoints/00000012/network.safetensors, optimiser.safetensors, state.json (with a SHA-256 of each file and of itself)
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from kickstarting.runs.files import FileError, read_json, signed_text
from kickstarting.runs.layout import STATE, RunDirectory, checkpoints

Tensors = dict[str, Tensor]
FORMAT = 1


class CheckpointError(FileError):
    """A checkpoint cannot be written or read; the message names the file and the remedy."""


@dataclass(frozen=True)
class Snapshot:
    """All that training needs to go on, apart from its configuration."""

    number: int
    record: dict[str, Any]
    """JSON: frames, learner steps, score windows, and what rebuilds the network."""
    network: Tensors
    optimiser: Tensors


@contextmanager
def atomic_directory(final: Path, is_ours: Callable[[], bool]) -> Iterator[Path]:
    """A directory to write into that takes the name `final` when all is written, or leaves no trace.

    is_ours: whether what has that name already may be replaced.

    Raises CheckpointError (disk full, no permission, not ours); what was there before is untouched then.
    """
    if final.exists() and not is_ours():
        raise CheckpointError(f"{final} is there already, and this run did not write it; move it away, then resume")
    temporary = final.parent / f".{final.name}.partial"
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        yield temporary
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        _sync(final.parent)
    except (OSError, FileError) as error:  # the latter of a population's own files
        shutil.rmtree(temporary, ignore_errors=True)
        reason = getattr(error.__cause__ or error, "strerror", None) or error
        raise CheckpointError(
            f"checkpoint {final} cannot be written: {reason}; earlier checkpoints are intact: "
            "free space or fix permissions, then resume"
        ) from error


def save_checkpoint(directory: Path, snapshot: Snapshot, *, keep: int = 2, run: str = "") -> Path:
    """Write a snapshot below `directory`, all or nothing, then drop all but the newest `keep` that this run wrote.

    run: the identity of the run (`Config.identity`), which is written into the checkpoint.

    Raises CheckpointError if a weight is not finite, or as `atomic_directory`; what was there before is untouched then.
    """
    check_finite(snapshot)
    final = directory / f"{snapshot.number:08d}"
    with atomic_directory(final, is_ours=lambda: is_of(final, run)) as partial:
        hashes = {}
        for name, tensors in (("network", snapshot.network), ("optimiser", snapshot.optimiser)):
            data = safetensors.torch.save({k: t.detach().cpu().contiguous() for k, t in tensors.items()})
            hashes[f"{name}.safetensors"] = hashlib.sha256(data).hexdigest()
            _write(partial / f"{name}.safetensors", data)
        state = {"format": FORMAT, "number": snapshot.number, "run": run, "sha256": hashes, "record": snapshot.record}
        _write(partial / STATE, signed_text(state).encode())
    prune(directory, keep, run)
    return final


def prune(directory: Path, keep: int, run: str) -> None:
    """Remove all but the newest `keep` checkpoints of a run; what others put there stays."""
    for old in [path for path in checkpoints(directory) if is_of(path, run)][:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def is_of(path: Path, run: str) -> bool:
    """Whether a run wrote this checkpoint. Those of earlier versions say nothing of their run; then its number decides."""
    try:
        state = read_state(path)
    except CheckpointError:
        return False
    return state.get("run", run) == run and int(path.name) in (state.get("number"), state.get("round"))


def check_finite(snapshot: Snapshot) -> None:
    """Raise CheckpointError if a weight, or a number of the optimiser's, is NaN or infinite."""
    for what, tensors in (("weight", snapshot.network), ("optimiser's", snapshot.optimiser)):
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise CheckpointError(
                    f"the {what} {name} is not finite after {snapshot.record.get('frames', '?')} frames, so nothing was saved; "
                    "earlier checkpoints are intact: lower the learning rate or the rewards' scale, and begin anew or resume"
                )


def check_space(directory: Path, size: int) -> str | None:
    """What to say if the disk has no room for two more checkpoints of `size` bytes, which it takes to replace one safely."""
    free = shutil.disk_usage(directory).free
    if free >= 2 * size:
        return None
    have, need = f"{free / 1e6:.0f} MB free", f"{2 * size / 1e6:.0f} MB"
    return f"{directory} has {have}, two checkpoints take {need}; free space, or choose another --out"


def size_of(snapshot: Snapshot) -> int:
    """Bytes of its tensors."""
    return sum(tensor.nbytes for tensors in (snapshot.network, snapshot.optimiser) for tensor in tensors.values())


def load_checkpoint(path: Path, *, with_optimiser: bool = True, run: str = "") -> Snapshot:
    """Read and verify one checkpoint. Raises CheckpointError if a file is missing, truncated or altered, or another run than
    `run` wrote it."""
    state = read_state(path)
    kinds = {"number": int, "record": dict, "sha256": dict}
    if state.get("format") == FORMAT and not all(isinstance(state.get(name), kind) for name, kind in kinds.items()):
        raise CheckpointError(f"{path / STATE} is damaged: it lacks {', '.join(kinds)}; {remedy(path)}")
    if run and state.get("run", run) != run:
        raise CheckpointError(f"{path} is of another run than the configuration beside it; put back what belongs together")
    hashes = state.get("sha256", {})
    if state.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has format {state.get('format')!r}, this version reads {FORMAT}; use the version that wrote it"
        )
    network = _load(path, "network.safetensors", hashes)
    optimiser = _load(path, "optimiser.safetensors", hashes) if with_optimiser else {}
    return Snapshot(state["number"], state["record"], network, optimiser)


def latest_checkpoint(run: Path) -> Path:
    """The newest checkpoint of a run directory. Raises CheckpointError if it has none."""
    newest = RunDirectory(run).newest_checkpoint
    if newest is None:
        what = "holds no checkpoint yet" if run.is_dir() else "does not exist"
        raise CheckpointError(f"{run} {what}; give a run directory, or zoo:NAME")
    return newest


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


def read_state(path: Path) -> dict[str, Any]:
    """The state.json of a checkpoint. Raises CheckpointError if it is missing, damaged or altered."""
    if not (path / STATE).exists():
        raise CheckpointError(f"no checkpoint at {path}: there is no {STATE}; give a run directory or one of its checkpoints")
    try:
        return read_json(path / STATE, remedy=remedy(path), signed=True)
    except FileError as error:
        raise CheckpointError(str(error)) from error


def _load(path: Path, name: str, hashes: dict[str, str]) -> Tensors:
    try:
        data = (path / name).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path / name} cannot be read: {error.strerror}; {remedy(path)}") from error
    if hashlib.sha256(data).hexdigest() != hashes.get(name):
        raise CheckpointError(f"{path / name} is truncated or was altered (its SHA-256 differs from {STATE}); {remedy(path)}")
    try:
        return safetensors.torch.load(data)
    except Exception as error:  # safetensors has an error class of its own, and raises others beside it
        raise CheckpointError(f"{path / name} holds no tensors ({error}); {remedy(path)}") from error


def remedy(path: Path) -> str:
    """What to do about a damaged checkpoint."""
    if path.parent.name.startswith("member-"):  # the members of a population stay together
        path = path.parent.parent
    others = [p.name for p in checkpoints(path.parent) if p != path]
    return f"remove {path} to fall back to {others[-1]}" if others else "there is no other checkpoint beside it"


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
