"""The actor's trajectories obey the time diagram of `types.py`, and say truly how the policy acted."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from kickstarting.actor import Actor
from kickstarting.envs import MultiTaskEnv
from kickstarting.networks import build_network
from kickstarting.suites import Task
from kickstarting.types import Inputs, Trajectory

T, UNROLLS = 9, 4
TASKS = (
    Task("empty", "MiniGrid-Empty-5x5-v0", metric="success", options={"max_episode_steps": 7}),
    Task("obstacles", "MiniGrid-Dynamic-Obstacles-5x5-v0", metric="success"),
)
CONTINUOUS = (Task("pendulum", "Pendulum-v1", options={"max_episode_steps": 7}),)
EXACT: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}  # one pass over an unroll adds up in another order than steps do


def make_actor(tasks=TASKS, seed: int = 0, groups: int = 1) -> Actor:
    env = MultiTaskEnv(tasks, 2, seed=seed, groups=groups)
    torch.manual_seed(0)
    options = {"hidden": 16, "lstm": 16}
    network = build_network("small", env.observation_space, env.distribution, options)
    with torch.no_grad():
        network.policy.weight.mul_(100)  # so that the state shows in the logits
        network.core.weight.mul_(3)
    return Actor(env, network, T, seed=seed)


@pytest.fixture(scope="module", params=[(TASKS, 1), (CONTINUOUS, 1), (TASKS, 2)], ids=["grid", "continuous", "in groups"])
def acted(request) -> tuple[Actor, list[Trajectory]]:
    actor = make_actor(request.param[0], groups=request.param[1])
    unrolls = [actor.unroll() for _ in range(UNROLLS)]
    actor.env.close()
    return actor, unrolls


def log_probs(actor: Actor, inputs: Inputs, state, actions: torch.Tensor) -> torch.Tensor:
    """log pi(a_t | x_t) from one pass over the inputs, actions that a task lacks taken out of the softmax."""
    with torch.no_grad():
        logits = actor.network(inputs, state)[0].logits
    if actor.env.action_mask is None:
        return actor.env.distribution.log_prob(logits, actions)
    logits = logits.where(actor.env.action_mask, -torch.inf)
    return logits.log_softmax(-1).gather(-1, actions[..., None])[..., 0]


def test_the_first_unroll_starts_with_first_observations(acted):
    inputs, state = acted[1][0].inputs, acted[1][0].initial_state
    assert inputs.is_first[0].all()
    assert (inputs.last_actions[0] == acted[0].env.distribution.no_action).all()
    assert not inputs.last_rewards[0].any()
    assert all(not x.any() for x in state)


def test_the_last_inputs_of_an_unroll_are_the_first_of_the_next(acted):
    for before, after in pairwise(acted[1]):
        for x, y in zip(leaves(before.inputs[-1]), leaves(after.inputs[0]), strict=True):
            assert torch.equal(x, y)


def test_inputs_hold_the_last_action_and_reward_except_at_first_observations(acted):
    firsts = 0
    for unroll in acted[1]:
        assert unroll.rewards.dtype == torch.float32
        is_first = unroll.inputs.is_first[1:]
        firsts += is_first.sum()
        assert torch.equal(unroll.inputs.last_actions[1:][~is_first], unroll.actions[~is_first])
        assert (unroll.inputs.last_actions[1:][is_first] == acted[0].env.distribution.no_action).all()
        assert torch.equal(unroll.inputs.last_rewards[1:][~is_first], unroll.rewards[~is_first])
        assert not unroll.inputs.last_rewards[1:][is_first].any()
    assert firsts > 0


def test_a_transition_is_invalid_exactly_after_an_end(acted):
    ends = torch.cat([u.terminated | u.truncated for u in acted[1]])
    valid = torch.cat([u.valid for u in acted[1]])
    is_first = torch.cat([u.inputs.is_first[1:] for u in acted[1]])
    assert ends[:-1].any()
    assert torch.equal(valid[1:], ~ends[:-1])
    assert torch.equal(valid, ~is_first)


def test_one_pass_from_the_initial_state_finds_the_behaviour_log_probs(acted):
    actor, unrolls = acted
    for unroll in unrolls:
        expected = log_probs(actor, unroll.inputs[:-1], unroll.initial_state, unroll.actions)
        torch.testing.assert_close(unroll.behaviour_log_probs, expected, **EXACT)


def test_the_initial_state_is_where_the_last_unroll_left_off(acted):
    actor, unrolls = acted
    for before, after in pairwise(unrolls):
        with torch.no_grad():
            _, state = actor.network(before.inputs[:-1], before.initial_state)
        torch.testing.assert_close(after.initial_state, state, **EXACT)
        assert after.initial_state[0].abs().sum() > 0


def test_nothing_of_an_episode_reaches_the_next(acted):
    """Started from another state, the log-probabilities change until the first reset of a column, and not from there on."""
    actor, unrolls = acted
    changed = 0
    for unroll in unrolls[1:]:
        other = tuple(x + 1.0 for x in unroll.initial_state)
        found = log_probs(actor, unroll.inputs[:-1], other, unroll.actions)
        fresh = unroll.inputs.is_first[:-1].cumsum(0) > 0
        torch.testing.assert_close(found[fresh], unroll.behaviour_log_probs[fresh], **EXACT)
        changed += ((found - unroll.behaviour_log_probs)[~fresh].abs() > 1e-3).sum()
        assert fresh.any()
    assert changed > 0


def test_actions_are_legal_and_all_are_tried():
    actor = make_actor()
    actions = torch.cat([actor.unroll().actions for _ in range(10)])
    actor.env.close()
    assert actions[:, :2].unique().tolist() == list(range(7))
    assert actions[:, 2:].unique().tolist() == list(range(3))


def test_acting_is_seeded_and_leaves_the_network_as_it_was():
    first, second = make_actor(), make_actor()
    weights = copy.deepcopy(first.network.state_dict())
    for _ in range(2):
        for x, y in zip(leaves(first.unroll()), leaves(second.unroll()), strict=True):
            assert torch.equal(x, y)
    assert all(torch.equal(x, weights[name]) for name, x in first.network.state_dict().items())
    other = Actor(make_actor().env, first.network, T, seed=1)
    assert not torch.equal(other.unroll().actions, make_actor().unroll().actions)


def test_episodes_count_what_the_trajectories_show(acted):
    actor, unrolls = acted
    rewards, valid = (torch.cat([getattr(u, name) for u in unrolls]).numpy() for name in ("rewards", "valid"))
    ends = torch.cat([u.terminated | u.truncated for u in unrolls]).numpy()
    expected = []
    for column in range(ends.shape[1]):
        start = 0
        for end in np.flatnonzero(ends[:, column]) + 1:
            task = int(actor.env.task_of_column[column])
            total, length = rewards[start:end, column].sum(dtype=float), int(valid[start:end, column].sum())
            expected.append((task, pytest.approx(total), length, bool(rewards[end - 1, column] > 0)))
            start = end
    found = sorted((e.task, e.episode_return, e.length, e.success) for e in actor.drain_episodes())
    assert len(found) == len(expected) > 4
    for episode, wanted in zip(found, sorted(expected, key=lambda e: (e[0], e[1].expected, *e[2:])), strict=True):
        assert episode == wanted
    assert actor.drain_episodes() == []


def leaves(x: Inputs | Trajectory) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    x.map(lambda tensor: found.append(tensor) or tensor)
    return found
