"""Sources: they learn, independently of each other, and the neural one as a single network would."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kickstarting.ad.sources import SOURCES, run_episodes
from kickstarting.ad.sources.actor_critic import ActorCritic
from kickstarting.ad.sources.episodes import Episode
from kickstarting.ad.tasks import FAMILIES


def curve(source: str, family: str, n: int, episodes: int) -> np.ndarray:
    """Share of the optimum, [episodes]."""
    known = FAMILIES[family]
    tasks = known.split(0).train
    tasks = tasks[np.arange(n) % len(tasks)]
    learner = SOURCES[source](batch := known.batch(tasks, 1), known.actions, episodes, 2)
    returns = [e.rewards.sum(1) for e in run_episodes(batch, learner, known.horizon, episodes)]
    return np.mean(returns, 1) / known.optimum(tasks).mean()


@pytest.mark.parametrize(
    ("source", "family", "n", "episodes", "least"),
    [
        ("policy-gradient", "dark-room", 60, 150, 0.7),
        ("actor-critic", "dark-room", 30, 100, 0.3),
        ("q-learning", "dark-room", 30, 200, 0.3),
        ("posterior", "dark-room", 60, 16, 0.85),
        ("posterior", "key-to-door", 30, 10, 0.95),
        ("noise", "dark-room", 60, 50, 0.9),
        ("ucb", "bandit", 200, 100, 0.7),
    ],
)
def test_sources_learn(source, family, n, episodes, least):
    shares = curve(source, family, n, episodes)
    assert shares[-5:].mean() > least
    assert shares[:5].mean() < 0.7 * shares[-5:].mean() or family != "dark-room"


def test_sources_say_which_families_they_are_for():
    for source, family in (("posterior", "bandit"), ("ucb", "dark-room")):
        known = FAMILIES[family]
        with pytest.raises(ValueError, match="choose another --source"):
            SOURCES[source](known.batch(known.split(0).train[:2], 0), known.actions, 1, 0)


@pytest.mark.parametrize("source", ["policy-gradient", "q-learning", "actor-critic"])
def test_learners_are_independent(source):
    """What one learner sees changes nothing in another."""
    family = FAMILIES["dark-room"]
    tasks = family.split(0).train[:2]
    after = []
    for reward in (0.0, 1.0):
        learner = SOURCES[source](batch := family.batch(tasks, 0), family.actions, 10, 0)
        rng = np.random.default_rng(0)
        batch.reset()
        rewards = np.zeros((2, 4), np.float32)
        rewards[1] = reward
        states = rng.integers(batch.states, size=(2, 5))
        learner.learn(Episode(np.zeros((2, 5, 2), np.uint8), states, rng.integers(5, size=(2, 4)), rewards))
        tables = [
            x for x in vars(learner).values() if isinstance(x, np.ndarray | torch.Tensor) and x.shape[:1] == (2,) and x.ndim > 1
        ]
        after.append([x.detach().numpy().copy() if isinstance(x, torch.Tensor) else x.copy() for x in tables])
    assert after[0]
    for zero, one in zip(*after, strict=True):
        np.testing.assert_array_equal(zero[0], one[0])
    assert any((zero[1] != one[1]).any() for zero, one in zip(*after, strict=True))


def test_lambda_returns_of_the_actor_critic_by_definition():
    rewards, values = torch.rand(3, 6), torch.rand(3, 6)
    targets = ActorCritic._targets(rewards, values)
    discount, trace = 0.99, 0.95
    following = torch.cat([values[:, 1:], torch.zeros(3, 1)], 1)
    errors = rewards + discount * following - values
    for t in range(6):
        advantage = sum((discount * trace) ** (k - t) * errors[:, k] for k in range(t, 6))
        torch.testing.assert_close(targets[:, t], advantage + values[:, t])
