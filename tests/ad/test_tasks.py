"""Families of tasks: hand-computed episodes, splits, and Gymnasium's view of them."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from kickstarting.ad.sources import SOURCES, run_episodes
from kickstarting.ad.tasks import FAMILIES, Drawn, Search, Split, check_disjoint, find_family
from kickstarting.ad.tasks.grid import RoomBatch, Rooms
from kickstarting.ad.tasks.vector import TaskVectorEnv
from kickstarting.envs import MultiTaskEnv
from kickstarting.suites import load_suite
from kickstarting.trust import check_trusted

LEFT, RIGHT, UP, DOWN, NOOP = range(5)


def play(family: str, task: list[int], actions: list[int], seed: int = 0) -> tuple[list[list[int]], list[float]]:
    """Where one agent is after each action, and what it was paid."""
    batch = FAMILIES[family].batch(np.array([task]), seed)
    batch.reset()
    steps = [batch.step(np.array([action])) for action in actions]
    return [x[0].tolist() for x, _ in steps], [float(r[0]) for _, r in steps]


def test_dark_room_pays_on_every_step_on_the_goal():
    places, rewards = play("dark-room", [5, 3], [RIGHT, UP, NOOP, LEFT, RIGHT])
    assert places == [[5, 4], [5, 3], [5, 3], [4, 3], [5, 3]]
    assert rewards == [0, 1, 1, 0, 1]


def test_walls_hold():
    places, _ = play("dark-room", [0, 0], [DOWN] * 6 + [LEFT] * 6)
    assert places[5] == [4, 8]
    assert places[-1] == [0, 8]


def test_dark_room_hard_pays_once():
    places, rewards = play("dark-room-hard", [9, 8], [RIGHT, NOOP, LEFT, RIGHT])
    assert places[0] == [9, 8]
    assert rewards == [1, 0, 0, 0]


def test_key_before_door_and_each_once():
    family = FAMILIES["key-to-door"]
    batch = family.batch(np.array([[4, 4, 4, 5]]), 3)
    assert isinstance(batch, RoomBatch)
    batch.reset()
    batch.position[:] = [[4, 6]]
    paid = [float(batch.step(np.array([a]))[1][0]) for a in (UP, UP, NOOP, DOWN, UP, DOWN)]
    assert paid == [0, 1, 0, 1, 0, 0]  # over the door without the key, the key, nothing, the door, and no more
    starts = {tuple(batch.reset()[0]) for _ in range(200)}
    assert len(starts) > 60


def test_a_key_on_the_door_takes_two_steps():
    batch = FAMILIES["key-to-door"].batch(np.array([[2, 2, 2, 2]]), 0)
    assert isinstance(batch, RoomBatch)
    batch.reset()
    batch.position[:] = [[2, 1]]
    assert [float(batch.step(np.array([a]))[1][0]) for a in (DOWN, NOOP, NOOP)] == [1, 1, 0]


def test_the_bandit_pays_with_its_arms_probability_and_its_test_is_another():
    family = FAMILIES["bandit"]
    task = np.array([[0, 1000, 250] + [0] * 7] * 4000)
    batch = family.batch(task, 0)
    for arm, mean in ((0, 0.0), (1, 1.0), (2, 0.25)):
        assert batch.step(np.full(4000, arm))[1].mean() == pytest.approx(mean, abs=0.03)
    split = family.split(0)
    assert (split.train.argmax(1) % 2 == 1).mean() == pytest.approx(0.95, abs=0.02)
    assert (split.test.argmax(1) % 2 == 0).mean() == pytest.approx(0.95, abs=0.05)


def test_the_arena_pays_once_and_has_a_wall():
    places, rewards = play("arena", [170, 128], [0, 0, 0, 0, 0] + [2] * 20)
    assert rewards == [0, 0, 1] + [0] * 22
    assert places[2] == [170, 128]
    assert max(np.hypot(x - 127.5, y - 127.5) for x, y in places) <= 121


def test_a_picture_shows_where_the_agent_is():
    family = FAMILIES["arena"]
    assert isinstance(family, Drawn)
    images = family.view(np.array([[[0, 0], [128, 64]]], np.uint8))
    assert images.shape == (1, 2, 64, 64, 3)
    assert (images[0, 1, 16, 32] == 255).all()
    assert not (images[0, 0, 16, 32] == 255).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_no_task_is_in_two_parts(name):
    family = FAMILIES[name]
    split, again, other = family.split(0), family.split(0), family.split(1)
    check_disjoint(split)
    assert min(map(len, (split.train, split.validation, split.test))) >= 4
    np.testing.assert_array_equal(split.test, again.test)
    assert split.test.shape != other.test.shape or (split.test != other.test).any()


def test_dark_room_splits_all_goals_but_the_centre():
    split = FAMILIES["dark-room"].split(5)
    goals = np.concatenate([split.train, split.validation, split.test])
    assert len({tuple(g) for g in goals.tolist()}) == 80
    assert [4, 4] not in goals.tolist()
    assert sum(map(len, vars(FAMILIES["key-to-door"].split(0)).values())) == 6561


def test_a_leak_is_an_error():
    one = np.array([[1, 2]])
    with pytest.raises(ValueError, match=r"\(1, 2\) is in train and in test"):
        check_disjoint(Split(train=one, validation=one + 1, test=one))


@pytest.mark.parametrize("name", FAMILIES)
def test_the_expert_reaches_the_optimum_and_nobody_more(name):
    family = FAMILIES[name]
    tasks = family.split(0).train[:200]
    for source, reaches in (("expert", True), ("random", False)):
        learner = SOURCES[source](batch := family.batch(tasks, 1), family.actions, 40, 2)
        returns = np.mean([e.rewards.sum(1) for e in run_episodes(batch, learner, family.horizon, 40)], 0)
        share = returns.mean() / family.optimum(tasks).mean()
        assert share == pytest.approx(1.0, abs=0.02) if reaches else share < 0.75
        if name not in ("bandit", "dark-room-anywhere"):  # whose optimum is a mean over what is drawn by lot
            assert (returns <= family.optimum(tasks)).all()


def test_the_optimum_by_hand():
    family = FAMILIES["dark-room"]
    assert isinstance(family, Rooms)
    assert family.optimum(np.array([[4, 4], [4, 5], [0, 0], [8, 4]])).tolist() == [20, 20, 13, 17]
    assert family.optimum(family.cells[(family.cells != 4).any(1)]).mean() == pytest.approx(16.5, abs=0.1)


@pytest.mark.parametrize("name", ["DarkRoom-v0", "DarkKeyToDoor-v0", "AdversarialBandit-v0", "Arena-v0", "DarkRoomHard-v0"])
def test_gymnasium_makes_them(name):
    env = gymnasium.make_vec(f"kickstarting.ad.tasks:{name}", 3)
    inner = env.unwrapped
    assert isinstance(inner, TaskVectorEnv)
    observations, _ = env.reset(seed=1)
    assert env.observation_space.contains(observations)
    for step in range(inner.family.horizon):
        observations, rewards, terminated, truncated, _ = env.step(env.action_space.sample())
        assert env.observation_space.contains(observations)
        assert truncated.tolist() == [step == inner.family.horizon - 1] * 3
        assert not terminated.any()
        assert rewards.shape == (3,)
    _, rewards, _, truncated, _ = env.step(env.action_space.sample())
    assert not truncated.any()
    assert not rewards.any()


def test_they_are_suites_of_the_package():
    suite = load_suite("gymnasium-vector:kickstarting.ad.tasks:DarkRoom-v0")
    env = MultiTaskEnv(suite.tasks, 2, seed=0)
    first = env.reset()
    assert first.observations["observation"].shape == (2, 18)  # one-hot by coordinate
    steps = [env.step(np.full(2, NOOP)) for _ in range(20)]
    assert steps[-1].truncated.all()
    assert env.step(np.full(2, NOOP)).is_first.all()
    env.close()


def test_a_file_may_name_them_without_being_trusted():
    check_trusted("kickstarting.ad.tasks:DarkRoom-v0", "rooms.toml")
    with pytest.raises(ValueError, match=r"--trust-module kickstarting\.runs"):
        check_trusted("kickstarting.runs:Room", "rooms.toml")


def test_wrong_options_are_told():
    with pytest.raises(ValueError, match="part is 'all'"):
        TaskVectorEnv(2, family="dark-room", part="all")
    with pytest.raises(ValueError, match="dark-room"):
        find_family("dark-rom")
    with pytest.raises(ValueError, match="shape"):
        TaskVectorEnv(2, family="dark-room", tasks=[1, 2])


def test_who_is_at_a_place_does_nothing():
    batch = FAMILIES["dark-room"].batch(np.array([[4, 4], [3, 4]]), 0)
    assert isinstance(batch, Search)
    batch.reset()
    assert batch.expert().tolist() == [NOOP, LEFT]
