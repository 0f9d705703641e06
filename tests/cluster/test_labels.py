"""Labels of actors that come in any order are those that each would have had alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kickstarting.actor import Actor, Episode
from kickstarting.assembly import build, make_env
from kickstarting.cluster.labels import LabelsByActor
from kickstarting.cluster.slots import Slots, waves
from kickstarting.suites import load_suite
from kickstarting.teachers import Teachers, build_teachers
from kickstarting.types import Trajectory

ACTORS = 2


@pytest.mark.parametrize(
    ("sources", "groups"),
    [([3], [[0]]), ([0, 1, 2], [[0, 1, 2]]), ([0, 1, 0, 0], [[0, 1], [2], [3]]), ([1, 1, 2, 2], [[0, 2], [1, 3]])],
)
def test_waves(sources, groups) -> None:
    assert waves(sources) == groups


@pytest.fixture
def teachers(tiny, suite, make_policy) -> list[Teachers]:
    """Two recurrent teachers that fit together, and one on some columns only: for each of two actors, and once more."""
    config = tiny(envs_per_task=2 * ACTORS, actors=ACTORS)
    references = [make_policy(), make_policy(seed=1), f"obj*={make_policy(seed=2)}"]
    _, spaces, _, _ = build(config)
    names = [task.name for task in load_suite(suite).tasks]
    return [build_teachers(references, names, spaces, spaces.task_of_column(2)) for _ in range(ACTORS + 1)]


@pytest.fixture
def unrolls(tiny, suite) -> list[list[Trajectory]]:
    """Three unrolls of each of two actors."""
    config, found = tiny(envs_per_task=2 * ACTORS, actors=ACTORS), []
    _, _, _, learner = build(config)
    for number in range(ACTORS):
        env = make_env(config, load_suite(suite), 0, number)
        actor = Actor(env, learner.network, 8, seed=number)
        found.append([actor.unroll() for _ in range(3)])
        env.close()
    return found


def test_each_actor_is_labelled_as_if_it_were_alone(teachers, unrolls) -> None:
    lambdas = [np.full(4, 0.5), np.full(4, 0.25), np.full(4, 1.0)]
    expected = [[own.label(unroll, lambdas).labels for unroll in row] for own, row in zip(teachers, unrolls, strict=False)]
    tasks = unrolls[0][0].tasks
    assert tasks is not None
    slots = Slots(2, tasks.numpy())
    labels, turn = LabelsByActor(teachers[-1], slots), [0, 0]
    for sources in ([0, 1], [1, 1], [0, 0]):
        parts, wanted = [], []
        for actor in sources:
            parts.append(unrolls[actor][turn[actor]])
            wanted.append(expected[actor][turn[actor]])
            turn[actor] += 1
        slots.sources = sources
        batch = labels.label(Trajectory.side_by_side(parts), lambdas)
        assert batch.tasks is not None
        assert batch.tasks.tolist() == sorted(batch.tasks.tolist())
        order = np.argsort(np.tile(tasks.numpy(), 2), kind="stable")
        together = type(wanted[0]).side_by_side(wanted).columns(torch.from_numpy(order))
        assert batch.labels is not None
        torch.testing.assert_close(batch.labels.policy, together.policy, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(batch.labels.weights, together.weights)


def test_teachers_without_weight_forget_every_actor(teachers, unrolls) -> None:
    tasks = unrolls[0][0].tasks
    assert tasks is not None
    slots = Slots(1, tasks.numpy())
    labels, fresh = LabelsByActor(teachers[0], slots), teachers[1]
    some, none = [np.full(4, 0.5)] * 3, [np.zeros(4)] * 3
    for actor, lambdas in ((0, some), (1, none), (0, some)):
        slots.sources = [actor]
        labelled = labels.label(unrolls[0][0], lambdas)
        assert (labelled.labels is None) == (lambdas is none)
    again = fresh.label(unrolls[0][0], some).labels
    assert again is not None
    assert labelled.labels is not None
    torch.testing.assert_close(labelled.labels.policy, again.policy)


def test_episodes_are_in_the_column_where_the_learner_sees_them() -> None:
    slots = Slots(3, np.array([0, 0, 1]))
    columns = [slots.episode(slot, Episode(0, column, 0.0, 1, False)).column for slot in range(3) for column in range(3)]
    assert columns == [0, 1, 6, 2, 3, 7, 4, 5, 8]
    assert Slots(1, np.array([1, 0])).episode(0, Episode(0, 1, 0.0, 1, False)).column == 1
