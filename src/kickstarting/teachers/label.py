"""Teacher labels are data: what each teacher would have done at every step of the student's own unroll.

Teachers are asked here, on whole unrolls, each with its own recurrent state and only on the columns of the tasks that it
teaches, and not at all while it has no weight. Whatever kind of label they give, the loss sees parameters of the student's
distribution: all kinds have an equal there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import gymnasium
import numpy as np
import torch
from torch import Tensor

from kickstarting.algo.distributions import Distribution
from kickstarting.teachers.batching import Assignment, make_batches
from kickstarting.teachers.protocol import Kind, Label
from kickstarting.types import Labels, Trajectory

SMOOTHING = 0.05
"""Share of the probability that a teacher of which only its discrete actions are known leaves to all actions alike."""


def parameters_of(label: Label, distribution: Distribution, action_space: gymnasium.Space, smoothing: float = SMOOTHING) -> Tensor:
    """A label as parameters of the student's distribution, [T, B, A]. Continuous actions are clipped into the action space.

    Raises ValueError if the distribution has no such policy, as of probabilities for continuous actions.
    """
    if label.kind == Kind.PARAMETERS:
        return label.policy
    if label.kind == Kind.PROBABILITIES:
        return distribution.of_probabilities(label.policy)
    actions = label.policy
    if isinstance(action_space, gymnasium.spaces.Box):
        low, high = (torch.from_numpy(bound).to(actions) for bound in (action_space.low, action_space.high))
        actions = actions.clamp(low, high)
    return distribution.of_actions(actions, smoothing)


class Teachers:
    """All teachers of a run, stacked into K labels per column, K being the most teachers that one column has.

    num_envs: B, the columns of the environments; distribution, action_space: the student's.
    """

    def __init__(
        self, assignments: Sequence[Assignment], num_envs: int, distribution: Distribution, action_space: gymnasium.Space
    ) -> None:
        self.assignments, self.num_envs = list(assignments), num_envs
        self.distribution, self.action_space = distribution, action_space
        taken = torch.zeros(num_envs, dtype=torch.int64)  # labels that a column has already
        for assignment in self.assignments:
            assignment.slots = taken[assignment.columns]
            taken[assignment.columns] += 1
        self._num_labels = int(taken.max()) if num_envs else 0
        self._batches = make_batches(self.assignments)
        self._known: dict[str, Tensor] = {}

    def forget(self) -> None:
        for assignment in self.assignments:
            assignment.forget()

    @torch.no_grad()
    def label(self, trajectory: Trajectory, lambdas: Sequence[np.ndarray]) -> Trajectory:
        """The trajectory with the teachers' labels; itself if no teacher has weight.

        lambdas: of each teacher, [B]. A teacher whose lambdas are all 0 is not asked.
        """
        (T, B), device = trajectory.rewards.shape, trajectory.rewards.device
        weights = torch.zeros(self._num_labels, B)
        active, self._known = [], {}
        for assignment, own in zip(self.assignments, lambdas, strict=True):
            weights[assignment.slots, assignment.columns] = torch.from_numpy(own[assignment.columns.numpy()]).float()
            if np.any(own[assignment.columns.numpy()]):
                active.append(assignment)
            else:
                assignment.forget()
        if not active:
            return trajectory
        policy = torch.zeros(self._num_labels, T, B, self.distribution.size, device=device)
        values = torch.zeros(self._num_labels, T, B, device=device)
        weights = weights.to(device)[:, None].expand(-1, T, -1)
        value_weights = weights
        for batch in self._batches:
            if some := [assignment for assignment in batch.assignments if assignment in active]:
                label = batch.label(some, trajectory.inputs[:-1])
                slots, columns = (torch.cat(parts) for parts in zip(*((a.slots, a.columns) for a in some), strict=True))
                policy[slots, :, columns] = parameters_of(label, self.distribution, self.action_space).transpose(0, 1)
                if label.known is not None:
                    weights = _silenced(weights, slots, columns, label.known)
                    value_weights = _silenced(value_weights, slots, columns, label.known)
                    shares = label.known.float().mean(0).split([len(a.columns) for a in some])
                    self._known |= {a.name: share.mean() for a, share in zip(some, shares, strict=True)}
                if label.values is None:
                    value_weights = _silenced(value_weights, slots, columns, torch.zeros(T, len(columns), dtype=torch.bool))
                else:
                    values[slots, :, columns] = label.values.T
        return replace(trajectory, labels=Labels(policy, weights, values, value_weights))

    def metrics(self) -> dict[str, float | None]:
        """On which share of the last unroll each teacher had an opinion that may have none."""
        return {f"teacher_known/{name}": share.item() for name, share in self._known.items()}


def _silenced(weights: Tensor, slots: Tensor, columns: Tensor, known: Tensor) -> Tensor:
    """Weights [K, T, B] that are 0 where a label says nothing. known: bool [T, b], of these slots and columns."""
    weights = weights.clone()
    weights[slots, :, columns] *= known.T.to(weights)
    return weights
