"""Whose unrolls stand where in a batch, and in which order the learner sees its columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from kickstarting.actor import Episode
from kickstarting.types import Trajectory


class Slots:
    """The places of a batch, each for one unroll, whose columns stand side by side. task_of_column: int [b], of each.

    The learner sees all columns of a task side by side, as without a cluster, so that every n-th of them are a minibatch in which
    all tasks have their share.
    """

    def __init__(self, slots: int, task_of_column: np.ndarray) -> None:
        self.number, self.width = slots, len(task_of_column)
        self.sources: Sequence[int] = ()
        """Numbers of the actors whose unrolls are in the last batch, in their order there."""
        self.gaps: set[int] = set()
        """Actors of which an unroll since then is in no batch."""
        order = np.argsort(np.tile(task_of_column, slots), kind="stable") if slots > 1 else np.arange(self.width)
        self._order = torch.from_numpy(order) if slots > 1 else None
        self._places = np.argsort(order)

    def by_task(self, trajectory: Trajectory) -> Trajectory:
        """A batch as the learner sees it."""
        return trajectory if self._order is None else trajectory.columns(self._order.to(trajectory.rewards.device))

    def episode(self, slot: int, episode: Episode) -> Episode:
        """One of the unroll in a slot, in the column where the learner sees it."""
        return episode._replace(column=int(self._places[slot * self.width + episode.column]))

    def columns(self, slot: int) -> slice:
        return slice(slot * self.width, (slot + 1) * self.width)

    def some(self, trajectory: Trajectory, slots: Sequence[int]) -> Trajectory:
        """Those columns of a batch alone, side by side."""
        return Trajectory.side_by_side([trajectory.columns(self.columns(slot)) for slot in slots])


def waves(sources: Sequence[int]) -> list[list[int]]:
    """Slots, so grouped that no actor stands twice in a group, and an actor's unrolls in groups in their order."""
    groups: list[list[int]] = []
    seen: dict[int, int] = {}
    for slot, actor in enumerate(sources):
        turn = seen.get(actor, 0)
        seen[actor] = turn + 1
        if turn == len(groups):
            groups.append([])
        groups[turn].append(slot)
    return groups
