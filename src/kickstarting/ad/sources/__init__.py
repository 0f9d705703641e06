"""Source algorithms: who makes the learning histories, by name."""

from __future__ import annotations

from collections.abc import Callable

from kickstarting.ad.sources.actor_critic import ActorCritic
from kickstarting.ad.sources.episodes import Episode, Learner, run_episode, run_episodes
from kickstarting.ad.sources.noise import Expert, NoiseCurriculum, Random
from kickstarting.ad.sources.policy_gradient import PolicyGradient
from kickstarting.ad.sources.posterior import PosteriorSampling
from kickstarting.ad.sources.q_learning import QLearning
from kickstarting.ad.sources.ucb import UCB
from kickstarting.ad.tasks import Batch

__all__ = ["SOURCES", "Episode", "Learner", "run_episode", "run_episodes"]

SOURCES: dict[str, Callable[[Batch, int, int, int], Learner]] = {
    "policy-gradient": PolicyGradient,
    "actor-critic": ActorCritic,
    "q-learning": QLearning,
    "posterior": PosteriorSampling,
    "noise": NoiseCurriculum,
    "ucb": UCB,
    "expert": Expert,
    "random": Random,
}
"""Made of a batch, the number of actions, the episodes of a history, and a seed."""
