"""Small things to train: a suite of two quick tasks, a configuration of a second's work, and teachers made without training."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from kickstarting import Config, cli, load_suite
from kickstarting.assembly import make_env
from kickstarting.envs import MultiTaskEnv
from kickstarting.learner import PAPER
from kickstarting.machine import use_machine
from kickstarting.networks.spec import NetworkSpec
from kickstarting.runs.checkpoint import Snapshot, save_checkpoint


@pytest.fixture(autouse=True)
def fresh_process() -> None:
    """What a run chose for its process does not reach the next test."""
    use_machine(1)


@pytest.fixture
def signals_heard() -> Iterator[None]:
    """As in a terminal, wherever the tests run: under nohup, or in the background of a shell, some signals are ignored."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def kickstart(monkeypatch, capsys) -> Callable[..., str]:
    """Runs a command in this process and returns what it printed."""

    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["kickstart", *map(str, arguments)])
        cli.main()
        return capsys.readouterr().out

    return call


SUITE = """
name = "two"
[defaults]
metric = "success"
random = 0.1
reference = 0.9
options = {max_episode_steps = 10}
[[task]]
name = "object"
env_id = "BabyAI-GoToObj-v0"
[[task]]
name = "obstacles"
env_id = "MiniGrid-Dynamic-Obstacles-5x5-v0"
"""
OPTIONS = {"hidden": 8, "lstm": 8, "channels": (4, 8), "language": 4}


@pytest.fixture(scope="session")
def stand_in_lab() -> Iterator[None]:
    """The module deepmind_lab is tests/stand_ins/deepmind_lab.py, here and in other processes."""
    path = str(Path(__file__).parent / "stand_ins")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(path)
        patch.setenv("PYTHONPATH", path)
        yield


@pytest.fixture(scope="session")
def suite(tmp_path_factory) -> str:
    """Two tasks with missions and different action counts; 32 frames an update of `tiny`."""
    path = tmp_path_factory.mktemp("suite") / "two.toml"
    path.write_text(SUITE)
    return str(path)


@pytest.fixture(scope="session")
def tiny(suite) -> Callable[..., Config]:
    """Eight updates of a small recurrent network; keywords change that."""

    def config(**changes: Any) -> Config:
        options = tuple(f"{name}={value!r}" for name, value in OPTIONS.items())
        defaults: dict[str, Any] = {
            "suite": suite,
            "network": "small",
            "network_options": options,
            "total_frames": 256,
            "envs_per_task": 2,
            "unroll_length": 8,
            "learning_rate": "3e-3",
            "entropy_cost": "0.01",
            "torch_threads": 1,
            "precision": "float32",
            "schedule": "linear:1:0:20%",
            "accept_weak_teachers": True,
            "learner": PAPER,
        }
        return Config.of(**{**defaults, **changes})

    return config


@pytest.fixture(scope="session")
def make_policy(suite, tmp_path_factory) -> Callable[..., str]:
    """Writes an untrained policy as a run's checkpoint, and returns the run directory as a teacher's reference."""

    def write(
        suite_name: str = suite,
        network: str = "small",
        options: dict[str, Any] | None = None,
        favourite: int | None = None,
        task_scores: dict[str, float] | None = None,
        seed: int = 100,
    ) -> str:
        """favourite: the action that it nearly always takes; else its logits are spread by weights a hundred times too large."""
        env = MultiTaskEnv(load_suite(suite_name).tasks, 1, seed=0)
        env.close()
        spec = NetworkSpec(network, OPTIONS if options is None else options, env.observation_space, env.action_space)
        torch.manual_seed(seed)
        agent = spec.build(env.distribution)
        with torch.no_grad():
            if favourite is None:
                agent.policy.weight.mul_(100)
            else:
                agent.policy.bias[favourite] = 8.0
        record = {"spec": spec.to_json(), "task_scores": task_scores or {}}
        run: Path = tmp_path_factory.mktemp("teacher")
        save_checkpoint(run / "checkpoints", Snapshot(1, record, dict(agent.state_dict()), {}))
        return str(run)

    return write


@pytest.fixture
def student_env(tiny, suite) -> Iterator[MultiTaskEnv]:
    """A student's environments, two of each task."""
    env = make_env(tiny(), load_suite(suite), 0)
    yield env
    env.close()
