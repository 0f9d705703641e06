"""Fifty kills at random moments, of every command that trains: nothing orphaned, nothing doubled, and the same weights at the end.

For a nightly run. KILLS=10 kills less; SEED draws other moments.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from kickstarting.runs.layout import PopulationDirectory, RunDirectory, finished
from kickstarting.runs.metrics import read_metrics
from resuming import history_of

pytestmark = pytest.mark.usefixtures("signals_heard")
KILLS = int(os.environ.get("KILLS", "50"))
SEED = int(os.environ.get("SEED", "0"))
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SMALL = ["--network", "small", "--network-option", "hidden=8", "--network-option", "lstm=8", "--network-option", "channels=(4,8)"]
SMALL += ["--envs-per-task", "4", "--unroll-length", "8", "--precision", "float32", "--torch-threads", "1"]


def commands(suite: str, teacher: str) -> dict[str, tuple[list[str], list[str]]]:
    """How each begins, and how it goes on; OUT stands for its directory."""
    student = [
        suite,
        *SMALL,
        "--checkpoint-every",
        "4k",
        "--teacher",
        teacher,
        "--accept-weak-teachers",
        "--schedule",
        "linear:1:0:50%",
    ]
    population = ["--members", "2", "--slice", "4k", "--burn-in", "4k", "--score-window", "4"]
    reproduce = ["reproduce", "memory", "--scale", "tiny", "--out", "OUT", "--jobs", "2"]
    demo = ["demo", "--frames", "100k", "--out", "OUT"]
    return {
        "train": (["train", *student, "--frames", "24k", "--out", "OUT"], ["train", "--resume", "OUT"]),
        "population": (
            ["population", *student, *population, "--frames", "12k", "--out", "OUT"],
            ["population", "--resume", "OUT"],
        ),
        "reproduce": (reproduce, [*reproduce, "--resume"]),
        "demo": (demo, demo),
    }


def started(words: list[str], out: Path, mark: str) -> subprocess.Popen:
    words = [str(out) if word == "OUT" else word for word in words]
    return subprocess.Popen(
        [sys.executable, "-m", "kickstarting", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "KICKSTARTING_TEST": mark},
        text=True,
        start_new_session=True,
    )


def alive(mark: str) -> list[str]:
    """Processes of a command and whatever it started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if f"KICKSTARTING_TEST={mark}".encode() in environment and state != "Z":
            found.append(process.name)
    return found


def brought_to_its_end(
    name: str, how: tuple[list[str], list[str]], out: Path, rng: random.Random, kills: int, seconds: float
) -> int:
    """Kill a command at random moments, so often or until it ends, and let it end; returns how often."""
    begin, go_on = how
    done, words = 0, begin
    while True:
        mark = uuid.uuid4().hex
        process = started(words, out, mark)
        number = rng.choice(SIGNALS)
        try:
            said, _ = process.communicate(timeout=rng.uniform(1.0, seconds) if done < kills else 600)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            said, _ = process.communicate(timeout=120)
            done += 1
        deadline = time.monotonic() + 20
        while (orphans := alive(mark)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not orphans, f"{name} after {number.name}: {orphans} go on"
        importing = number == signal.SIGINT and said.rstrip().endswith(
            "KeyboardInterrupt"
        )  # Python's own, before there is a command
        assert "Traceback" not in said or importing, said
        if process.returncode == 0 or (name in ("train", "population") and finished(out)):  # killed on its way out
            return done
        expected = {-number, 128 + number} if number != signal.SIGKILL else {-number}
        assert process.returncode in expected, f"{name}: {process.returncode} after {number.name}\n{said}"
        if process.returncode > 0 and not importing:
            assert f"on {number.name}" in said.strip().splitlines()[-1]
        begun = RunDirectory(out).begun or PopulationDirectory(out).begun
        words = go_on if begun or (name == "reproduce" and (out / "memory" / "experiment.json").exists()) else begin


def told(name: str, begin: list[str], out: Path) -> list[str]:
    """The command with the seams that signals made, if it was stopped by one."""
    stopped = [line for line in history_of(out) if line["event"] == "stopped"]
    at = [f"{line['member']}:{line['frames']}" if name == "population" else str(line["frames"]) for line in stopped]
    return [*begin, "--checkpoint-at", *at] if at else begin


@pytest.fixture(scope="module")
def budget() -> dict[str, int]:
    return {name: -(-KILLS * share // 10) for name, share in (("train", 4), ("population", 3), ("reproduce", 1), ("demo", 2))}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train", "population", "reproduce", "demo"])
def test_kills(suite, make_policy, tmp_path, budget, name) -> None:
    rng, how = random.Random(f"{SEED}{name}"), commands(suite, make_policy())[name]
    killed = attempts = 0
    while killed < budget[name]:
        out = tmp_path / f"killed-{attempts}"
        killed += brought_to_its_end(name, how, out, rng, min(5, budget[name] - killed), 12.0 if name == "train" else 20.0)
        attempts += 1
        if name in ("train", "population"):
            whole = tmp_path / f"whole-{attempts}"
            begin = told(name, how[0], out)
            assert started(begin, whole, "whole").wait(600) == 0
            runs = [(out, whole)] if name == "train" else [(out / "best", whole / "best")]
            for one, other in runs:
                newest = [RunDirectory(path).newest_checkpoint for path in (one, other)]
                assert newest[0] is not None
                assert newest[1] is not None
                for file in ("network.safetensors", "optimiser.safetensors"):
                    assert (newest[0] / file).read_bytes() == (newest[1] / file).read_bytes()
        for run in out.rglob("metrics.jsonl"):
            frames = [line["frames"] for line in read_metrics(run)]
            assert frames == sorted(set(frames)), run
        for config in out.rglob("config.json"):
            assert json.loads(config.read_text())["self_sha256"]
    print(f"{name}: {killed} kills in {attempts} commands")
