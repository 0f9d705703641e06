"""The Gymnasium adapter where the contract test cannot look: ends on the very last step, and resets on the same step."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from kickstarting.envs.gym import GymnasiumEnv, GymnasiumVectorEnv
from kickstarting.envs.protocol import TimeStep, VectorEnv
from known import register

LIMIT = 3


class Counter(gymnasium.Env):
    """Observes how many steps it took. Step `goal` pays 1 and, if `tells`, terminates; step LIMIT truncates."""

    observation_space = spaces.Box(0, np.inf, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, goal: int = 99, tells: bool = True) -> None:
        self.goal, self.tells = goal, tells

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.count += 1
        success = self.count == self.goal
        return np.full(1, self.count, np.float32), float(success), success and self.tells, self.count == LIMIT, {}


class SameStepCounters(gymnasium.vector.VectorEnv):
    """Two counters that reset on the same step: one terminates on step 2 with reward 1, one is truncated on step LIMIT."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012
    single_observation_space = spaces.Box(0, np.inf, (1,), np.float32)
    single_action_space = spaces.Discrete(2)

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs

    def reset(self, *, seed=None, options=None):
        self.count = np.zeros(2, int)
        return self.count[:, None].astype(np.float32), {}

    def step(self, actions):
        self.count += 1
        terminated, truncated = self.count == [2, 99], self.count == [99, LIMIT]
        self.count[terminated | truncated] = 0
        return self.count[:, None].astype(np.float32), terminated.astype(np.float64), terminated, truncated, {}


class NeverResets(SameStepCounters):
    metadata = {"autoreset_mode": AutoresetMode.DISABLED}  # noqa: RUF012


register("kickstarting-test/Counter-v0", Counter)
register("kickstarting-test/SameStep-v0", vector_entry_point=SameStepCounters)
register("kickstarting-test/NeverResets-v0", vector_entry_point=NeverResets)


def walk(env: VectorEnv, steps: int) -> list[TimeStep]:
    """The reset and what follows."""
    result = [env.reset()]
    for _ in range(steps):
        env.send(np.zeros(env.num_envs, int))
        result.append(env.recv())
    env.close()
    return result


@pytest.mark.parametrize(
    ("goal", "tells", "success_ends", "end"),
    [
        (2, True, False, "terminated"),
        (LIMIT, True, False, "terminated"),  # ends for two reasons: nothing follows
        (LIMIT, False, True, "terminated"),  # the environment only says truncated
        (LIMIT, False, False, "truncated"),
        (99, True, True, "truncated"),
        (2, False, True, "truncated"),  # a reward on the way is no success at the end
    ],
)
def test_a_success_on_the_last_step_is_a_termination(goal, tells, success_ends, end):
    env = GymnasiumEnv("kickstarting-test/Counter-v0", 2, seed=0, success_ends=success_ends, options={"goal": goal, "tells": tells})
    *before, last = walk(env, min(goal, LIMIT) if tells else LIMIT)
    assert not any((step.terminated | step.truncated).any() for step in before)
    assert last.terminated.tolist() == [end == "terminated"] * 2
    assert last.truncated.tolist() == [end == "truncated"] * 2
    assert last.observations["observation"][:, 0].tolist() == [min(goal, LIMIT) if tells else LIMIT] * 2


def test_the_last_observation_and_then_the_first():
    steps = walk(GymnasiumEnv("kickstarting-test/Counter-v0", 1, seed=0), 2 * LIMIT + 1)
    assert [step.observations["observation"].item() for step in steps] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert [step.is_first.item() for step in steps] == [True, False, False, False, True, False, False, False]


def test_a_same_step_reset_loses_only_the_truncated_transition():
    env = GymnasiumVectorEnv("kickstarting-test/SameStep-v0", 2, seed=0)
    steps = walk(env, 4)
    observed = [step.observations["observation"][:, 0].tolist() for step in steps]
    assert observed == [[0, 0], [1, 1], [0, 2], [1, 0], [0, 1]]
    assert [step.is_first.tolist() for step in steps[1:]] == [[False, False], [True, False], [False, True], [True, False]]
    assert [step.terminated.tolist() for step in steps[1:]] == [[False, False], [True, False], [False, False], [True, False]]
    assert [step.truncated.tolist() for step in steps[1:]] == [[False, False], [False, False], [False, True], [False, False]]
    assert [step.valid.tolist() for step in steps[1:]] == [[True, True], [True, True], [True, False], [True, True]]
    assert [step.rewards.tolist() for step in steps[1:]] == [[0, 0], [1, 0], [0, 0], [1, 0]]


def test_an_environment_that_never_resets_is_refused():
    with pytest.raises(ValueError, match="DISABLED"):
        GymnasiumVectorEnv("kickstarting-test/NeverResets-v0", 2, seed=0)


def test_actions_are_clipped_to_the_box():
    """The environment takes a tenth of the action's square, whatever it was asked for: 250 for 50."""
    env = GymnasiumEnv("MountainCarContinuous-v0", 1, seed=0)
    env.reset()
    rewards = []
    for action in (0.5, 1.0, 50.0, -50.0):
        env.send(np.full((1, 1), action, np.float32))
        rewards.append(env.recv().rewards.item())
    env.close()
    assert rewards == pytest.approx([-0.025, -0.1, -0.1, -0.1])


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("CartPol-v1", "did you mean CartPole-v1"),
        ("CartPole-v9", "did you mean CartPole-v1"),
        ("no_such_module:Thing-v0", "no_such_module"),
        ("not an id", "not an id"),
    ],
)
def test_an_environment_that_cannot_be_made_is_named(env_id, message):
    with pytest.raises(ValueError, match=message):
        GymnasiumEnv(env_id, 1, seed=0)
