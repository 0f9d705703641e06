"""Preprocessing by the names of the field: what each library is told, what comes of it, and who cannot do what."""

from __future__ import annotations

import json
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from kickstarting.envs import make_task_env
from kickstarting.envs.images import Images
from kickstarting.envs.pool import EnvPoolEnv
from kickstarting.envs.preprocessing import Preprocessing
from kickstarting.suites import Task, load_suite
from known import register

ATARI = {
    "frame_skip": 2,
    "frame_stack": 3,
    "life_loss": True,
    "reward_clip": True,
    "sticky_actions": 0.25,
    "noop_max": 5,
    "grey_scale": True,
    "size": [48, 64],
}


class Screen(gymnasium.Env):
    """Image t is t + 1 everywhere in the upper half, 100 in red below; black at the end, as ViZDoom's."""

    observation_space = spaces.Dict({"screen": spaces.Box(0, 255, (8, 12, 3), np.uint8), "health": spaces.Box(0, 9, (2,))})
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._look(), {}

    def step(self, action):
        self.t += 1
        return self._look(), 1.0, False, self.t == 5, {}

    def _look(self):
        screen = np.zeros((8, 12, 3), np.uint8)
        if self.t < 5:
            screen[:4], screen[4:, :, 0] = self.t + 1, 100
        return {"screen": screen, "health": np.zeros(2, np.float32)}


register("kickstarting-test/Screen-v0", Screen)


def test_envpool_is_told_in_its_own_words():
    told = Task("x", "Breakout-v5", preprocessing=ATARI).options
    assert told == {
        "frame_skip": 2,
        "stack_num": 3,
        "episodic_life": True,
        "reward_clip": True,
        "repeat_action_probability": 0.25,
        "noop_max": 5,
        "gray_scale": True,
        "img_height": 48,
        "img_width": 64,
    }
    task = Task("x", "Breakout-v5", preprocessing=ATARI)
    env = make_task_env(task, 1, seed=0)
    assert (task.action_repeat, env.frame_skip, env.observation_space["observation"].shape) == (2, 2, (48, 64, 3))
    env.close()


def test_a_lost_life_ends_an_episode_but_not_the_game():
    """Breakout has five lives. The return of the game is that of all of them, and counts rewards before they are clipped."""
    preprocessing = {"life_loss": True, "reward_clip": True, "noop_max": 1, "size": 16, "frame_stack": 1}
    env = make_task_env(Task("x", "Breakout-v5", preprocessing=preprocessing), 2, seed=0)
    rng, first = np.random.default_rng(0), env.reset()
    assert first.is_first.all()
    lives, before = np.zeros(2, int), np.zeros(2, bool)
    games = 0
    for _ in range(400):
        env.send(rng.integers(4, size=2))
        step = env.recv()
        done = step.terminated | step.truncated
        assert np.array_equal(step.is_first, before)
        assert np.array_equal(step.valid, ~before)
        assert not step.rewards[before].any()
        assert (done | ~step.over).all()
        assert np.isin(step.rewards, (-1, 0, 1)).all()
        lives += done
        assert (lives[step.over] == 5).all()
        lives[step.over] = 0
        games += int(step.over.sum())
        before = done
    env.close()
    assert games > 1


def test_returns_count_the_rewards_before_they_are_clipped():
    env = EnvPoolEnv("SpaceInvaders-v5", 2, seed=0, options={"reward_clip": True, "img_height": 8, "img_width": 8})
    env.reset()
    rng, steps = np.random.default_rng(0), []
    for _ in range(80):
        env.send(rng.integers(6, size=2))
        steps.append(env.recv())
    env.close()
    assert max(step.scored.max() for step in steps) >= 5
    assert all(np.array_equal(np.sign(step.scored), step.rewards) for step in steps)


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml(x)}" for name, x in value.items()) + " }"
    return json.dumps(value)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"env_id": "Breakout-v5", "preprocessing": {"frameskip": 4}}, "no preprocessing 'frameskip'; did you mean frame_skip"),
        ({"env_id": "Breakout-v5", "preprocessing": {"sticky_actions": 2}}, "sticky_actions is 2; it must lie in"),
        ({"env_id": "Breakout-v5", "preprocessing": {"noop_max": 0}}, "noop_max is 0"),
        ({"env_id": "Breakout-v5", "preprocessing": {"life_loss": 1}}, "life_loss is 1"),
        ({"env_id": "Breakout-v5", "preprocessing": {"size": [84, 84, 3]}}, "rows and columns"),
        (
            {"env_id": "Breakout-v5", "preprocessing": {"observation": "screen"}},
            "Breakout-v5 of envpool has no preprocessing observation",
        ),
        (
            {"env_id": "HalfCheetah-v5", "preprocessing": {"frame_skip": 2}},
            "HalfCheetah-v5 of envpool has no preprocessing frame_skip",
        ),
        (
            {"env_id": "Breakout-v5", "preprocessing": {"frame_stack": 4}, "options": {"stack_num": 2}},
            "options say stack_num = 2, preprocessing 4; say it once",
        ),
        ({"env_id": "ALE/Pong-v5", "backend": "gymnasium", "preprocessing": {"life_loss": True}}, "take backend envpool"),
        ({"env_id": "ALE/Pong-v5", "backend": "gymnasium", "preprocessing": {"reward_clip": True}}, "--reward-clip abs_one"),
        ({"env_id": "CartPole-v1", "backend": "gymnasium", "preprocessing": {"noop_max": 3}}, "CartPole-v1 of gymnasium has no"),
        ({"env_id": "x", "backend": "gymnasium-vector", "preprocessing": {"size": 3}}, "it knows none"),
        ({"env_id": "x", "backend": "deepmind-lab", "preprocessing": {"grey_scale": True}}, "it knows frame_skip, size"),
    ],
)
def test_who_cannot_do_what(tmp_path, task, said):
    with pytest.raises(ValueError, match=said):
        Task("x", **task)
    path = tmp_path / "s.toml"
    path.write_text("\n".join(["[[task]]", *(f"{name} = {toml(value)}" for name, value in task.items())]))
    with pytest.raises(ValueError, match=said) as error:
        load_suite(str(path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_envpool_is_kept_from_what_crashes_it():
    with pytest.raises(ValueError, match="noop_max of 'Pong-v5' is 0; EnvPool crashes below 1"):
        EnvPoolEnv("Pong-v5", 1, seed=0, options={"noop_max": 0})


@pytest.mark.parametrize("backend", ["gymnasium", "gymnasium-async"])
def test_images_of_any_environment_are_small_grey_and_stacked(backend):
    preprocessing = {"observation": "screen", "size": [4, 6], "grey_scale": True, "frame_stack": 2}
    env = make_task_env(Task("x", "kickstarting-test/Screen-v0", backend, preprocessing=preprocessing), 1, seed=0)
    steps = [env.reset()]
    for _ in range(6):
        env.send(np.zeros(1, int))
        steps.append(env.recv())
    env.close()
    images = [step.observations["observation"][0] for step in steps]
    assert (images[0].shape, images[0].dtype) == ((4, 6, 2), np.uint8)
    assert all((image[2:] == 30).all() for image in images)  # a red of 100
    assert [image[0, 0].tolist() for image in images] == [[1, 1], [1, 2], [2, 3], [3, 4], [4, 5], [4, 5], [1, 1]]
    assert steps[5].truncated[0]


def test_an_image_shrinks_to_the_mean_of_equal_shares():
    x = np.random.default_rng(0).integers(256, size=(8, 12, 3)).astype(np.uint8)

    class One(Screen):
        def _look(self):
            return {"screen": x, "health": np.zeros(2, np.float32)}

    small, _ = Images(One(), Preprocessing(observation="screen", size=(2, 3))).reset()
    np.testing.assert_allclose(small, x.reshape(2, 4, 3, 4, 3).mean((1, 3)), atol=0.51)
    uneven, _ = Images(One(), Preprocessing(observation="screen", size=(3, 5))).reset()
    np.testing.assert_allclose(uneven[1, 1], x[2:5, 2:4].mean((0, 1)), atol=0.51)


@pytest.mark.parametrize(
    ("preprocessing", "said"),
    [
        ({"observation": "screeen"}, "'screeen', which the environment does not observe; did you mean screen"),
        ({"observation": "health"}, "'health' is Box.*no image"),
        ({"size": 4}, "no image of bytes"),
        ({"observation": "screen", "size": [9, 12]}, "9 x 12, more than the 8 x 12"),
    ],
)
def test_what_is_no_image_is_told_before_any_work(preprocessing, said):
    task = Task("x", "kickstarting-test/Screen-v0", "gymnasium", preprocessing=preprocessing)
    with pytest.raises(ValueError, match=said):
        make_task_env(task, 1, seed=0)
