"""Give a policy away: one folder with weights, what they are for, what they score, and a card, that can be pushed to a hub as it
is. Optionally the policy is in it as a program, for those who do not have this package."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from kickstarting.card import card
from kickstarting.envs import describe
from kickstarting.evaluate import TaskResult, evaluate
from kickstarting.networks.spec import NetworkSpec
from kickstarting.provenance import known_of
from kickstarting.runs.checkpoint import Snapshot, load_weights
from kickstarting.runs.exported import ExportDirectory, to_files
from kickstarting.runs.files import check_replaces, check_writable, make_directory, write_bytes
from kickstarting.space_json import describe_space
from kickstarting.spaces import make_distribution
from kickstarting.suites import Suite, load_suite
from kickstarting.teachers.adapters import check_spaces
from kickstarting.teachers.network import NetworkTeacher
from kickstarting.teachers.origins import find_origin, run, zoo
from kickstarting.tracing import to_onnx, to_torch_export

SURE = 1.96
"""Standard errors of an interval of 95 %."""


def export(
    ref: str,
    out: Path,
    *,
    format: str = "safetensors",
    suite_name: str = "",
    name: str = "",
    license: str = "",
    episodes: int = 100,
    seed: int = 1_000_003,
    half: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[TaskResult]:
    """Write a policy of this package to a folder, and return what it scores.

    format: safetensors is always written; onnx and torch-export add the policy as a program. suite_name: that of the run, unless
    given. license: an identifier, as the hub has it. half: weights in half precision, which changes logits by less than sampling
    does; these are what is scored. progress: as for `evaluate`.

    Raises ValueError, before any work, if there is no such policy, its suite is not known or has other spaces, or the folder
    holds files of others.
    """
    check_export_out(out)
    path = _path_of(ref)
    trained = known_of(path)
    suite = load_suite(suite_name or _suite_of(trained, ref))
    snapshot = _halved(run.read_snapshot(path)) if half else run.read_snapshot(path)
    spec = NetworkSpec.from_json(snapshot.record["spec"], path)
    known = describe(suite.tasks).as_of(spec.action_space)
    network = spec.build(make_distribution(spec.action_space))
    load_weights(network, snapshot, ref)
    network.requires_grad_(False).eval()
    check_spaces(
        NetworkTeacher(network, spec.observation_space, spec.action_space, ref), known.observation_space, known.action_space
    )
    acts: dict[str, Any] = {"num_actions": known.distribution.size, "distribution": known.distribution}
    results = evaluate(network, suite, episodes=episodes, seed=seed, progress=progress, **acts)
    made_for = _configuration(snapshot, spec, known.observation_space, known.action_space, suite, trained)
    weights, config = to_files(snapshot.network, made_for)
    name = name or path.resolve().name
    files = {
        "config": _json(config),
        "weights": weights,
        "results": _json(_results(results, suite, seed)),
        "card": card(name, suite, results, config, format=format, license=license, seed=seed).encode(),
    }
    if format == "onnx":
        files["onnx"] = to_onnx(network, spec.observation_space, spec.action_space, config)
    if format == "torch-export":
        files["torch_export"] = to_torch_export(network, spec.observation_space, spec.action_space, config)
    check_export_out(out)
    make_directory(out)
    for file, data in files.items():
        write_bytes(getattr(ExportDirectory(out), file), data)
    return results


def check_export_out(out: Path) -> None:
    """Raise FileError if an export cannot be written into this directory, or only over files of others."""
    check_writable(out)
    directory = ExportDirectory(out)
    files = (directory.config, directory.weights, directory.card, directory.results, directory.onnx, directory.torch_export)
    check_replaces(files, "export", directory.config, lambda data: data.get("library") == "kickstarting")


def _path_of(ref: str) -> Path:
    """Of a policy of this package. Raises ValueError for others."""
    origin, name, _ = find_origin(ref)
    if origin not in (run, zoo):
        raise ValueError(f"{ref} is no policy that this package trained, and only those can be exported; give a run directory")
    return zoo.find(name) if origin is zoo else Path(name)


def _suite_of(trained: Mapping[str, Any], ref: str) -> str:
    """What it was trained on, as `known_of` says it."""
    if "suite" not in trained:
        raise ValueError(f"{ref} does not say on which suite it was trained; give --suite")
    return trained["suite"]


def _halved(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, network={name: x.half() if x.is_floating_point() else x for name, x in snapshot.network.items()})


def _configuration(
    snapshot: Snapshot,
    spec: NetworkSpec,
    observed: spaces.Dict,
    acted: gymnasium.Space,
    suite: Suite,
    trained: Mapping[str, Any],
) -> dict[str, Any]:
    """What the weights are for. observed, acted: the spaces of the suite, which have bounds. trained: as `known_of` says it."""
    tasks = [{"name": t.name, "env_id": t.env_id, "backend": t.backend, "action_repeat": t.action_repeat} for t in suite.tasks]
    return {
        "version": importlib.metadata.version("kickstarting"),
        "spec": snapshot.record["spec"],
        "observation_space": {name: _bounded(observed[name]) for name in spec.observation_space},
        "action_space": _bounded(acted),
        "suite": Path(suite.name).name,
        "tasks": tasks,
        "frames": snapshot.record.get("frames", trained.get("frames")),
        **({"training": trained["training"]} if "training" in trained else {}),
    }


def _bounded(space: gymnasium.Space) -> dict[str, Any]:
    """As `describe_space`, with the bounds of a Box: null where there is none, one number where all are alike."""
    if not isinstance(space, spaces.Box):
        return describe_space(space)
    return {**describe_space(space), **{side: _bound(getattr(space, side)) for side in ("low", "high")}}


def _bound(values: np.ndarray) -> Any:
    if len(set(values.flat)) == 1:
        return float(values.flat[0]) if np.isfinite(values.flat[0]) else None
    return [float(x) if np.isfinite(x) else None for x in values.flat]


def _results(results: Sequence[TaskResult], suite: Suite, seed: int) -> dict[str, Any]:
    score, tasks = float(np.mean([r.score for r in results])), []
    for task, result in zip(suite.tasks, results, strict=True):
        of_task = SURE * result.score_error
        interval = [result.score - of_task, result.score + of_task]
        tasks.append({"env_id": task.env_id, **asdict(result), "score_interval": interval})
    margin = SURE * float(np.sqrt(np.sum(np.square([r.score_error for r in results])))) / len(results)
    return {
        "is_deterministic": False,
        "seed": seed,
        "n_eval_episodes": results[0].episodes,
        "mean_reward": float(np.mean([r.mean_return for r in results])),
        "score": score,
        "score_interval": [score - margin, score + margin],
        "tasks": tasks,
    }


def _json(data: Mapping[str, Any]) -> bytes:
    return (json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
