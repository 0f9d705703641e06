"""What an environment is told is valid in its own space, whatever the policy does, and all of the space can be reached."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kickstarting.envs.actions import Actions
from kickstarting.envs.gym import GymnasiumEnv
from kickstarting.envs.joint import join_actions
from kickstarting.envs.pool import EnvPoolEnv
from kickstarting.space_json import describe_space, read_space
from kickstarting.spaces import Scaled, make_distribution
from known import register

SHAPES = st.lists(st.integers(1, 3), max_size=3).map(tuple)
INTEGERS = st.sampled_from([np.int8, np.uint8, np.int16, np.int32, np.uint32, np.int64, np.uint64])
FLOATS = st.sampled_from([np.float16, np.float32, np.float64])


@st.composite
def boxes(draw: st.DrawFn) -> spaces.Box:
    shape, whole = draw(SHAPES), draw(st.booleans())
    dtype: Any = np.dtype(draw(INTEGERS if whole else FLOATS))
    info: Any = np.iinfo(dtype) if whole else np.finfo(dtype)
    if whole:
        values = st.integers(int(info.min), int(info.max)).flatmap(
            lambda n: st.sampled_from([n, int(info.min), int(info.max), 0, 1])
        )
    else:
        values = st.floats(width=8 * dtype.itemsize, allow_nan=False)  # pyright: ignore[reportArgumentType]
    a, b = (draw(hnp.arrays(dtype, shape, elements=values)) for _ in range(2))
    return spaces.Box(np.minimum(a, b), np.maximum(a, b), shape, dtype.type)  # pyright: ignore[reportArgumentType]


@st.composite
def choices(draw: st.DrawFn) -> gymnasium.Space:
    shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple))
    n, start = draw(hnp.arrays(np.int64, shape, elements=st.integers(1, 9))), draw(st.integers(-99, 99))
    kinds = [
        spaces.Discrete(int(n.flat[0]), start=start),
        spaces.MultiDiscrete(n, start=np.full(shape, start)),
        spaces.MultiBinary(shape),
    ]
    return draw(st.sampled_from(kinds))


def told(actions: Actions, policy: np.ndarray) -> list:
    """What each of the environments of a batch is told, as Gymnasium deals it out."""
    return list(actions(policy))


@settings(max_examples=150, deadline=None)
@given(boxes(), st.data())
def test_an_environment_is_told_what_its_box_contains(box, data):
    actions = Actions(box)
    n = int(np.prod(box.shape))
    assert isinstance(actions.space, Scaled)
    assert actions.space.shape == (n,)
    policy = data.draw(hnp.arrays(np.float32, (3, n), elements=st.floats(width=32, allow_nan=False)))
    for row in told(actions, policy):
        assert box.contains(np.asarray(row))


@settings(max_examples=100, deadline=None)
@given(choices(), st.data())
def test_an_environment_is_told_what_its_choices_contain_and_every_one_of_them(space, data):
    actions = Actions(space)
    nvec = np.array([actions.space.n]) if isinstance(actions.space, spaces.Discrete) else actions.space.nvec  # pyright: ignore
    assert nvec.ndim == 1
    rows = [data.draw(hnp.arrays(np.int64, nvec.shape, elements=st.integers(0, 8))) % nvec for _ in range(3)]
    policy = np.stack(rows)[:, 0] if isinstance(space, spaces.Discrete) else np.stack(rows)
    for row in told(actions, policy):
        assert space.contains(row)
    low, high = (np.full_like(policy, 0), np.broadcast_to(nvec[0] - 1 if policy.ndim == 1 else nvec - 1, policy.shape))
    first = np.asarray(getattr(space, "start", 0))
    assert (np.asarray(told(actions, low)) == first).all()
    assert (np.asarray(told(actions, high)).reshape(3, -1) == np.broadcast_to(nvec - 1, (3, len(nvec))) + first.reshape(-1)).all()


def test_bounds_are_scaled_to_and_reached():
    act = Actions(spaces.Box(np.array([[-1000.0, 5.0]], np.float32), np.array([[1000.0, 6.0]], np.float32)))
    assert act(np.array([[-1, -1], [0, 0], [1, 1], [9, -9]], np.float32)).tolist() == [
        [[-1000, 5]], [[0, 5.5]], [[1000, 6]], [[1000, 5]],
    ]  # fmt: skip
    assert not act.space.as_is  # pyright: ignore[reportAttributeAccessIssue]


def test_a_box_of_one_is_told_what_the_policy_does():
    act = Actions(spaces.Box(-1, 1, (2,), np.float32))
    x = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    assert (act(x) == x.clip(-1, 1)).all()
    assert act.space.as_is  # pyright: ignore[reportAttributeAccessIssue]


def test_dimensions_without_two_bounds_are_taken_as_they_are():
    infinite = np.inf
    act = Actions(spaces.Box(np.array([-infinite, 2, -infinite], np.float32), np.array([infinite, infinite, 3], np.float32)))
    assert act(np.array([[-7, -7, -7], [7, 7, 7]], np.float32)).tolist() == [[-7, 2, -7], [7, 7, 3]]


def test_the_largest_float_is_no_bound():
    most = float(np.finfo(np.float32).max)
    assert Actions(spaces.Box(-most, most, (1,), np.float32))(np.array([[2.5]], np.float32)).tolist() == [[2.5]]


def test_integers_have_equal_shares_of_the_policys_range():
    act = Actions(spaces.Box(3, 6, (1,), np.int64))
    x = act(np.linspace(-1, 1, 4001, dtype=np.float32)[:, None])
    values, counts = np.unique(x, return_counts=True)
    assert values.tolist() == [3, 4, 5, 6]
    assert counts.max() - counts.min() <= 2
    wide = Actions(spaces.Box(-(2**63), 2**63 - 2, (1,), np.int64))
    assert wide(np.array([[-1], [1]], np.float32)).flatten().tolist() == [-(2**63), 2**63 - 2]


@pytest.mark.parametrize("space", [spaces.Dict({"a": spaces.Discrete(2)}), spaces.Tuple([spaces.Discrete(2)]), spaces.Text(3)])
def test_other_spaces_are_refused(space):
    with pytest.raises(ValueError, match="wrap the environment"):
        Actions(space)


def test_a_policy_of_too_many_choices_is_refused_before_it_is_made():
    with pytest.raises(ValueError, match=r"1,000,000,000 choices"):
        make_distribution(spaces.Discrete(10**9))
    with pytest.raises(ValueError, match="no dimension"):
        Actions(spaces.Box(0, 1, (0,)))


def test_units_are_described_and_joined():
    as_is, scaled = (Actions(spaces.Box(-b, b, (2,))).space for b in (1, 5))
    assert describe_space(as_is) == describe_space(scaled) == {"units": "policy", "shape": [2], "dtype": "float32"}
    assert describe_space(read_space(describe_space(scaled))) == describe_space(scaled)
    joint, _ = join_actions(["a", "b"], [as_is, scaled])
    assert isinstance(joint, Scaled)
    assert not joint.as_is


class Told(gymnasium.Env):
    """Takes the space it acts in as an argument, pays 1 for each action that is in it, and else 0."""

    observation_space = spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, space: gymnasium.Space) -> None:
        self.action_space = space

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), float(self.action_space.contains(action)), False, False, {}


register("kickstarting-test/Told-v0", Told, disable_env_checker=True)
SPACES = [
    spaces.Discrete(3, start=5),
    spaces.MultiDiscrete(np.array([[2, 3], [4, 5]]), start=np.array([[7, 7], [-2, 0]])),
    spaces.MultiBinary((2, 2)),
    spaces.Box(-1000, 1000, (), np.float32),
    spaces.Box(-3, 9, (2, 2), np.int16),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_gymnasium_is_told_what_its_spaces_contain(space):
    env = GymnasiumEnv("kickstarting-test/Told-v0", 3, seed=0, options={"space": space})
    distribution = make_distribution(env.action_space)
    env.reset()
    rng = np.random.default_rng(0)
    for _ in range(5):
        drawn = rng.uniform(-3, 3, (3, *distribution.action_shape)).astype(np.float32)
        actions = drawn if isinstance(space, spaces.Box) else np.stack([env.action_space.sample() for _ in range(3)])
        env.send(actions)
        assert env.recv().rewards.tolist() == [1, 1, 1]
    env.close()


def test_envpool_is_told_integers_of_its_boxes():
    env = EnvPoolEnv("Connector-v2", 2, seed=0)
    assert env.action_space.shape == (10,)
    env.reset()
    env.send(np.full((2, 10), 99, np.float32))
    assert env.recv().valid.all()
    env.close()
