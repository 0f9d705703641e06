"""The defaults learn: rewards of any size, short and long episodes, discrete and continuous actions, with and without memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from kickstarting import Config, train

EXAMPLES = str(Path(__file__).parent.parent / "examples")


def last_score(suite: str, frames: int, *options: str) -> float:
    config = Config(suite, network="small", network_options=options, total_frames=frames, torch_threads=1, precision="float32")
    scores = [update.metrics["score"] for update in train(config)]
    assert scores[-1] is not None
    return scores[-1]


MAZE = """
[[task]]
env_id = "t_maze:TMaze-v0"
backend = "gymnasium"
options = {length = 2, max_episode_steps = 12}
"""


def test_a_t_maze_needs_a_memory(monkeypatch, tmp_path) -> None:
    """Without one the mean is 0.45 at most."""
    monkeypatch.syspath_prepend(EXAMPLES)
    (tmp_path / "maze.toml").write_text(MAZE)
    assert last_score(str(tmp_path / "maze.toml"), 40_000, "lstm=32") > 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suite", "frames", "score"), [("CartPole-v1", 200_000, 400), ("Acrobot-v1", 200_000, -110), ("Pendulum-v1", 400_000, -300)]
)
def test_classic_control(suite, frames, score) -> None:
    assert last_score(suite, frames) > score
