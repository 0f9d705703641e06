"""Real runs of a few seconds, and what they say of their health."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from rich.console import Console

from kickstarting import Config
from kickstarting.display import Display, ailing
from kickstarting.learner import PAPER
from kickstarting.runs import symptoms
from kickstarting.runs.health import BY_NAME, HEALTH
from kickstarting.runs.metrics import read_metrics
from kickstarting.runs.run import resume, run
from known import register
from resuming import without_times


class Cue(gymnasium.Env):
    """Four steps; the action that the observation shows pays 1, if anything does."""

    observation_space = spaces.Box(0.0, 1.0, (4,), np.float32)
    action_space = spaces.Discrete(4)

    def __init__(self, reward: float = 1.0) -> None:
        self.reward = reward

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._cue(), {}

    def step(self, action):
        reward = self.reward * float(action == self.shown)
        self.steps += 1
        return self._cue(), reward, self.steps == 4, False, {}

    def _cue(self) -> np.ndarray:
        self.shown = int(self.np_random.integers(4))
        return np.eye(4, dtype=np.float32)[self.shown]


register("kickstarting-test/Cue-v0", Cue)
CUE = """
name = "cue"
[[task]]
name = "cue"
env_id = "kickstarting-test/Cue-v0"
backend = "gymnasium"
random = 1.0
reference = 4.0
options = {reward = REWARD}
"""


@pytest.fixture
def cue(tmp_path) -> Callable[..., Config]:
    """A run of about a second that learns the cue in a tenth of its frames."""

    def config(reward: float = 1.0, **changes: Any) -> Config:
        path = tmp_path / "cue.toml"
        path.write_text(CUE.replace("REWARD", str(reward)))
        defaults: dict[str, Any] = {
            "network": "small",
            "network_options": ("hidden=16", "lstm=16"),
            "total_frames": 24_000,
            "unroll_length": 8,
            "learning_rate": "2e-2",
            "learner": PAPER,
            "torch_threads": 1,
            "precision": "float32",
        }
        return Config.of(str(path), **{**defaults, **changes})

    return config


class Quiet(Display):
    """A display that is no terminal, and keeps what it printed."""

    def __init__(self, config: Config) -> None:
        self.file = io.StringIO()
        super().__init__(config, Console(file=self.file, width=200))


def ran(config: Config, out: Path, display: Quiet | None = None) -> tuple[str, list[str]]:
    """What a run printed, and what stands at its end."""
    show = display or Quiet(config)
    run(config, out, display=show)
    return show.file.getvalue(), ailing(read_metrics(out / "metrics.jsonl")[-1])


def taught(teacher: Path) -> bool:
    """Whether it can teach: it solves the cue, which chance does half of the time."""
    score = read_metrics(teacher / "metrics.jsonl")[-1]["score"]
    return score is not None and score > 80


@pytest.fixture
def unhurried(monkeypatch) -> None:
    """The speed of the machine that tests run on proves nothing."""
    monkeypatch.setattr(symptoms, "SLOW", 0.0)


@pytest.mark.usefixtures("unhurried")
def test_a_real_run_that_learns_says_nothing(cue, tmp_path):
    printed, standing = ran(cue(), tmp_path / "run")
    logged = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert logged[-1]["score"] > 85
    assert all(line[HEALTH + name] == 0.0 for line in logged for name in BY_NAME)
    assert standing == []
    assert not any(name in printed for name in BY_NAME)


@pytest.mark.usefixtures("unhurried")
def test_a_real_run_that_cannot_learn_says_why_once(cue, tmp_path):
    """No reward, and steps too small to follow anybody."""
    printed, standing = ran(cue(reward=0.0, learning_rate="1e-9"), tmp_path / "run")
    assert standing == ["uniform_policy", "no_reward"]
    assert printed.count("no reward was ever seen on cue") == printed.count("the policy is still near uniform") == 1


@pytest.mark.usefixtures("unhurried")
def test_a_real_run_that_does_not_follow_its_teacher(cue, tmp_path):
    ran(cue(), tmp_path / "teacher")
    assert taught(tmp_path / "teacher")
    config = cue(teachers=(str(tmp_path / "teacher"),), learning_rate="1e-9", schedule="constant:1", total_frames=8000)
    printed, standing = ran(config, tmp_path / "run")
    assert "unheard_teacher" in standing
    assert printed.count("the student does not come closer to its teachers") == 1


@pytest.mark.usefixtures("unhurried")
def test_a_real_run_that_is_let_go_below_its_teacher(cue, tmp_path):
    """It stops learning when its teacher stops talking."""
    ran(cue(), tmp_path / "teacher")
    assert taught(tmp_path / "teacher")
    config = cue(
        teachers=(str(tmp_path / "teacher"),), schedule="linear:1:0:3%", learning_rate="linear:2e-3:0:3%", total_frames=8000
    )
    printed, standing = ran(config, tmp_path / "run")
    assert "below_teacher" in standing
    assert "let it listen longer, as with --schedule linear:1:0:6% instead of linear:1:0:3%" in printed


@pytest.mark.usefixtures("unhurried")
def test_a_real_run_that_is_resumed_says_the_same(cue, tmp_path):
    """Killed at the second of its checkpoints, while a diagnosis stands; the other process does not say it again."""
    config = cue(reward=0.0, learning_rate="1e-9", checkpoint_every="25%", total_frames=8192)
    _, standing = ran(config, tmp_path / "whole")

    class Killed(Quiet):
        def __call__(self, frames, metrics, warnings=()):
            super().__call__(frames, metrics, warnings)
            if frames > 5000:
                raise KeyboardInterrupt

    killed = Killed(config)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "killed", display=killed)
    again = Quiet(config)
    resume(tmp_path / "killed", display=again)
    first, second = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("whole", "killed"))
    assert [without_times(line) for line in first] == [without_times(line) for line in second]
    assert standing == ailing(second[-1]) == ["uniform_policy", "no_reward"]
    assert "no_reward" in killed.file.getvalue()
    assert "no_reward" not in again.file.getvalue()


def test_a_real_run_whose_machine_is_taken_away_says_so(cue, tmp_path):
    class Held(Quiet):
        """After half of its lines each takes nine times what the first ones took, however fast that was."""

        def __enter__(self):
            self.times: list[float] = []
            return super().__enter__()

        def __call__(self, frames, metrics, warnings=()):
            super().__call__(frames, metrics, warnings)
            self.times.append(time.perf_counter())
            if frames > self.config.total_frames / 2:
                time.sleep(8 * float(np.median(np.diff(self.times[:6]))))

    config = cue(total_frames=3072)
    printed, standing = ran(config, tmp_path / "run", Held(config))
    assert "slow" in standing
    assert re.search(r"frames/s, where the first lines had [\d,]+ \(load average [\d.]+ on \d+ cores\)", printed)
