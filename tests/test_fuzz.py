"""Thousands of random inputs: options, suites, damaged directories, spaces and environments with faults.

Whatever comes, a command ends well or with one line; nothing of others is lost; what is finished has finite weights; nothing is
imported that was not named. For a nightly run: FUZZ=5000 cases, SEED draws others.
"""

# ruff: noqa: PT017
from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from kickstarting import cli, trust
from kickstarting.config import Config
from kickstarting.population.config import PopulationConfig
from kickstarting.runs.checkpoint import load_checkpoint
from kickstarting.runs.layout import RunDirectory
from kickstarting.settings import flat
from kickstarting.tuning.recipe import SPELLED

FUZZ = int(os.environ.get("FUZZ", "5000"))
SEED = int(os.environ.get("SEED", "0"))
EVIL = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\nfrom kickstarting.networks.agent import Agent as Net\n"

VALUES = [
    "",
    " ",
    "0",
    "1",
    "-1",
    "2",
    "3",
    "0.5",
    "1e-3",
    "-0.0",
    "nan",
    "inf",
    "-inf",
    "1e308",
    "1e400",
    "9" * 400,
    "2**64",
    "18446744073709551616",
]
VALUES += [
    "true",
    "none",
    "auto",
    "x",
    "[/x]",
    "$x_{",
    "../../up",
    "\x1b[31m",
    "a\nb",
    "é" * 200,
    "٣",
    "%",
    "20%",
    "200%",
    "1k",
    "5M",
    "1:2",
    "0.1:2:1",
]
VALUES += [
    "linear:1:0:20%",
    "linear:1:0",
    "constant:1",
    "constant:-1",
    "progress:1",
    "evidence:1",
    "step:0:1:5%",
    "piecewise:0=1;10%=0",
    "exponential:1:0",
]
VALUES += [
    "hidden=8",
    "hidden=0",
    "lstm=-1",
    "lstm=1e9",
    "channels=(4,)",
    "channels=()",
    "channels=(4,8,8,8)",
    "language=0",
    "deep=True",
    "x=1",
    "=",
    "hidden=",
]
VALUES += [
    "small",
    "large",
    "evil.payload:Net",
    "os:system",
    "nowhere:Net",
    "adam",
    "rmsprop",
    "abs_one",
    "mask",
    "identity+mask",
    "zoo:none",
    "*=zoo:x",
]
VALUES += [
    "MiniGrid-Empty-5x5-v0",
    "CartPole-v1",
    "gymnasium:CartPole-v1",
    "gymnasium-async:CartPole-v1",
    "grid-8:nothing",
    "/dev/null",
    "/dev/full",
    "/",
    ".",
]


@pytest.fixture
def evil(tmp_path, monkeypatch) -> Path:
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "__init__.py").write_text("")
    (tmp_path / "evil" / "payload.py").write_text(EVIL)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(trust, "_trusted", set())
    return tmp_path / "evil" / "ran"


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """Where commands run, beside things of somebody."""
    precious = tmp_path / "home" / "precious" / "checkpoints" / "00000001"
    precious.mkdir(parents=True)
    (precious / "sea.jpg").write_text("mine")
    (tmp_path / "home" / "config.json").write_text('{"mine": 1}')
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


def intact(home: Path) -> None:
    assert (home / "precious" / "checkpoints" / "00000001" / "sea.jpg").read_text() == "mine"
    assert (home / "config.json").read_text() == '{"mine": 1}'
    assert {path.name for path in (home / "precious").iterdir()} == {"checkpoints"}


def called(words: list[str], monkeypatch, capsys) -> bool:
    """Whether a command ended well; else with one line."""
    monkeypatch.setattr(sys, "argv", ["kickstart", *words])
    try:
        cli.main()
    except SystemExit as stop:
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err + printed.out, words
        if isinstance(stop.code, str):
            assert "\n" not in stop.code.strip(), (words, stop.code)
            assert len(stop.code) < 3000, words
            return False
        assert stop.code in (0, 1, 2), (words, stop.code)  # tyro's own
        return stop.code == 0
    except BaseException as error:
        raise AssertionError(f"{words}: {type(error).__name__}: {error}") from error
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err + printed.out, words
    return True


def finite(out: Path) -> None:
    run = RunDirectory(out)
    if run.finished:
        assert run.newest_checkpoint is not None
        snapshot = load_checkpoint(run.newest_checkpoint)
        for tensors in (snapshot.network, snapshot.optimiser):
            assert all(torch.isfinite(x).all() for x in tensors.values() if x.is_floating_point())


def option(name: str) -> str:
    return "--" + SPELLED.get(name, name).replace("_", "-")


def drawn(rng: random.Random, names: list[str]) -> list[str]:
    name = rng.choice(names)
    default = flat(Config() if name in flat(Config()) else PopulationConfig()).get(name)
    if isinstance(default, bool):
        return [option(name)] if rng.random() < 0.5 else [option(name).replace("--", "--no-", 1)]
    return [option(name), *(rng.choice(VALUES) for _ in range(1 if rng.random() < 0.95 else 2))]


SMALL = ["--network", "small", "--frames", "200", "--envs-per-task", "2", "--unroll-length", "8", "--torch-threads", "1"]
SMALL += ["--precision", "float32", "--network-option", "hidden=8"]


@pytest.mark.slow
def test_options(home, evil, monkeypatch, capsys, make_policy) -> None:
    rng, teacher = random.Random(f"{SEED}options"), make_policy()
    of_run = [name for name in flat(Config()) if name not in ("suite", "inputs", "trust_modules", "device")]
    of_population = list(flat(PopulationConfig()))
    for i in range(FUZZ * 2 // 5):
        command = rng.choice(["train"] * 6 + ["population", "evaluate", "compare", "tune", "train --resume"])
        out = home / f"run-{i}"
        suite = rng.choice(["CartPole-v1", "MiniGrid-Empty-5x5-v0", "Pendulum-v1"]) if rng.random() < 0.95 else rng.choice(VALUES)
        words = [word for _ in range(rng.choice([1, 1, 2, 3])) for word in drawn(rng, of_run)]
        if command == "train":
            taught = ["--teacher", teacher, "--accept-weak-teachers"] if rng.random() < 0.2 else []
            words = ["train", suite, *SMALL, *taught, "--out", str(out) if rng.random() < 0.9 else rng.choice(VALUES), *words]
        elif command == "population":
            sizes = ["--members", "2", "--slice", "50%", "--burn-in", "50%"]
            words = ["population", suite, *SMALL, *sizes, "--out", str(out), *drawn(rng, of_population), *words]
        elif command == "tune":
            words = ["tune", suite, *SMALL, "--budget", rng.choice(VALUES), "--out", str(out), *words]
        elif command == "train --resume":
            words = [
                "train",
                "--resume",
                rng.choice([str(home / "precious"), "run-0", "run-1", *VALUES]),
                *words[: rng.choice([0, 2])],
            ]
        elif command == "evaluate":
            more = rng.choice(
                [
                    ["--episodes", "1"],
                    ["--episodes", rng.choice(VALUES)],
                    ["--seed", rng.choice(VALUES)],
                    ["--json", rng.choice(VALUES)],
                ]
            )
            words = ["evaluate", rng.choice(["random", teacher, "run-0", *VALUES]), suite, "--episodes", "1", *more]
        else:
            words = [
                "compare",
                rng.choice(["run-0", "precious", ".", *VALUES]),
                "--out",
                rng.choice([f"report-{i}", "precious", *VALUES]),
            ]
        if "--jobs" in words or command == "tune":  # no processes
            monkeypatch.setattr("kickstarting.tuning.tune.run_all", lambda *_, **__: pytest.skip("tuned"))
        named = "evil.payload:Net" in words
        with contextlib.suppress(pytest.skip.Exception):
            called(words, monkeypatch, capsys)
        finite(out)
        intact(home)
        if not named:
            assert not evil.exists(), words
        evil.unlink(missing_ok=True)
        shutil.rmtree(out, ignore_errors=True) if i > 1 else None


def damaged(path: Path, rng: random.Random) -> None:
    """Do something bad to a file."""
    data = path.read_bytes()
    kind = rng.choice(["flip", "cut", "empty", "gone", "other", "folder", "type", "swap"])
    if kind == "flip" and data:
        at = rng.randrange(len(data))
        data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    elif kind == "cut":
        data = data[: rng.randrange(len(data) + 1)]
    elif kind == "empty":
        data = b""
    elif kind == "other":
        data = rng.choice(
            [b"[]", b"null", b"3", b'"x"', b"{}", b"\xff\xfe", b"{" * 5000, b'{"frames": -1}\n', b'{"frames": "x"}\n']
        )
    elif kind == "type" and path.suffix == ".json":
        try:
            content = json.loads(data)
            content[rng.choice(list(content))] = rng.choice([None, [], {}, "x", -1, 1e308, True])
            data = json.dumps(content).encode()
        except (ValueError, TypeError, IndexError):
            data = b"{}"
    elif kind == "swap":
        data = data[::-1]
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind != "gone":
        path.write_bytes(data)


@pytest.mark.slow
def test_damaged_directories(home, evil, monkeypatch, capsys, tiny, make_policy) -> None:
    rng = random.Random(f"{SEED}damage")
    whole = home / "whole"
    words = [
        "train",
        "MiniGrid-Empty-5x5-v0",
        *SMALL,
        "--checkpoint-every",
        "64",
        "--teacher",
        make_policy("MiniGrid-Empty-5x5-v0"),
    ]
    assert called([*words, "--out", str(whole)], monkeypatch, capsys)
    (whole / "finished.json").unlink()
    shutil.rmtree(sorted((whole / "checkpoints").iterdir())[-1])
    population = home / "population"
    sizes = ["--members", "2", "--slice", "50%", "--burn-in", "50%", "--score-window", "1"]
    assert called(["population", *words[1:], *sizes, "--out", str(population)], monkeypatch, capsys)
    for i in range(FUZZ // 5):
        source = rng.choice([whole, whole, population])
        out = home / f"damaged-{i}"
        shutil.copytree(source, out)
        (out / "theirs.txt").write_text("mine")
        if source is population:
            shutil.rmtree(out / "best") if rng.random() < 0.7 else None
        files = [
            path for path in out.rglob("*") if path.is_file() and "tensorboard" not in path.parts and path.name != "theirs.txt"
        ]
        for path in rng.sample(files, rng.choice([1, 1, 1, 2, 4])):
            damaged(path, rng)
        command = "population" if source is population else "train"
        for words in (
            [command, "--resume", str(out)],
            ["compare", str(out), "--out", str(out / "report")],
            ["evaluate", str(out), "MiniGrid-Empty-5x5-v0", "--episodes", "1"],
        ):
            called(words, monkeypatch, capsys)
        finite(out)
        assert (out / "theirs.txt").read_text() == "mine"
        assert not evil.exists()
        intact(home)
        shutil.rmtree(out)


def space(rng: random.Random, depth: int = 0) -> gymnasium.Space:
    """A space, odd as they come."""
    shape = tuple(rng.choice([1, 2, 3, 5, 12]) for _ in range(rng.choice([0, 1, 1, 2, 3])))
    low, high = rng.choice([(0.0, 1.0), (-1.0, 1.0), (-1000.0, 1000.0), (-np.inf, np.inf), (0.0, np.inf), (2.0, 2.5)])
    made: list[Callable[[], gymnasium.Space]] = [
        lambda: spaces.Discrete(rng.choice([1, 2, 5]), start=rng.choice([-3, 0, 7])),
        lambda: spaces.Box(low, high, shape, rng.choice([np.float32, np.float64])),
        lambda: spaces.Box(0, 255, shape or (3,), np.uint8),
        lambda: spaces.Box(-7, 9, shape, np.int64),
        lambda: spaces.MultiDiscrete(np.full(shape or (2,), 3), start=np.full(shape or (2,), rng.choice([0, 4]))),
        lambda: spaces.MultiBinary(shape or 4),
    ]
    if depth == 0:
        made += [
            lambda: spaces.Dict(
                {rng.choice(["a.b", "keys", "x/y", "", "training", "image", "mission"]): space(rng, 1), "z": space(rng, 1)}
            ),
            lambda: spaces.Tuple((space(rng, 1), space(rng, 1))),
            lambda: spaces.Text(8),
            lambda: spaces.Sequence(spaces.Discrete(2)),
        ]
    return rng.choice(made)()


class Odd(gymnasium.Env):
    """Any spaces; at some step it does what it must not."""

    def __init__(self, seed: int, fault: str) -> None:
        rng = random.Random(seed)
        self.observation_space, self.action_space = space(rng), space(rng, 1)
        self._fault, self._steps, self._when = fault, 0, rng.randrange(1, 12)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), f"told {action!r} of {self.action_space}"
        self._steps += 1
        observation, reward = self.observation_space.sample(), 1.0
        if self._steps % 12 == self._when and self._fault != "none":
            if self._fault == "raise":
                raise KeyError("of\nits own")
            if self._fault == "nan reward":
                reward = float("nan")
            elif self._fault == "shape":
                observation = np.zeros((2, 3, 4, 5), np.float32)
            elif self._fault == "nothing":
                observation = None
            elif self._fault == "nan" and isinstance(self.observation_space, spaces.Box):
                observation = np.full(self.observation_space.shape, np.nan)
            elif self._fault == "reward":
                reward = "much"  # type: ignore[assignment]
            elif self._fault == "exit":
                raise SystemExit(3)
        return observation, reward, self._steps % 5 == 0, False, {}


@pytest.mark.slow
def test_spaces_and_environments(home, evil, monkeypatch, capsys) -> None:
    rng = random.Random(f"{SEED}spaces")
    faults = ["none", "none", "raise", "nan reward", "shape", "nothing", "nan", "reward", "exit"]
    for i in range(FUZZ * 2 // 5):
        seed, fault = rng.randrange(10**9), rng.choice(faults)
        name = f"Odd-{i}-v0".replace("-v0", "") + "-v0"
        make: Any = partial(Odd, seed, fault)
        gymnasium.register(name, make, disable_env_checker=True)
        backend = "gymnasium" if rng.random() < 0.97 else "gymnasium-async"
        out = home / f"run-{i}"
        words = ["train", f"{backend}:{name}", *SMALL, "--out", str(out)]
        if rng.random() < 0.3:
            words = ["evaluate", "random", f"{backend}:{name}", "--episodes", "2"]
        called(words, monkeypatch, capsys)
        finite(out)
        gymnasium.registry.pop(name)
        shutil.rmtree(out, ignore_errors=True)
    intact(home)
    assert not list(itertools.islice(home.glob("run-*"), 1))
