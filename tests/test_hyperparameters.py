"""Lambda of every teacher and task, learning rate and entropy cost over a run."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from kickstarting import Config, train
from kickstarting.algo.distributions import Categorical
from kickstarting.hyperparameters import HyperparameterSchedules, Scheduled
from kickstarting.suites import Suite, Task
from kickstarting.teachers import Assignment, Teachers

NEGATIVE = Suite("negative", tuple(Task(name, "unused", random=-21.0, reference=-1.0) for name in ("easy", "hard")))


def schedules_for(suite: Suite, scores: list[dict[str, float]], error: float = 0.0, **changes) -> HyperparameterSchedules:
    """Of teachers that are known by their scores alone; two columns a task."""
    columns = np.arange(2 * len(suite.tasks))
    known: list[Any] = [SimpleNamespace(ref=str(i)) for i in range(len(scores))]
    assignments = [Assignment(teacher, torch.from_numpy(columns)) for teacher in known]
    teachers = Teachers(assignments, len(columns), Categorical(3), spaces.Discrete(3))
    measured = {
        str(i): {
            "tasks": s,
            "errors": dict.fromkeys(s, error),
            "no_better_than_random": [task for task, score in s.items() if score <= max(error, 1.0)],
        }
        for i, s in enumerate(scores)
    }
    config = Config.of(
        "unused",
        envs_per_task=2,
        teachers=tuple("x" for _ in scores),
        **{"schedule": "progress:2", "learning_rate": "3e-3", "entropy_cost": "0.01", "baseline_cost": "0.5", **changes},
    )
    return HyperparameterSchedules(Scheduled.of(config), teachers, suite, columns // 2, measured)


def lambdas(schedules: HyperparameterSchedules, scores: list[float], frames: int = 0) -> list[list[float]]:
    """One value for each teacher and task; the columns of a task agree."""
    weights = [w.reshape(-1, 2) for w in schedules.at(frames, np.array(scores))[1]]
    assert all((w[:, 0] == w[:, 1]).all() for w in weights)
    return [w[:, 0].tolist() for w in weights]


def test_progress_falls_from_the_start_to_zero_at_the_teachers_score_for_each_task():
    schedules = schedules_for(NEGATIVE, [{"easy": 80.0, "hard": 40.0}])
    for score, expected in [(math.nan, [2, 2]), (0, [2, 2]), (20, [1.5, 1]), (40, [1, 0]), (80, [0, 0]), (100, [0, 0])]:
        assert lambdas(schedules, [score, score])[0] == pytest.approx(expected)


def test_progress_of_negative_returns():
    """A return of -11 is half-way from random (-21) to the reference (-1), and worse than random is no progress."""
    schedules = schedules_for(NEGATIVE, [{"easy": 100.0, "hard": 100.0}])
    scores = [task.score(value) for task, value in zip(NEGATIVE.tasks, (-11.0, -30.0), strict=True)]
    assert lambdas(schedules, scores)[0] == pytest.approx([1.0, 2.0])


def test_an_incompetent_teacher_gets_nothing_under_progress():
    schedules = schedules_for(NEGATIVE, [{"easy": 0.2, "hard": -15.0}, {"easy": 100.0, "hard": 0.0}])
    for score in (math.nan, -15.0, 0.0, 50.0):
        incompetent, half = lambdas(schedules, [score, score])
        assert incompetent == [0, 0]
        assert half[1] == 0
    assert lambdas(schedules, [math.nan, math.nan])[1][0] == 2


def test_progress_ends_at_its_horizon_and_shares_multiply():
    scores = {"easy": 100.0, "hard": 100.0}
    schedules = schedules_for(NEGATIVE, [scores, scores], schedule="progress:1:1000", teacher_shares=(1.0, 0.25))
    assert lambdas(schedules, [0, 50], frames=999) == [pytest.approx([1, 0.5]), pytest.approx([0.25, 0.125])]
    assert lambdas(schedules, [0, 50], frames=1000) == [[0, 0], [0, 0]]


def test_evidence_lets_go_of_each_task_while_the_student_is_as_good_as_the_teacher():
    schedules = schedules_for(NEGATIVE, [{"easy": 80.0, "hard": 40.0}], schedule="evidence:2:100:1000")
    scores = {0: (math.nan, 0), 50: (79, 40), 100: (81, 40), 150: (81, 10), 200: (0, 10), 250: (100, 50)}
    expected = [(2, 2), (2, 1), (1, 0), (0, 0), (0, 0), (0, 0)]
    for (frames, now), values in zip(scores.items(), expected, strict=True):
        assert lambdas(schedules, list(now), frames=frames)[0] == pytest.approx(values), frames


def test_evidence_ends_slowly_at_its_horizon_whatever_the_student_does():
    schedules = schedules_for(NEGATIVE, [{"easy": 80.0, "hard": 40.0}], schedule="evidence:2:100:1000")
    for frames, expected in ((0, 2), (500, 2), (750, 1), (1000, 0), (5000, 0)):
        assert lambdas(schedules, [0, 0], frames=frames)[0] == pytest.approx([expected] * 2)


@pytest.mark.parametrize("schedule", ["progress:1", "evidence:1"])
def test_a_teacher_within_its_error_of_random_is_not_listened_to(schedule):
    schedules = schedules_for(NEGATIVE, [{"easy": 4.0, "hard": 40.0}], error=5.0, schedule=schedule)
    assert lambdas(schedules, [math.nan, math.nan])[0] == [0, 1]


def test_what_evidence_has_seen_is_part_of_a_checkpoint():
    whole, first, second = (
        schedules_for(NEGATIVE, [{"easy": 0.0, "hard": 40.0}], schedule="evidence:1:100:1000") for _ in range(3)
    )
    seen = [lambdas(s, [0, 41], frames=f) for s, f in ((whole, 0), (whole, 30), (whole, 60), (first, 0), (first, 30))]
    second.load(first.state())
    assert lambdas(second, [0, 41], frames=60) == seen[2] == [[0, pytest.approx(0.4)]]


def test_progress_needs_reference_scores():
    with pytest.raises(ValueError, match="needs a random and a reference score"):
        schedules_for(Suite("bare", (Task("a", "unused"),)), [{"a": 50.0}])


def test_learning_rate_and_entropy_cost_follow_their_schedules(tiny):
    config = tiny(learning_rate="linear:1e-3:0:100%", entropy_cost="linear:0.1:0.05:50%")
    metrics = [u.metrics for u in train(config)]
    assert [m["learning_rate"] for m in metrics] == pytest.approx([1e-3 * (1 - i / 8) for i in range(8)])
    assert [m["entropy_cost"] for m in metrics] == pytest.approx([0.1, 0.0875, 0.075, 0.0625, 0.05, 0.05, 0.05, 0.05])
