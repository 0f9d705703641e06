"""One contract for every adapter: what `VectorEnv` promises (`envs/protocol.py`), on each library and kind of environment."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from gymnasium import spaces

from kickstarting.envs.dmlab import LabEnv
from kickstarting.envs.gym import GymnasiumEnv
from kickstarting.envs.gym_async import GymnasiumAsyncEnv
from kickstarting.envs.pool import EnvPoolEnv
from kickstarting.envs.protocol import TimeStep


class Case(NamedTuple):
    make: type[EnvPoolEnv | GymnasiumEnv | LabEnv]
    env_id: str
    limit: int
    """Agent steps after which an episode is cut."""
    ends: frozenset[str]
    """How episodes of random actions end within the limit."""
    random: bool = True
    """The seed decides how an episode starts or goes on."""
    num_envs: int = 3


BOTH, CUT = frozenset({"terminated", "truncated"}), frozenset({"truncated"})
CASES = {
    "envpool-grid": Case(EnvPoolEnv, "MiniGrid-Empty-5x5-v0", 6, CUT, random=False),
    "envpool-obstacles": Case(EnvPoolEnv, "MiniGrid-Dynamic-Obstacles-5x5-v0", 6, BOTH),
    "envpool-babyai": Case(EnvPoolEnv, "BabyAI-GoToObj-v0", 16, BOTH),
    "envpool-atari": Case(EnvPoolEnv, "Pong-v5", 25, CUT, num_envs=2),
    "envpool-cartpole": Case(EnvPoolEnv, "CartPole-v1", 18, BOTH),
    "envpool-continuous": Case(EnvPoolEnv, "Pendulum-v1", 20, CUT),
    "sync-cartpole": Case(GymnasiumEnv, "CartPole-v1", 14, BOTH),
    "sync-grid": Case(GymnasiumEnv, "minigrid:MiniGrid-Empty-5x5-v0", 6, CUT, random=False),
    "sync-continuous": Case(GymnasiumEnv, "Pendulum-v1", 20, CUT),
    "async-cartpole": Case(GymnasiumAsyncEnv, "CartPole-v1", 14, BOTH, num_envs=2),
    "lab": Case(LabEnv, "contributed/dmlab30/rooms_watermaze", 7, frozenset({"terminated"}), num_envs=2),
}
PAYS = {"envpool-cartpole": 1, "envpool-continuous": -1, "sync-cartpole": 1, "sync-continuous": -1, "async-cartpole": 1}
"""The sign of every reward, where it is one."""
STEPS = 60
SEED = 5


class Record(NamedTuple):
    """All that an environment said: its reset, and STEPS steps stacked to [STEPS, B, ...]."""

    reset: TimeStep
    steps: TimeStep
    space: spaces.Dict
    meddled: int
    """Actions of reset steps that were exchanged."""
    frame_skip: int | None


@cache
def play(
    name: str,
    seed: int = SEED,
    limit: int = 0,
    column: int | None = None,
    alike: bool = False,
    meddle: bool = False,
    success_ends: bool = False,
) -> Record:
    """Random actions, the same for every call. limit: instead of the case's. column: only that one, in an environment of its
    own. alike: every column gets the actions of the first. meddle: other actions on every reset step. success_ends: as of the
    adapter."""
    case = CASES[name]
    num_envs = case.num_envs if column is None else 1
    options = {"max_episode_steps": limit or case.limit}
    env = case.make(case.env_id, num_envs, seed=seed, success_ends=success_ends, options=options)
    rng = np.random.default_rng(0)
    reset = step = env.reset()
    steps, meddled = [], 0
    for _ in range(STEPS):
        actions, others = (_random_actions(env.action_space, case.num_envs, rng) for _ in range(2))
        actions = actions if column is None else actions[column : column + 1]
        actions = np.broadcast_to(actions[:1], actions.shape).copy() if alike else actions
        done = step.terminated | step.truncated
        if meddle:
            meddled += int((actions[done] != others[done]).sum())
            actions[done] = others[done]
        env.send(actions)
        step = env.recv()
        steps.append(step)
    env.close()
    observations = {k: np.stack([s.observations[k] for s in steps]) for k in steps[0].observations}
    flags = [np.stack(x) for x in list(zip(*steps, strict=True))[1:]]
    return Record(reset, TimeStep(observations, *flags), env.observation_space, meddled, env.frame_skip)


def _random_actions(space: spaces.Space, num_envs: int, rng: np.random.Generator) -> np.ndarray:
    if isinstance(space, spaces.Discrete):
        return rng.integers(space.n, size=num_envs)
    return rng.uniform(-3, 3, (num_envs, *(space.shape or ()))).astype(np.float32)


def same(a: TimeStep, b: TimeStep) -> bool:
    return all(np.array_equal(a.observations[k], b.observations[k]) for k in a.observations) and all(
        np.array_equal(x, y) for x, y in zip(a[1:], b[1:], strict=True)
    )


def columns(step: TimeStep, index) -> TimeStep:
    return TimeStep({k: x[index] for k, x in step.observations.items()}, *(x[index] for x in step[1:]))


pytestmark = pytest.mark.parametrize("name", CASES)


def test_shapes_and_types_are_those_of_the_spaces(name):
    reset, steps, space, *_ = play(name)
    B = CASES[name].num_envs
    for leading, step in (((B,), reset), ((STEPS, B), steps)):
        assert step.observations.keys() == space.keys()
        for key, part in space.items():
            x = step.observations[key]
            assert (x.shape, x.dtype) == ((*leading, *(part.shape or ())), part.dtype)
            assert isinstance(part, spaces.Discrete | spaces.Box)
            low, high = (0, part.n - 1) if isinstance(part, spaces.Discrete) else (part.low.min(), part.high.max())
            assert x.min() >= low
            assert x.max() <= high
        assert [x.dtype for x in step[1:]] == [np.float32, bool, bool, bool, bool, np.float32, bool]
        assert all(x.shape == leading for x in step[1:])


def test_frames_of_a_step_are_known_beforehand_or_not_at_all(name):
    known = CASES[name].make.frame_skip_of(CASES[name].env_id, {})
    assert play(name).frame_skip == known
    assert known == (4 if name in ("envpool-atari", "lab") else None)


def test_reset_is_a_first_observation_and_no_transition(name):
    reset = play(name).reset
    assert reset.is_first.all()
    assert not (reset.valid | reset.terminated | reset.truncated | reset.over).any()
    assert not reset.rewards.any()
    assert not reset.scored.any()


def test_after_an_end_comes_one_step_that_only_resets(name):
    steps = play(name).steps
    done = steps.terminated | steps.truncated
    assert done[:-1].any()
    assert not (steps.terminated & steps.truncated).any()
    assert not steps.is_first[0].any()
    assert np.array_equal(steps.is_first[1:], done[:-1])
    assert np.array_equal(steps.valid, ~steps.is_first)
    assert not steps.rewards[steps.is_first].any()
    assert np.array_equal(steps.scored, steps.rewards)
    assert np.array_equal(steps.over, done)
    assert not done[steps.is_first].any()


def test_the_action_of_a_reset_step_is_ignored(name):
    meddled = play(name, meddle=True)
    assert meddled.meddled > 0
    assert same(play(name).steps, meddled.steps)


def test_an_episode_is_truncated_at_its_limit_and_terminated_before(name):
    """Lengths are counted here, so that neither flag can stand for the other."""
    case, steps = CASES[name], play(name).steps
    length, seen = np.zeros(case.num_envs, int), set()
    for t in range(STEPS):
        length = np.where(steps.is_first[t], 0, length + 1)
        assert (length[steps.truncated[t]] == case.limit).all()
        assert (steps.terminated[t] | steps.truncated[t])[length == case.limit].all()
        seen |= {flag for flag in BOTH if getattr(steps, flag)[t].any()}
    assert seen == case.ends


def test_a_truncated_episode_shows_its_true_last_observation(name):
    """With twice the time the same actions lead to the same observation, so it is not that of the next episode."""
    if "truncated" not in CASES[name].ends:
        pytest.skip("its episodes are never cut")
    case = CASES[name]
    short, long = play(name).steps, play(name, limit=2 * case.limit).steps
    last = case.limit - 1
    cut = short.truncated[last] & ~long.terminated[last]  # EnvPool calls a failure on the very last step truncated
    assert cut.any()
    assert not long.truncated[last].any()
    for key, x in short.observations.items():
        assert np.array_equal(x[: case.limit, cut], long.observations[key][: case.limit, cut])


def test_a_final_reward_above_zero_and_no_other_turns_a_cut_into_an_end(name):
    """Everything else is as without `success_ends`; Pendulum pays less than nothing on every step, and stays truncated."""
    plain, told = play(name).steps, play(name, success_ends=True).steps
    success = plain.truncated & (plain.rewards > 0)
    assert np.array_equal(told.terminated, plain.terminated | success)
    assert np.array_equal(told.truncated, plain.truncated & ~success)
    assert same(told, plain._replace(terminated=told.terminated, truncated=told.truncated))
    if name in PAYS:
        assert (np.sign(plain.rewards[plain.truncated]) == PAYS[name]).all()


def test_same_seed_same_stream_and_other_seed_another(name):
    record = play(name)
    again = play.__wrapped__(name)
    assert same(record.reset, again.reset)
    assert same(record.steps, again.steps)
    if CASES[name].random:
        assert not same(record.steps, play(name, seed=SEED + 100).steps)


def test_rows_are_different_environments_in_order(name):
    """Row i is the environment of seed + i whatever stands beside it; under equal actions rows differ."""
    case = CASES[name]
    alone = play(name, seed=SEED + 1, column=1)
    assert same(columns(play(name).reset, slice(1, 2)), alone.reset)
    assert same(columns(play(name).steps, (slice(None), slice(1, 2))), alone.steps)
    if case.random:
        steps = play(name, alike=True).steps
        for row in range(1, case.num_envs):
            assert not same(columns(steps, (slice(None), 0)), columns(steps, (slice(None), row)))
