"""Evaluation: random is uniform in every space, and an episode that never ends is cut and told."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from kickstarting.envs import MultiTaskEnv
from kickstarting.evaluate import _RandomActor, _Uniform, evaluate, evaluate_ref
from kickstarting.suites import Suite, Task
from known import register


class Endless(gymnasium.Env):
    """Pays 1 a step; ends after `length` steps, or never. The environment of an odd seed has `other` instead."""

    observation_space = spaces.Box(0, 1, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, length: int = 0, other: int = 0) -> None:
        self.lengths, self.odd = (length, other), False

    def reset(self, *, seed=None, options=None):
        self.count, self.odd = 0, self.odd if seed is None else bool(seed % 2)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.count += 1
        return np.zeros(1, np.float32), 1.0, self.count == self.lengths[self.odd], False, {}


class Acts(Endless):
    """Ends at once and pays for what it is told: the first of its numbers."""

    def __init__(self, space: gymnasium.Space) -> None:
        super().__init__(1, 1)
        self.action_space = space

    def step(self, action):
        return np.zeros(1, np.float32), float(np.asarray(action, float).flat[0]), True, False, {}


register("kickstarting-test/Endless-v0", Endless)
register("kickstarting-test/Acts-v0", Acts, disable_env_checker=True)


def suite(env_id: str, **options) -> Suite:
    return Suite("x", (Task("x", f"kickstarting-test/{env_id}-v0", "gymnasium", options=options),))


def test_an_episode_that_never_ends_is_cut_and_told():
    (result,) = evaluate(_Uniform(2), suite("Endless"), episodes=4, seed=0, envs_per_task=2, episode_limit=40)
    assert (result.cut, result.episodes, result.success) == (2, 2, 0)
    assert 40 <= result.mean_return == result.length <= 40 + 16


def test_a_column_that_ends_is_not_cut():
    (result,) = evaluate(_Uniform(2), suite("Endless", length=5), episodes=4, seed=0, envs_per_task=2, episode_limit=40)
    assert (result.cut, result.episodes) == (1, 3)
    (result,) = evaluate(_Uniform(2), suite("Endless", length=5, other=7), episodes=4, seed=0, envs_per_task=2)
    assert (result.cut, result.episodes, result.length) == (0, 4, 6)


BOXES = {
    "bounded": (spaces.Box(-1000, 1000, (1,)), lambda x: (x.min() < -900, x.max() > 900, abs(x.mean()) < 60, x.std())),
    "integer": (spaces.Box(1, 4, (1,), np.int64), lambda x: [abs((x == i).mean() - 0.25) < 0.05 for i in (1, 2, 3, 4)]),
}


@pytest.mark.parametrize("name", BOXES)
def test_random_is_uniform_in_a_box(name):
    space, uniform = BOXES[name]
    env = MultiTaskEnv(suite("Acts", space=space).tasks, 16, seed=0)
    actor = _RandomActor(env, _Uniform(2), 256, seed=0)
    unroll = actor.unroll()
    env.close()
    assert all(uniform(unroll.rewards[unroll.valid].numpy()))


def test_random_outside_of_bounds_is_gymnasiums():
    bounds = np.array([[-np.inf, 2, -np.inf, -1], [np.inf, np.inf, 3, 1]], np.float32)
    env = MultiTaskEnv(suite("Acts", space=spaces.Box(*bounds)).tasks, 16, seed=0)
    drawn = _RandomActor(env, _Uniform(8), 128, seed=0).unroll().actions.flatten(0, 1)
    env.close()
    assert torch.allclose(drawn.mean(0), torch.tensor([0.0, 3.0, 2.0, 0.0]), atol=0.1)
    assert drawn[:, 1].min() >= 2
    assert drawn[:, 2].max() <= 3


def test_random_by_its_name_is_that(monkeypatch):
    acted = []
    monkeypatch.setattr(_RandomActor, "_choose", lambda self, logits, noise: acted.append(1) or torch.zeros(len(logits), 1))
    evaluate_ref("random", "Pendulum-v1", episodes=1, seed=0)
    assert acted
