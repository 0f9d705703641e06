"""Several teachers as one: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from gymnasium import spaces
from torch import Tensor

from kickstarting.algo.distributions import LOG_STD, Categorical, DiagonalGaussian, Distribution, MultiCategorical
from kickstarting.algo.moments import mixture, parameters
from kickstarting.space_json import describe_space
from kickstarting.spaces import make_distribution
from kickstarting.teachers.label import parameters_of
from kickstarting.teachers.protocol import Label, Teacher, across_episodes
from kickstarting.types import Inputs, State


class Ensemble:
    """Says the mean of what its members say where they have an opinion: of probabilities; of continuous actions, mean and
    deviation of the mixture; of values, where a member has a critic.

    Members read what they read, each with its own state, and act in one action space. Those that need adapters to do so get them
    by `map`.
    """

    def __init__(self, members: Sequence[Teacher], ref: str) -> None:
        self.members, self.ref, self.device = list(members), ref, members[0].device
        self.action_space = members[0].action_space
        self.across_episodes = any(map(across_episodes, members))
        self.observation_space = spaces.Dict({name: part for member in members for name, part in member.observation_space.items()})
        self._widths = [len(member.initial_state(0)) for member in members]

    def map(self, function: Callable[[Teacher], Teacher]) -> Ensemble:
        return Ensemble([function(member) for member in self.members], self.ref)

    def initial_state(self, batch: int) -> State:
        return tuple(x for member in self.members for x in member.initial_state(batch))

    @torch.no_grad()
    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        """Raises ValueError if the members act in different spaces."""
        labels, after, at = [], (), 0
        for member, width in zip(self.members, self._widths, strict=True):
            label, own = member.label(inputs, state[at : at + width])
            labels.append(label)
            after, at = after + own, at + width
        return self._mean(labels), after

    def _mean(self, labels: Sequence[Label]) -> Label:
        self._check()
        distribution = make_distribution(self.action_space)
        policy = torch.stack([parameters_of(label, distribution, self.action_space) for label in labels])
        everywhere = torch.ones(policy.shape[1:-1], dtype=torch.bool, device=policy.device)
        known = torch.stack([everywhere if label.known is None else label.known for label in labels])
        weights = known / known.sum(0).clamp(min=1)
        mean = _mean_policy(distribution, policy, weights[..., None])
        return Label(mean, values=_mean_values(labels, known), known=None if known.all() else known.any(0))

    def _check(self) -> None:
        first, *others = self.members
        for member in others:
            if (theirs := describe_space(member.action_space)) != (ours := describe_space(first.action_space)):
                raise ValueError(
                    f"teacher {self.ref}: {member.ref} acts in {theirs}, {first.ref} in {ours}; an ensemble acts in one action "
                    "space, so give --teacher-adapters that bring all of them there"
                )


def _mean_policy(distribution: Distribution, policy: Tensor, weights: Tensor) -> Tensor:
    """Of parameters [N, T, B, A] that each have a weight [N, T, B, 1]."""
    if isinstance(distribution, DiagonalGaussian):
        mean, log_std = policy.chunk(2, -1)
        variance = torch.where(log_std == -torch.inf, 0.0, (2 * log_std.clamp(*LOG_STD)).exp())
        return parameters(*mixture(mean, variance, weights))
    parts = distribution.nvec if isinstance(distribution, MultiCategorical) else [distribution.size]
    assert isinstance(distribution, Categorical | MultiCategorical)
    mixed = [(weights * part.softmax(-1)).sum(0) for part in policy.split(parts, -1)]
    return distribution.of_probabilities(torch.cat(mixed, -1))


def _mean_values(labels: Sequence[Label], known: Tensor) -> Tensor | None:
    """Of the members with a critic where they have an opinion; None unless there is one everywhere."""
    critics = [i for i, label in enumerate(labels) if label.values is not None]
    count = known[critics].sum(0)
    if not critics or not count.all():
        return None
    values = torch.stack([label.values for label in labels if label.values is not None])
    return (known[critics] * values).sum(0) / count
