"""Dark rooms: the agent sees where it is, (x, y), and nothing of the goal, or of key and door (Laskin et al. 2022, section 4.1).

| family | size | steps | reward | start |
|---|---|---|---|---|
| dark-room | 9x9 | 20 | 1 on every step that ends on the goal | centre |
| dark-room-hard | 17x17 | 20 | 1 the first time | centre |
| key-to-door | 9x9 | 50 | 1 for the key, then 1 for the door | anywhere |

dark-room-7, -10 and -11 are dark rooms of these sizes, and dark-room-anywhere is one whose episodes begin anywhere: to learn
several families at once, and to meet one that was never seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import gymnasium
import numpy as np

from kickstarting.ad.tasks.family import Split, split_of

MOVES = np.array([(-1, 0), (1, 0), (0, -1), (0, 1), (0, 0)])
"""left, right, up, down, noop, as (x, y)."""


@dataclass(frozen=True)
class Rooms:
    """A family of dark rooms. A task is its goals, x and y of each, in the order in which they must be reached.

    every_step: a goal pays on every step on it, not only once. anywhere: episodes begin on a random cell, not in the centre.
    """

    name: str
    size: int
    horizon: int
    episodes: int
    goals: int = 1
    every_step: bool = False
    anywhere: bool = False
    actions: int = len(MOVES)

    @property
    def space(self) -> gymnasium.spaces.MultiDiscrete:
        return gymnasium.spaces.MultiDiscrete([self.size, self.size])

    @cached_property
    def cells(self) -> np.ndarray:
        """[size * size, 2], (x, y)."""
        return np.stack(np.divmod(np.arange(self.size**2), self.size), 1)[:, ::-1].copy()

    @property
    def centre(self) -> int:
        return self.size // 2

    def split(self, seed: int) -> Split:
        """Without the goal in the centre, where an agent that does nothing is right; of key and door, all pairs."""
        if self.goals == 1:
            return split_of(self.cells[(self.cells != self.centre).any(1)], seed)
        first, second = np.divmod(np.arange(len(self.cells) ** 2), len(self.cells))
        return split_of(np.concatenate([self.cells[first], self.cells[second]], 1), seed)

    def batch(self, tasks: np.ndarray, seed: int) -> RoomBatch:
        return RoomBatch(self, tasks, seed)

    def optimum(self, tasks: np.ndarray) -> np.ndarray:
        goals = tasks.reshape(len(tasks), self.goals, 2)
        if self.anywhere and not self.every_step:  # no two cells are so far apart that the horizon matters
            return np.full(len(tasks), float(self.goals))
        starts = self.cells if self.anywhere else np.full((1, 2), self.centre)
        distance = abs(goals[:, 0, None] - starts).sum(2)
        left = self.horizon - np.maximum(distance, 1) + 1
        return (np.maximum(left, 0) if self.every_step else left > 0).mean(1)


class RoomBatch:
    """Rooms side by side, one for each row of tasks."""

    reach = 0.0

    def __init__(self, family: Rooms, tasks: np.ndarray, seed: int) -> None:
        self.family, self.tasks, self.goals = family, tasks, family.goals
        self.places = family.cells
        self.states = (1 if family.every_step else family.goals + 1) * family.size**2
        self._targets = tasks.reshape(len(tasks), family.goals, 2).astype(np.int64)
        self._rng = np.random.default_rng(seed)
        self._rows = np.arange(len(tasks))
        self.position = np.zeros((len(tasks), 2), np.int64)
        self.stage = np.zeros(len(tasks), np.int64)

    def reset(self) -> np.ndarray:
        size = self.family.size
        self.position = (
            self._rng.integers(size, size=(len(self.tasks), 2)) if self.family.anywhere else self.position * 0 + size // 2
        )
        self.stage = np.zeros(len(self.tasks), np.int64)
        return self.position.astype(np.uint8)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.position = np.clip(self.position + MOVES[actions], 0, self.family.size - 1)
        there = (self.position == self._target()).all(1)
        if not self.family.every_step:
            there &= self.stage < self.goals
            self.stage += there
        return self.position.astype(np.uint8), there.astype(np.float32)

    def state(self) -> np.ndarray:
        cell = self.position[:, 1] * self.family.size + self.position[:, 0]
        return self.stage * self.family.size**2 + cell

    def expert(self) -> np.ndarray:
        return self.toward(self._target())

    def toward(self, targets: np.ndarray) -> np.ndarray:
        """Along one axis, chosen by lot where both are left; noop at the target."""
        way = targets - self.position
        horizontal = (way[:, 0] != 0) & ((way[:, 1] == 0) | (self._rng.random(len(way)) < 0.5))
        along = np.where(horizontal, np.where(way[:, 0] < 0, 0, 1), np.where(way[:, 1] < 0, 2, 3))
        return np.where((way == 0).all(1), 4, along)

    def _target(self) -> np.ndarray:
        return self._targets[self._rows, np.minimum(self.stage, self.goals - 1)]
