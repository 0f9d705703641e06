"""Teachers of a suite label the columns that are theirs, from unroll to unroll."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kickstarting.actor import Actor
from kickstarting.assembly import make_env
from kickstarting.networks import build_network
from kickstarting.suites import load_suite
from kickstarting.teachers import Teachers, build_teachers
from kickstarting.types import Labels, Trajectory
from known import known, network_of


@pytest.fixture
def student(tiny, suite):
    """An actor of the suite, and its environments."""
    env = make_env(tiny(), load_suite(suite), 0)
    torch.manual_seed(0)
    yield Actor(env, build_network("small", env.observation_space, env.distribution), 8, seed=0)
    env.close()


def names(suite: str) -> list[str]:
    return [task.name for task in load_suite(suite).tasks]


def labels_of(trajectory: Trajectory) -> Labels:
    return known(trajectory.labels)


def teachers_of(refs: list[str], suite: str, student: Actor) -> Teachers:
    return build_teachers(refs, names(suite), student.env.spaces, student.env.task_of_column)


@pytest.mark.parametrize("pattern", ["*", "obs*"])
def test_a_teachers_state_runs_on_from_unroll_to_unroll(student, suite, make_policy, pattern):
    """Labels of three unrolls equal one long pass over its own columns, and forgetting shows."""
    ref = make_policy()
    teachers = teachers_of([f"{pattern}={ref}"], suite, student)
    taught = teachers.assignments[0].columns
    assert taught.tolist() == ([0, 1, 2, 3] if pattern == "*" else [2, 3])
    unrolls = [student.unroll() for _ in range(3)]
    labels = torch.cat([labels_of(teachers.label(u, [np.ones(4)])).policy[0] for u in unrolls])

    network = network_of(teachers.assignments[0].teacher)
    state = network.initial_state(len(taught))
    expected = []
    for t in range(24):
        inputs = unrolls[t // 8].inputs[t % 8 : t % 8 + 1]
        with torch.no_grad():
            output, state = network(inputs[:, taught], state)
        expected.append(output.logits[0])
    torch.testing.assert_close(labels[:, taught], torch.stack(expected), rtol=1e-4, atol=1e-4)
    teachers.forget()
    again = labels_of(teachers.label(unrolls[1], [np.ones(4)])).policy[0]
    assert not torch.allclose(again[0, taught], labels[8, taught], atol=1e-3)


def test_several_teachers_label_their_own_columns(student, suite, make_policy):
    """Each teacher always wants an action of its own; two labels a column at most, and weight 0 where there are fewer."""
    left, right, ahead = (make_policy(favourite=action) for action in range(3))
    refs = [f"obj*={left}", f"obstacles={right}", f"*acle*={ahead}"]
    teachers = teachers_of(refs, suite, student)
    weights = [np.full(4, 0.5), np.full(4, 0.25), np.array([9, 9, 0.125, 0])]
    labels = labels_of(teachers.label(student.unroll(), weights))
    assert labels.weights[:, 0].tolist() == [[0.5, 0.5, 0.25, 0.25], [0, 0, 0.125, 0]]
    wanted = labels.policy.argmax(-1)
    assert wanted.shape == (2, 8, 4)
    assert (wanted[0] == torch.tensor([0, 0, 1, 1])).all()
    assert (wanted[1, :, 2:] == 2).all()


def test_one_reference_for_two_patterns_has_two_names(student, suite, make_policy):
    ref = make_policy()
    teachers = teachers_of([f"obj*={ref}", f"obstacles={ref}"], suite, student)
    assert [t.name for t in teachers.assignments] == [f"obj*={ref}", f"obstacles={ref}"]


def test_an_existing_path_is_no_pattern(student, suite, make_policy, tmp_path):
    """Sweeps like to name their runs lr=1e-3."""
    path = tmp_path / "lr=1e-3"
    path.symlink_to(make_policy())
    assert [t.name for t in teachers_of([str(path)], suite, student).assignments] == [str(path)]
    assert len(teachers_of([f"obj*={path}"], suite, student).assignments[0].columns) == 2


def test_a_pattern_that_matches_nothing_lists_the_tasks(student, suite, make_policy):
    with pytest.raises(ValueError, match="'Pong\\*' matches no task; the suite has object, obstacles"):
        teachers_of([f"Pong*={make_policy()}"], suite, student)
