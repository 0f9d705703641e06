"""The card of an exported policy: README.md with the metadata that model hubs read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from kickstarting.evaluate import TaskResult
from kickstarting.report.tables import in_markdown
from kickstarting.suites import Suite, Task

PROGRAMS = {
    "onnx": (
        "`policy.onnx` is one step of the policy as an ONNX program, weights inside, for batches of any size. "
        "Any ONNX runtime can run it."
    ),
    "torch-export": (
        "`policy.pt2` is one step of the policy as a program of torch.export, for batches of any size. To load one can run code, "
        "so load it only if you trust whoever made it."
    ),
}


def card(
    name: str,
    suite: Suite,
    results: Sequence[TaskResult],
    config: Mapping[str, Any],
    *,
    format: str,
    license: str,
    seed: int,
) -> str:
    """config: as in config.json. license: an identifier of the hub; empty if it is not known."""
    front = {
        "library_name": "kickstarting",
        "license": license or "unknown",
        "tags": [
            *dict.fromkeys(t.env_id for t in suite.tasks),
            "deep-reinforcement-learning",
            "reinforcement-learning",
            "kickstarting",
        ],
        "model-index": [{"name": name, "results": [_result(task, r) for task, r in zip(suite.tasks, results, strict=True)]}],
    }
    lines = ["---", *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in front.items()), "---", ""]
    lines += [
        f"# {in_markdown(name)}",
        "",
        f"A policy for the suite {in_markdown(str(config['suite']))}, trained with kickstarting",
    ]
    lines[-1] += f" for {config['frames']:,} frames." if config.get("frames") else "."
    lines += ["", "## Scores", "", *_scores(results, seed)]
    if training := config.get("training"):
        lines += ["", "## How it was trained", "", *_training(training)]
    lines += ["", "## What it reads, and does", "", *_spaces(config)]
    lines += ["", "## How to load it", "", *_loading(format), "", "## License", ""]
    lines += [in_markdown(license) if license else "Not stated. Ask whoever published this policy before you use it."]
    return "\n".join(lines) + "\n"


def _result(task: Task, result: TaskResult) -> dict[str, Any]:
    value = f"{result.mean_return:.2f} +/- {result.return_deviation:.2f}"
    return {
        "task": {"type": "reinforcement-learning", "name": "reinforcement-learning"},
        "dataset": {"name": task.env_id, "type": task.env_id},
        "metrics": [{"type": "mean_reward", "name": "mean_reward", "value": value, "verified": False}],
    }


def _scores(results: Sequence[TaskResult], seed: int) -> list[str]:
    rows = [
        f"| {in_markdown(r.task)} | {r.mean_return:.3f} | {r.return_deviation:.3f} | {r.success:.0%} | "
        f"{r.score:.1f} ± {1.96 * r.score_error:.1f} |"
        for r in results
    ]
    said = f"Sampled actions, {results[0].episodes} episodes of each task, seed {seed}; scores with 95% intervals."
    return [said, "", "| task | return | deviation | success | score |", "|---|---:|---:|---:|---:|", *rows]


def _training(training: Mapping[str, Any]) -> list[str]:
    """training: as `provenance.training` gives it."""
    teachers = f"taught by {_listed(training['teachers'])}" if training["teachers"] else "from scratch"
    versions = ", ".join(f"{name} {version}" for name, version in training["versions"].items())
    said = f"Seed {training['seed']}, {teachers}" + (f" ({versions})." if versions else ".")
    return [in_markdown(said), "", f"    {training['command']}"]


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _spaces(config: Mapping[str, Any]) -> list[str]:
    rows = [f"| `{name}` | {_space(space)} |" for name, space in config["observation_space"].items()]
    return ["| observation | space |", "|---|---|", *rows, f"| **actions** | {_space(config['action_space'])} |"]


def _space(space: Mapping[str, Any]) -> str:
    if "discrete" in space:
        return f"{space['discrete']} choices"
    if "multi_discrete" in space:
        return f"choices of {', '.join(map(str, space['multi_discrete']))}"
    kind = f"{space['kind']}, " if "kind" in space else ""
    return f"{kind}{space['dtype']} [{', '.join(map(str, space['shape']))}]"


def _loading(format: str) -> list[str]:
    lines = [
        "With the Python package kickstarting, as a teacher of another policy, or to play:",
        "",
        "    kickstart train SUITE --teacher FOLDER",
        "    kickstart evaluate FOLDER SUITE",
        "",
        "FOLDER is this folder, or `hf:OWNER/NAME` where it lies on the hub. `model.safetensors` has the weights, `config.json` "
        "the network and its spaces. Nothing in them is executed.",
    ]
    return [*lines, "", PROGRAMS[format]] if format in PROGRAMS else lines
