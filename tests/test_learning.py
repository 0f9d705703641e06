"""Students learn: from rewards, through a memory, from a teacher, in one pass and in several. Seeds are fixed, margins wide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from kickstarting import Config, train
from kickstarting.learner import PAPER, LearnerConfig

EXAMPLES = str(Path(__file__).parent.parent / "examples")


def last_score(suite: str, frames: int, *options: str, **changes: Any) -> float:
    settings = {"network": "small", "network_options": options, "total_frames": frames, "torch_threads": 1, **changes}
    config = Config.of(suite, precision="float32", **settings)
    scores = [update.metrics["score"] for update in train(config)]
    assert scores[-1] is not None
    return scores[-1]


QUICK: dict[str, Any] = {"unroll_length": 16, "learning_rate": "1e-2"}


class Bandit(gymnasium.Env):
    """One step: the arm's mean reward plus noise as wide as the distance of the best arm from the next."""

    observation_space = spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = spaces.Discrete(5)
    MEANS = (0.2, 0.6, 0.0, 1.0, 0.4)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return np.ones(1, np.float32), self.MEANS[action] + 0.4 * self.np_random.normal(), True, False, {}


class Patience(gymnasium.Env):
    """+1 for going on four times, +0.3 for leaving before; the observation says how often one went on."""

    observation_space = spaces.Box(0.0, 1.0, (4,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        return np.eye(4, dtype=np.float32)[0], {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._steps += action
        arrived = self._steps == 4
        reward = 1.0 if arrived else 0.0 if action else 0.3
        return np.eye(4, dtype=np.float32)[min(self._steps, 3)], reward, arrived or not action, False, {}


ENVIRONMENTS: dict[str, Any] = {"Bandit-v0": Bandit, "Patience-v0": Patience}
for name, environment in ENVIRONMENTS.items():
    gymnasium.register(name, environment)


def test_the_best_arm_of_a_bandit_is_found() -> None:
    """A mean of 50 episodes. Arms drawn evenly give 0.44, the next best 0.6."""
    assert last_score("Bandit-v0", 4096, "hidden=16", "lstm=0", **QUICK) > 0.8


@pytest.mark.parametrize(("learner", "frames"), [(PAPER, 12_288), (LearnerConfig(), 4096)], ids=["one pass", "several passes"])
def test_a_later_reward_is_worth_waiting_for(learner: LearnerConfig, frames: int) -> None:
    """Leaving at once gives 0.3, and an even draw hardly more; only a return that counts later rewards shows the way on."""
    assert last_score("Patience-v0", frames, "hidden=16", "lstm=0", learner=learner, **QUICK) > 0.9


MAZE = """
[[task]]
env_id = "t_maze:TMaze-v0"
backend = "gymnasium"
options = {length = 2, max_episode_steps = 8}
"""


@pytest.mark.slow
def test_a_t_maze_needs_a_memory(monkeypatch, tmp_path) -> None:
    """Without one the mean is 0.45 at most, and 50 episodes with as many turns of a coin deviate by 0.08."""
    monkeypatch.syspath_prepend(EXAMPLES)
    (tmp_path / "maze.toml").write_text(MAZE)
    with_memory, without = (
        last_score(str(tmp_path / "maze.toml"), 24_576, "hidden=16", memory, trust_modules=("t_maze",), **QUICK)
        for memory in ("lstm=16", "lstm=0")
    )
    assert with_memory > 0.9
    assert 0.1 < without < 0.7


@pytest.mark.slow
def test_a_teacher_shows_what_to_remember(monkeypatch) -> None:
    """A student whose head began near 0 turned at random to the end: its LSTM had closed before it knew what to keep."""
    monkeypatch.syspath_prepend(EXAMPLES)
    teacher = "sb3:tests/teachers/foreign/recurrent-ppo-maze.zip"
    maze = "experiments/foreign-teachers/t_maze.toml"
    changes = {"network": "large", "teachers": (teacher,), "trust_modules": ("t_maze",)}
    assert last_score(maze, 30_208, "lstm=64", **changes) > 80


ROOMS = """
[defaults]
metric = "success"
options = {max_episode_steps = 40}
[[task]]
name = "door_key"
env_id = "MiniGrid-DoorKey-5x5-v0"
[[task]]
name = "lava_gap"
env_id = "MiniGrid-LavaGapS6-v0"
"""


@pytest.mark.slow
def test_a_teacher_shows_what_is_hardly_found_alone(tmp_path) -> None:
    """Two tasks whose reward a random policy meets in one of a hundred episodes; the teacher knows larger ones of their kind."""
    (tmp_path / "rooms.toml").write_text(ROOMS)
    options = ("hidden=64", "lstm=0", "channels=(8,16)", "language=4")
    kickstarted, scratch = (
        last_score(str(tmp_path / "rooms.toml"), 13_312, *options, teachers=teachers, schedule="constant:1", **QUICK)
        for teachers in (("zoo:grid-8-small",), ())
    )
    assert kickstarted > 0.8
    assert scratch < 0.2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suite", "frames", "score"), [("CartPole-v1", 200_000, 400), ("Acrobot-v1", 200_000, -110), ("Pendulum-v1", 400_000, -300)]
)
def test_classic_control(suite, frames, score) -> None:
    assert last_score(suite, frames) > score
