"""The data contract: one unroll of experience, and what a network reads of it.

Index t is one transition (x_t, a_t, r_t, x_{t+1}); nothing downstream shifts an index:

    t            0        1        2        3        4 = T
    inputs      x_0      x_1      x_2*     x_3      x_4          [T+1, B, ...]
    is_first     .        .        .       yes       .           [T+1, B]
    actions         a_0      a_1      a_2      a_3                [T, B]
    rewards         r_0      r_1      0        r_3
    terminated       .       yes       .        .     (or `truncated`)
    valid           yes      yes       no      yes

x_2* is the last observation of an episode that ended in transition 1. The environment resets in transition 2: it ignores
a_2 and returns x_3, the first observation of the next episode. That transition belongs to no episode: `valid` is 0 there.
The last inputs of an unroll are the first of the next.

T: unroll length, B: environment columns, K: teachers of one column at most, A: size of the policy's parameters (logits).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

State = tuple[Tensor, ...]
"""Recurrent state of a network, each tensor [B, ...]; empty for a feed-forward network."""


@dataclass(frozen=True)
class Inputs:
    """What a network reads. The leading dimensions are [T, B] (or [T+1, B])."""

    observations: dict[str, Tensor]
    """By name of the observation space; `mission` holds token ids [T, B, words], -1 behind the last word."""
    last_actions: Tensor
    """The action that led here; the distribution's `no_action` where `is_first`."""
    last_rewards: Tensor
    """The unclipped reward that came with it, float32; 0 where `is_first`."""
    is_first: Tensor
    """Bool: the first observation of an episode; recurrent state is reset *before* it is read."""

    def __getitem__(self, index: Any) -> Inputs:
        """The same slice of every field: `inputs[:-1]`, `inputs[:, columns]`."""
        return self.map(lambda x: x[index])

    def assign(self, index: Any, other: Inputs) -> None:
        """Copy another's tensors into a slice of one's own."""
        for name, x in other.observations.items():
            self.observations[name][index] = x
        self.last_actions[index], self.last_rewards[index] = other.last_actions, other.last_rewards
        self.is_first[index] = other.is_first

    @staticmethod
    def side_by_side(parts: Sequence[Inputs]) -> Inputs:
        def joined(name: str) -> Tensor:
            return torch.cat([getattr(part, name) for part in parts], 1)

        observations = {name: torch.cat([part.observations[name] for part in parts], 1) for name in parts[0].observations}
        return Inputs(observations, joined("last_actions"), joined("last_rewards"), joined("is_first"))

    def map(self, function: Callable[[Tensor], Tensor]) -> Inputs:
        observations = {name: function(x) for name, x in self.observations.items()}
        return Inputs(observations, function(self.last_actions), function(self.last_rewards), function(self.is_first))


class Output(NamedTuple):
    """What a network says about each of its inputs."""

    logits: Tensor
    """[T, B, A] parameters of the policy's distribution (logits for discrete actions)."""
    values: Tensor
    """[T, B] V(x_t), in units of discounted reward."""


@dataclass(frozen=True)
class Labels:
    """What up to K teachers of each column would have done on its unroll."""

    policy: Tensor
    """[K, T, B, A] parameters of the student's distribution."""
    weights: Tensor
    """[K, T, B] lambda of each label; 0 where a column has fewer than K teachers, or a teacher has no opinion."""
    values: Tensor | None = None
    """[K, T, B] the teachers' V(x_t); None if no teacher has a critic."""
    value_weights: Tensor | None = None
    """[K, T, B] the weights of those values; 0 where a teacher has no critic."""

    def columns(self, index: slice | Tensor) -> Labels:
        return self.map(lambda x: x[:, :, index])

    @staticmethod
    def side_by_side(parts: Sequence[Labels]) -> Labels:
        def joined(name: str) -> Any:
            own = [getattr(part, name) for part in parts]
            return None if own[0] is None else torch.cat(own, 2)

        return Labels(**{name: joined(name) for name in vars(parts[0])})

    def map(self, function: Callable[[Tensor], Tensor]) -> Labels:
        values, value_weights = (x if x is None else function(x) for x in (self.values, self.value_weights))
        return Labels(function(self.policy), function(self.weights), values, value_weights)


@dataclass(frozen=True)
class Trajectory:
    """One unroll of the behaviour policy, and (once labelled) what the teachers would have done in its place."""

    inputs: Inputs
    actions: Tensor
    """[T, B], or [T, B, D] for actions with D components."""
    rewards: Tensor
    """[T, B] float32, unclipped."""
    terminated: Tensor
    """[T, B] bool: the episode ended here and nothing follows: discount 0."""
    truncated: Tensor
    """[T, B] bool: the episode was cut here: V-trace bootstraps from x_{t+1}."""
    valid: Tensor
    """[T, B] bool: False where the environment reset itself; such a transition enters no target and no loss."""
    behaviour_log_probs: Tensor
    """[T, B] log mu(a_t | x_t) of the policy that acted."""
    initial_state: State
    """The student's recurrent state before x_0, as it was when it acted."""
    tasks: Tensor | None = None
    """[B] int64: the index of each column's task; None if all columns share one task."""
    action_mask: Tensor | None = None
    """[B, A] bool: the actions that exist in the column's task; None where all do."""
    labels: Labels | None = None
    """None without a teacher, or when none has weight."""

    def columns(self, index: slice | Tensor) -> Trajectory:
        """The same unroll of some of the columns; views, not copies, of a slice."""

        def of(x: Tensor | None, dimension: int) -> Tensor | None:
            return None if x is None else x[(slice(None),) * dimension + (index,)]

        transitions = ("actions", "rewards", "terminated", "truncated", "valid", "behaviour_log_probs")
        return replace(
            self,
            inputs=self.inputs[:, index],
            initial_state=tuple(x[index] for x in self.initial_state),
            tasks=of(self.tasks, 0),
            action_mask=of(self.action_mask, 0),
            labels=self.labels and self.labels.columns(index),
            **{name: of(getattr(self, name), 1) for name in transitions},
        )

    @staticmethod
    def side_by_side(parts: Sequence[Trajectory]) -> Trajectory:
        """Unrolls of the same T steps as one; the inverse of `columns`."""
        dimensions = {"tasks": 0, "action_mask": 0}

        def joined(name: str) -> Any:
            own = [getattr(part, name) for part in parts]
            if name == "initial_state":
                return tuple(torch.cat(states) for states in zip(*own, strict=True))
            if isinstance(own[0], Inputs | Labels):
                return type(own[0]).side_by_side(own)
            return None if own[0] is None else torch.cat(own, dimensions.get(name, 1))

        return Trajectory(**{name: joined(name) for name in vars(parts[0])})

    def map(self, function: Callable[[Tensor], Tensor]) -> Trajectory:
        """The same function of every tensor, as for a transfer to another device."""

        def apply(x: Any) -> Any:
            if isinstance(x, tuple):
                return tuple(function(y) for y in x)
            return x if x is None else x.map(function) if isinstance(x, Inputs | Labels) else function(x)

        return Trajectory(**{name: apply(x) for name, x in vars(self).items()})
