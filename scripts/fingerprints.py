"""Does a change of the code change what is trained? SHA-256 of the final weights of short float32 runs with one thread.

    python scripts/fingerprints.py OUT.json [--source OTHER_CHECKOUT/src] [--only NAME ...]
    python scripts/fingerprints.py --compare OLD.json NEW.json

Every run goes through the command line, so that two checkouts are asked the same. The hashes depend on the processor and on
torch: make both files on one machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from safetensors import safe_open

ROOT = Path(__file__).resolve().parent.parent
GRID = ["grid-8:go_to_local,two_rooms", "--network", "small", "--envs-per-task", "8"]
UNEQUAL_ACTIONS = """
[[task]]
name = "breakout"
env_id = "Breakout-v5"
[[task]]
name = "pong"
env_id = "Pong-v5"
[defaults]
action_repeat = 4
"""
PAPER = [
    *("--beta2", "0.999", "--epochs", "1", "--minibatches", "1", "--policy-clip", "0"),
    *("--no-normalise-returns", "--no-normalise-advantages"),
]
ZOO = "zoo:grid-8-small"

CASES: dict[str, list[str]] = {
    "scratch": ["train", *GRID],
    "paper": ["train", *GRID, *PAPER],
    "rmsprop": ["train", *GRID, *PAPER, "--optimiser", "rmsprop", "--learning-rate", "6e-4"],
    "large": ["train", *GRID, "--network", "large"],
    "teacher": ["train", *GRID, "--teacher", ZOO, "--schedule", "linear:1:0:50%"],
    "evidence": ["train", *GRID, "--teacher", ZOO],
    "progress": ["train", *GRID, "--teacher", ZOO, "--schedule", "progress:1"],
    "experts": [
        *("train", *GRID, "--teacher", "go_to_local={scratch}", "--teacher", "two_rooms={paper}"),
        *("--accept-weak-teachers", "--schedule", "constant:1"),
    ],
    "several teachers": [
        *("train", *GRID, "--teacher", ZOO, "--teacher", "two_*={scratch}", "--teacher", "two_rooms={paper}"),
        *("--accept-weak-teachers", "--teacher-shares", "1", "0.5", "2"),
        *("--schedule", "cosine:1:0.1:80%", "--value-distillation-cost", "0.5"),
    ],
    "teachers act": ["train", *GRID, "--teacher", ZOO, "--teacher-acts", "linear:0.5:0:50%"],
    "overlap": ["train", *GRID, "--teacher", ZOO, "--overlap"],
    "groups": ["train", *GRID, "--env-groups", "2"],
    "distillation": ["train", *GRID, "--teacher", ZOO, "--policy-cost", "0", "--baseline-cost", "0", "--schedule", "constant:1"],
    "unequal actions": ["train", "{suite}", "--network", "small", "--envs-per-task", "2", "--frames", "2000"],
    "vector": ["train", "CartPole-v1", "--envs-per-task", "8"],
    "continuous": ["train", "Pendulum-v1", "--network", "small", "--envs-per-task", "8"],
    "pixels": ["train", "Breakout-v5", "--network", "small", "--envs-per-task", "4", "--frames", "1000"],
    "own network": ["train", "CartPole-v1", "--network", "own_network:GRUAgent", "--envs-per-task", "8"],
    "population": [
        *("population", *GRID, "--teacher", ZOO, "--members", "3", "--slice", "25%", "--burn-in", "25%", "--score-window", "4"),
        *("--test", "margin", "--margin", "0.1"),
    ],
}
SHARED = ["--precision", "float32", "--torch-threads", "1", "--device", "cpu"]


def fingerprint(out: Path) -> str:
    """Of the newest checkpoint of a run, or of a population's best member."""
    run = out / "best" if (out / "best").is_dir() else out
    newest = max((run / "checkpoints").iterdir())
    digest = hashlib.sha256()
    with safe_open(newest / "network.safetensors", "pt") as file:
        for name in sorted(file.keys()):
            tensor = file.get_tensor(name)
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def measure(source: Path, only: list[str]) -> dict[str, str]:
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        places = {name: str(Path(folder) / name.replace(" ", "-")) for name in CASES}
        suite = Path(folder) / "unequal.toml"
        suite.write_text(UNEQUAL_ACTIONS)
        environment = {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{ROOT / 'examples'}"}
        for name, words in CASES.items():
            if only and name not in (*only, "scratch", "paper"):  # the two are teachers of others
                continue
            words = [word.format(**places, suite=suite) for word in words]
            words += [] if "--frames" in words else ["--frames", "8000"]
            command = [sys.executable, "-m", "kickstarting", *words, *SHARED, "--out", places[name]]
            run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if run.returncode:
                sys.exit(f"{name} failed:\n{run.stdout}{run.stderr}")
            found[name] = fingerprint(Path(places[name]))
            print(f"{name:18} {found[name][:16]}", flush=True)
    return found


def compare(old: Path, new: Path) -> None:
    before, after = (json.loads(path.read_text()) for path in (old, new))
    for name in before | after:
        same = before.get(name) == after.get(name)
        print(f"{name:18} {'equal' if same else f'{before.get(name)} -> {after.get(name)}'}")
    sys.exit(before != after)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--source", type=Path, default=ROOT / "src")
    parser.add_argument("--only", nargs="+", default=[], help="names of runs")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("OLD", "NEW"))
    arguments = parser.parse_args()
    if arguments.compare:
        compare(*arguments.compare)
    found = measure(arguments.source.resolve(), arguments.only)
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
