"""Training scores over windows of episodes and of frames."""

from __future__ import annotations

import numpy as np
import pytest

from kickstarting.actor import Episode
from kickstarting.population.evolve import LEAST, score_samples
from kickstarting.runs.checkpoint import Snapshot
from kickstarting.scores import ScoreTracker
from kickstarting.suites import Suite, Task

SUITE = Suite("two", tuple(Task(name, "unused", random=0.0, reference=10.0) for name in ("a", "b")))


def episode(task: int, value: float) -> Episode:
    return Episode(task, 0, value, 5, False)


def test_a_window_of_frames_forgets_what_is_older():
    """Of the episodes that ended at 100, 200 and 300 frames, a window of 150 frames at 300 has the last two."""
    scores = ScoreTracker(SUITE, frames=150, warm_up=1)
    for frames, value in ((100, 0.0), (200, 4.0), (300, 8.0)):
        scores.add([episode(0, value), episode(1, value)], frames)
    assert scores.task_scores().tolist() == [60.0, 60.0]
    scores.add([], 449)
    assert scores.task_scores().tolist() == [80.0, 80.0]
    scores.add([episode(0, 1.0)], 451)
    assert scores.task_scores()[0] == 10.0
    assert np.isnan(scores.task_scores()[1])  # nothing of it ended lately
    assert scores.metrics()["score"] is None
    assert scores.episodes == 7


def test_a_window_of_frames_holds_any_number_of_episodes_and_waits_for_the_warm_up():
    scores = ScoreTracker(SUITE, window=2, frames=1000, warm_up=4)
    for n in range(4):
        assert np.isnan(scores.task_scores()).all()
        scores.add([episode(0, float(n)), episode(1, float(n))], n)
    assert scores.task_scores().tolist() == [15.0, 15.0]


@pytest.mark.parametrize("frames", [0, 150])
def test_windows_come_back_from_a_checkpoint(frames):
    before, after = (ScoreTracker(SUITE, window=2, frames=frames, warm_up=1) for _ in range(2))
    for at, value in ((100, 0.0), (200, 4.0), (300, 8.0)):
        before.add([episode(0, value), episode(1, value)], at)
    after.load(before.state())
    for tracker in (before, after):
        tracker.add([episode(0, 10.0)], 360)
    assert after.state() == before.state()
    assert after.metrics() == before.metrics()


def test_checkpoints_of_version_0_1_have_no_frames():
    scores = ScoreTracker(SUITE, window=4, warm_up=1)
    scores.load({"episodes": 2, "windows": {"a": [[5.0, 0.0]], "b": [[7.0, 1.0]]}})
    assert scores.task_scores().tolist() == [50.0, 70.0]


def test_members_with_windows_of_frames_are_compared_by_as_many_episodes_as_every_task_has():
    def samples(a: int, b: int) -> list[float]:
        windows = {"a": [(float(n), 0.0, n) for n in range(a)], "b": [(5.0, 0.0, n) for n in range(b)]}
        return score_samples(Snapshot(1, {"scores": {"windows": windows}}, {}, {}), SUITE, 0)

    assert samples(LEAST, LEAST - 1) == []
    assert len(samples(LEAST + 2, LEAST)) == LEAST
    assert samples(LEAST + 2, LEAST)[0] == pytest.approx((20.0 + 50.0) / 2)
