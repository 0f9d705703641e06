"""Scales: what they measure, on which columns, and that training with them does not know the units of the rewards."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kickstarting.algo.scale import DECAY, Scales

T, TASKS = 5, torch.tensor([0, 0, 1])
ALL = torch.ones(T, 3, dtype=torch.bool)


def normal(seed: int) -> torch.Tensor:
    return torch.randn(T, 3, generator=torch.Generator().manual_seed(seed))


def test_a_unit_is_the_largest_reward_that_the_task_ever_paid() -> None:
    scales, rewards = Scales(2), torch.zeros(T, 3)
    assert torch.equal(scales.rewards(rewards, ALL, TASKS), torch.ones(3))  # nothing was paid yet
    rewards[1, 1], rewards[2, 2] = -4.0, 0.5
    assert torch.equal(scales.rewards(rewards, ALL, TASKS), torch.tensor([4.0, 4.0, 0.5]))
    assert torch.equal(scales.rewards(torch.zeros(T, 3), ALL, TASKS), torch.tensor([4.0, 4.0, 0.5]))


def test_what_is_not_valid_is_not_seen() -> None:
    scales, rewards, valid = Scales(2), torch.full((T, 3), 2.0), ALL.clone()
    rewards[3], valid[3] = torch.inf, False
    assert torch.equal(scales.rewards(rewards, valid, TASKS), torch.full((3,), 2.0))
    vs, advantages = normal(0), normal(1)
    vs[3] = advantages[3] = torch.inf
    assert torch.isfinite(scales.advantages(vs, advantages, valid, TASKS))
    assert torch.isfinite(scales.units()).all()


def test_the_first_advantages_are_divided_by_their_own_root_mean_square_later_ones_by_the_running_one() -> None:
    scales, first, second = Scales(2), normal(0), 3 * normal(1)
    squares = [float(x.square().mean()) for x in (first, second)]
    assert scales.advantages(first, first, ALL, TASKS).item() == pytest.approx(squares[0] ** 0.5, rel=1e-5)
    expected = (DECAY * squares[0] + squares[1]) / (DECAY + 1)
    assert scales.advantages(second, second, ALL, TASKS).item() == pytest.approx(expected**0.5, rel=1e-5)


def test_units_follow_the_returns_of_their_own_task() -> None:
    """Rewards of 1 at every step make returns of 50: the unit must come to that, in the task that has them alone."""
    scales, rewards = Scales(2), torch.ones(T, 3)
    for _ in range(1000):
        units = scales.rewards(rewards, ALL, TASKS)
        returns = torch.tensor([50.0, 50.0, 1.0]) / units
        scales.advantages(returns.expand(T, 3), torch.zeros(T, 3), ALL, TASKS)
    np.testing.assert_allclose(scales.units().numpy(), [50.0, 1.0], rtol=1e-3)


@settings(deadline=None, max_examples=20)
@given(st.floats(1e-3, 1e3))
def test_rewards_times_any_factor_are_the_same_rewards(factor: float) -> None:
    plain, scaled = Scales(2), Scales(2)
    for seed in range(5):
        rewards, targets = normal(seed), normal(seed + 100)
        units, other_units = plain.rewards(rewards, ALL, TASKS), scaled.rewards(rewards * factor, ALL, TASKS)
        torch.testing.assert_close(rewards / units, rewards * factor / other_units)
        a, b = (s.advantages(targets, targets, ALL, TASKS) for s in (plain, scaled))
        torch.testing.assert_close(a, b)


def test_without_normalisation_nothing_is_divided() -> None:
    scales = Scales(2, normalise_returns=False, normalise_advantages=False)
    assert torch.equal(scales.rewards(100 * normal(0), ALL, TASKS), torch.ones(3))
    assert scales.advantages(normal(0), 100 * normal(1), ALL, TASKS).item() == 1.0


def test_state_is_all_there_is() -> None:
    scales, other = Scales(2), Scales(2)
    scales.rewards(normal(0), ALL, TASKS)
    scales.advantages(normal(1), normal(2), ALL, TASKS)
    other.load(scales.tensors())
    again = [s.advantages(normal(3), normal(4), ALL, TASKS) for s in (scales, other)]
    assert torch.equal(*again)
    assert torch.equal(scales.units(), other.units())
