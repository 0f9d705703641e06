"""Tasks side by side: who owns a column, actions that not every task has, and missions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

from kickstarting.envs import MultiTaskEnv, describe, make_task_env, multitask
from kickstarting.spaces import tokenise
from kickstarting.suites import Task
from known import known

EMPTY = Task("empty", "MiniGrid-Empty-5x5-v0", metric="success")
OBSTACLES = Task("obstacles", "MiniGrid-Dynamic-Obstacles-5x5-v0", metric="success")
OBJECT = Task("object", "BabyAI-GoToObj-v0", metric="success")
CARTPOLE = Task("cartpole", "CartPole-v1")
PENDULUM = Task("pendulum", "Pendulum-v1")


def test_columns_belong_to_tasks_and_see_their_own_actions():
    """Only the middle task is told to walk: the others' columns must not move."""
    env = MultiTaskEnv([EMPTY, OBJECT, EMPTY], 2, seed=0)
    assert env.task_of_column.tolist() == [0, 0, 1, 1, 2, 2]
    before = env.reset().observations["direction"]
    step = env.step(np.array([6, 6, 0, 1, 6, 0]))
    turned = (step.observations["direction"] - before) % 4
    env.close()
    assert turned.tolist() == [0, 0, 3, 1, 0, 3]
    assert step.valid.all()


def test_groups_have_their_share_of_every_task_and_step_alone():
    """The second group walks while the first stands; together they are one step."""
    env = MultiTaskEnv([EMPTY, OBJECT], 4, seed=0, groups=2)
    assert env.task_of_column.tolist() == [0, 0, 1, 1] * 2
    before = env.reset().observations["direction"]
    env.send(np.array([0, 1, 0, 6]), 1)
    turned = (env.recv(1).observations["direction"] - before[env.groups[1]]) % 4
    assert turned.tolist() == [3, 1, 3, 0]
    after = env.step(np.array([0, 6, 6, 6, 6, 6, 6, 6])).observations["direction"]
    env.close()
    assert ((after - before) % 4).tolist() == [3, 0, 0, 0, 3, 1, 3, 0]


def test_groups_must_be_equal():
    with pytest.raises(ValueError, match="3 environments of a task cannot be split into 2"):
        MultiTaskEnv([EMPTY], 3, seed=0, groups=2)


def test_the_same_task_twice_has_different_levels():
    env = MultiTaskEnv([OBJECT, OBJECT], 2, seed=0)
    images = env.reset().observations["image"].reshape(4, -1)
    env.close()
    assert len(np.unique(images, axis=0)) > 2


def test_actions_that_a_task_does_not_have_are_masked():
    env = MultiTaskEnv([EMPTY, OBSTACLES], 2, seed=0)
    assert env.action_space == spaces.Discrete(7)
    assert env.action_mask is not None
    assert env.action_mask.tolist() == [[True] * 7] * 2 + [[True] * 3 + [False] * 4] * 2
    env.close()


@pytest.mark.parametrize("tasks", [[EMPTY, OBJECT], [OBSTACLES, OBSTACLES]])
def test_there_is_no_mask_where_all_actions_exist(tasks):
    env = MultiTaskEnv(tasks, 1, seed=0)
    env.close()
    assert env.action_mask is None


@pytest.mark.parametrize("other", [EMPTY, PENDULUM])
def test_tasks_that_observe_differently_are_both_named(other):
    with pytest.raises(ValueError, match=rf"'{other.name}'.*'cartpole'") as error:
        MultiTaskEnv([CARTPOLE, other], 1, seed=0)
    assert "share their observations" in str(error.value)


def test_tasks_that_act_differently_are_both_named():
    discrete = Task("mountain", "MountainCar-v0")
    continuous = Task("mountain-continuous", "MountainCarContinuous-v0")
    with pytest.raises(ValueError, match=r"'mountain-continuous'.*'mountain'"):
        MultiTaskEnv([discrete, continuous], 1, seed=0)


def test_an_unknown_backend_lists_the_known():
    with pytest.raises(ValueError, match=r"'envpol'.*envpool, gymnasium"):
        MultiTaskEnv([Task("x", "CartPole-v1", backend="envpol")], 1, seed=0)


def test_a_mission_changes_only_with_the_episode():
    env = MultiTaskEnv([OBJECT], 4, seed=0)
    step = env.reset()
    rng, changes = np.random.default_rng(0), 0
    words = {int(token) for colour in ("red", "green", "blue", "purple", "yellow", "grey") for token in tokenise(colour)[:1]}
    for _ in range(150):
        before = step.observations["mission"].copy()
        step = env.step(rng.integers(7, size=4))
        mission = step.observations["mission"]
        changed = (mission != before).any(1)
        assert not (changed & ~step.is_first).any()
        changes += changed.sum()
        assert set(mission[:, 3].tolist()) <= words  # "go to the COLOUR OBJECT"
    env.close()
    assert changes > 4


@pytest.mark.parametrize("tasks", [[EMPTY, OBSTACLES], [OBSTACLES], [PENDULUM, PENDULUM]])
@pytest.mark.parametrize("num_actions", [0, 9])
def test_a_description_is_that_of_the_environments(tasks, num_actions):
    described = describe(tasks, num_actions)
    env = MultiTaskEnv(tasks, 4, seed=0, groups=2, num_actions=num_actions)
    env.close()
    assert described == env.spaces
    assert (described.observation_space, described.action_space) == (env.observation_space, env.action_space)
    assert type(described.distribution) is type(env.distribution)
    assert described.distribution.size == env.distribution.size
    assert (described.task_of_column(4, groups=2) == env.task_of_column).all()
    mask = described.action_mask(4, groups=2)
    assert (mask is None) == (env.action_mask is None)
    if mask is not None:
        assert torch.equal(mask, known(env.action_mask))


def test_a_description_opens_each_environment_once_and_leaves_none_open(monkeypatch):
    opened, closed = [], []

    def make(task, num_envs, **options):
        env = make_task_env(task, num_envs, **options)
        close = env.close
        opened.append(task.name)
        env.close = lambda: closed.append(task.name) or close()
        return env

    monkeypatch.setattr(multitask, "_SEEN", {})
    monkeypatch.setattr(multitask, "make_task_env", make)
    shorter = Task("shorter", EMPTY.env_id, options={"max_episode_steps": 9})
    assert describe([EMPTY, OBSTACLES, EMPTY, shorter]).num_actions == (7, 3, 7, 7)
    assert describe([OBSTACLES]).action_space == spaces.Discrete(3)
    assert opened == closed == ["empty", "obstacles", "shorter"]


def test_a_description_refuses_what_the_environments_refuse():
    for other in (EMPTY, PENDULUM):
        with pytest.raises(ValueError, match=rf"'{other.name}'.*'cartpole'.*share their observations"):
            describe([CARTPOLE, other])
    with pytest.raises(ValueError, match="3 environments of a task cannot be split into 2"):
        describe([EMPTY]).task_of_column(3, groups=2)
