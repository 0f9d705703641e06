"""The table of libraries; and frames of a step: a task's action_repeat and its backend's frame skip are one number."""

from __future__ import annotations

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.registration import WrapperSpec
from gymnasium.wrappers import MaxAndSkipObservation
from test_contract import CASES

from kickstarting.envs import BACKENDS, MultiTaskEnv, describe, make_task_env
from kickstarting.envs.gym import GymnasiumVectorEnv
from kickstarting.suites import Task, load_suite
from known import register

BREAKOUT = '[[task]]\nenv_id = "Breakout-v5"\n'


class Frames(gymnasium.Env):
    """Observes how many frames it has shown; `frameskip` is its own, as in ALE."""

    observation_space = spaces.Box(0, np.inf, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, frameskip: int = 1) -> None:
        self.frameskip = frameskip

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.frames = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.frames += self.frameskip
        return np.full(1, self.frames, np.float32), 0.0, False, False, {}


def inside(**options):
    return MaxAndSkipObservation(Frames(**options), skip=3)


SKIP = WrapperSpec("MaxAndSkipObservation", "gymnasium.wrappers:MaxAndSkipObservation", {"skip": 3})
register("kickstarting-test/Silent-v0", Frames)
register("kickstarting-test/Frames-v0", Frames, kwargs={"frameskip": 2})
register("kickstarting-test/Skips-v0", Frames, kwargs={"frameskip": 2}, additional_wrappers=(SKIP,))
register("kickstarting-test/Inside-v0", inside)


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("Breakout-v5", 4),
        ("CartPole-v1", 1),
        ("HalfCheetah-v4", 1),  # its frame_skip is physics
        ("MiniGrid-Empty-5x5-v0", 1),
        ("kickstarting-test/Silent-v0", 1),
        ("kickstarting-test/Frames-v0", 2),
        ("gymnasium:kickstarting-test/Skips-v0", 6),
        ("gymnasium-async:kickstarting-test/Skips-v0", 6),
    ],
)
def test_a_single_environment_counts_the_frames_of_its_backend(name, frames):
    (task,) = load_suite(name).tasks
    assert task.action_repeat == frames
    env = make_task_env(task, 1, seed=0)
    env.close()
    assert env.frame_skip in (None, frames)
    assert (env.frame_skip is None) == (task.frame_skip() is None)


def test_the_frames_are_those_that_are_shown():
    for name, frames in {"Frames": 2, "Skips": 6}.items():
        env = make_task_env(Task("x", f"kickstarting-test/{name}-v0", "gymnasium"), 1, seed=0)
        env.reset()
        env.send(np.zeros(1, int))
        assert env.recv().observations["observation"].item() == frames == env.frame_skip
        env.close()


@pytest.mark.parametrize("skip", [1, 2])
def test_the_frame_skip_of_envpool_is_that_of_the_options(skip):
    task = Task("x", "Breakout-v5", options={"frame_skip": skip})
    assert task.action_repeat == skip
    env = make_task_env(task, 1, seed=0)
    env.close()
    assert env.frame_skip == skip


@pytest.mark.parametrize(
    ("said", "frames"),
    [
        ("", 4),
        ("action_repeat = 4\n", 4),
        ("options = {frame_skip = 2}\n", 2),
        ("action_repeat = 2\noptions = {frame_skip = 2}\n", 2),
    ],
)
def test_a_file_may_say_it_or_not(tmp_path, said, frames):
    path = tmp_path / "mine.toml"
    path.write_text(BREAKOUT + said)
    assert load_suite(str(path)).tasks[0].action_repeat == frames
    path.write_text("[defaults]\n" + said + BREAKOUT)
    assert load_suite(str(path)).tasks[0].action_repeat == frames


@pytest.mark.parametrize(
    ("said", "own"),
    [("action_repeat = 1\n", 4), ("options = {frame_skip = 2}\naction_repeat = 4\n", 2), ("action_repeat = 5\n", 4)],
)
def test_a_file_that_contradicts_is_told_both_and_the_remedy(tmp_path, said, own):
    path = tmp_path / "mine.toml"
    path.write_text(BREAKOUT + said)
    pattern = rf"mine.toml: task 'Breakout-v5' has action_repeat \d, .*takes {own} frames a step; write action_repeat = {own}"
    with pytest.raises(ValueError, match=pattern) as error:
        load_suite(str(path))
    assert "\n" not in str(error.value)


def test_a_task_that_contradicts_is_refused_when_it_is_made():
    task = replace(Task("x", "Breakout-v5"), options={"frame_skip": 2})
    for open_it in (lambda: describe([task]), lambda: MultiTaskEnv([task], 1, seed=0)):
        with pytest.raises(ValueError, match=r"action_repeat 4, .*takes 2 frames"):
            open_it()


@pytest.mark.parametrize("backend", ["gymnasium", "gymnasium-async"])
def test_wrappers_inside_an_entry_point_show_in_the_environment(backend):
    task = Task("x", "kickstarting-test/Inside-v0", backend)
    assert task.frame_skip() is None
    with pytest.raises(ValueError, match=r"action_repeat 1, .*takes 3 frames a step; write action_repeat = 3"):
        make_task_env(task, 1, seed=0)
    env = make_task_env(replace(task, action_repeat=3), 1, seed=0)
    env.close()
    assert env.frame_skip == 3


def test_where_the_backend_is_silent_the_task_decides():
    env = make_task_env(Task("x", "CartPole-v1", action_repeat=7), 1, seed=0)
    env.close()
    assert env.frame_skip is None


def test_every_backend_keeps_the_contract():
    """A line of the table wants a case there; for environments' own vector versions test_gym.py makes some."""
    assert {case.make for case in CASES.values()} == {*BACKENDS.values()} - {GymnasiumVectorEnv}


def test_every_backend_has_its_own_prefix():
    for backend in BACKENDS:
        (task,) = load_suite(f"{backend}:CartPole-v1").tasks
        assert (task.backend, task.env_id) == (backend, "CartPole-v1")
