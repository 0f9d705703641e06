"""The EnvPool adapter against facts from outside: the rules of the games, and the reference MiniGrid package."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from kickstarting.envs.gym import GymnasiumEnv
from kickstarting.envs.pool import EnvPoolEnv
from kickstarting.envs.protocol import TimeStep, VectorEnv

TO_THE_GOAL = [2, 2, 1, 2, 2]  # of Empty-5x5: two ahead, turn right, two ahead


def walk(env: VectorEnv, actions) -> list[TimeStep]:
    result = [env.reset()]
    for action in actions:
        env.send(np.full((env.num_envs, *(env.action_space.shape or ())), action, env.action_space.dtype))
        result.append(env.recv())
    env.close()
    return result


@pytest.mark.parametrize(("success_ends", "limit"), [(True, 5), (False, 5), (True, 4), (False, 6)])
def test_a_success_on_the_last_allowed_step_terminates(success_ends, limit):
    env = EnvPoolEnv("MiniGrid-Empty-5x5-v0", 2, seed=0, success_ends=success_ends, options={"max_episode_steps": limit})
    last = walk(env, TO_THE_GOAL[:limit])[-1]
    in_time = limit > 4
    assert (last.rewards > 0).tolist() == [in_time] * 2
    terminated = in_time and (success_ends or limit > 5)  # without success_ends, EnvPool's word stands
    assert last.terminated.tolist() == [terminated] * 2
    assert last.truncated.tolist() == [not terminated] * 2


def test_minigrid_is_the_reference_minigrid():
    """Empty-5x5 has no randomness: both libraries must say the same of 300 random steps, ends and resets included."""
    actions = np.random.default_rng(0).choice(7, 300, p=[0.15, 0.15, 0.5, 0.05, 0.05, 0.05, 0.05])
    ours = walk(EnvPoolEnv("MiniGrid-Empty-5x5-v0", 1, seed=0), actions)
    theirs = walk(GymnasiumEnv("minigrid:MiniGrid-Empty-5x5-v0", 1, seed=0), actions)
    assert any(step.terminated.any() for step in ours)
    for t, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        for name, x in a.observations.items():
            assert np.array_equal(x, b.observations[name]), (t, name)
        np.testing.assert_allclose(a.rewards, b.rewards, atol=1e-6)
        for flags in zip((*a[2:6], a.over), (*b[2:6], b.over), strict=True):
            assert np.array_equal(*flags), t


def test_babyai_says_truncated_when_time_is_up_and_terminated_when_done():
    """EnvPool's configured limit of BabyAI is 0, the levels have their own (64 here): its flags are checked, not believed."""
    env = EnvPoolEnv("BabyAI-GoToObj-v0", 8, seed=0)
    rng = np.random.default_rng(0)
    env.reset()
    length, ends = np.zeros(8, int), []
    for _ in range(200):
        env.send(rng.integers(7, size=8))
        step = env.recv()
        length = np.where(step.is_first, 0, length + 1)
        assert np.array_equal(step.terminated, step.rewards > 0)
        assert np.array_equal(step.truncated, (length == 64) & ~step.terminated)
        ends += [*np.flatnonzero(step.terminated) * 0, *np.flatnonzero(step.truncated) * 0 + 1]
    env.close()
    assert set(ends) == {0, 1}


def test_cartpole_terminates_when_the_pole_falls_and_shows_it():
    steps = walk(EnvPoolEnv("CartPole-v1", 4, seed=0), [1] * 40)
    fallen = [np.abs(step.observations["observation"][:, 2]) > np.deg2rad(12) for step in steps]
    assert np.any(fallen)
    assert np.array_equal(fallen, [step.terminated for step in steps])


def test_actions_are_clipped_to_the_box():
    """HalfCheetah pays for the size of the action itself."""
    inside, outside = (walk(EnvPoolEnv("HalfCheetah-v4", 1, seed=0), [action])[-1] for action in (1.0, 5.0))
    assert inside.rewards == outside.rewards


def test_an_unknown_environment_suggests_the_nearest():
    with pytest.raises(ValueError, match="did you mean MiniGrid-DoorKey-5x5-v0"):
        EnvPoolEnv("MiniGrid-DorKey-5x5-v0", 1, seed=0)


def test_mujoco_is_asked_for_a_picture_where_it_can_draw_and_never_ends_the_process():
    asked = (
        "from kickstarting.envs.pool import EnvPoolEnv as E; e = E('Hopper-v4', 1, seed=0); e.reset(); e.render(); print('alive')"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
