"""What a family of tasks is: many tasks of one kind that differ in a goal, and a batch of them that is stepped together.

A batch is in lockstep: all episodes have the family's length, so nothing is said of ends. What the student observes is kept as
bytes, which the family can draw as pictures (`view`). A source may know more than the student sees: `state`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import gymnasium
import numpy as np

PARTS = ("train", "validation", "test")
TEST, VALIDATION = 0.2, 0.05
"""Shares of the tasks that no model is trained on: those that are looked at once, and those for every choice on the way."""
MOST_TEST, MOST_VALIDATION, LEAST_VALIDATION = 128, 32, 4


@dataclass(frozen=True)
class Split:
    """Tasks in three parts, each [tasks, numbers of a task]; no task is in two of them."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@runtime_checkable
class Batch(Protocol):
    """N tasks side by side."""

    tasks: np.ndarray
    """[N, numbers of a task]"""
    states: int
    """Number of different `state`s; 0 for a family without them."""

    def reset(self) -> np.ndarray:
        """Begin an episode in every row; observations uint8 [N, D]."""
        ...

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """actions: int [N]. Observations [N, D], rewards float32 [N]."""
        ...

    def state(self) -> np.ndarray:
        """What an episode's future depends on, as a number, int [N]: what tables of a source are read by."""
        ...

    def expert(self) -> np.ndarray:
        """An optimal action, of who knows the task, int [N]."""
        ...


@runtime_checkable
class Search(Protocol):
    """A batch whose tasks are places to find: what a source that searches needs."""

    position: np.ndarray
    """Where the agent is [N, 2]."""
    places: np.ndarray
    """Where a goal may be [places, 2]."""
    reach: float
    """Distance of a place, on each axis, within which it has been seen."""
    goals: int
    """Goals of a task, one after the other."""
    stage: np.ndarray
    """How many of them were reached in this episode, int [N]."""

    def toward(self, targets: np.ndarray) -> np.ndarray:
        """The action that leads to a place, int [N]. targets: [N, 2]."""
        ...


@runtime_checkable
class Family(Protocol):
    """Tasks of one kind."""

    @property
    def name(self) -> str: ...
    @property
    def horizon(self) -> int:
        """Steps of an episode."""
        ...

    @property
    def episodes(self) -> int:
        """Of a history, as sources are run unless told otherwise."""
        ...

    @property
    def actions(self) -> int: ...
    @property
    def space(self) -> gymnasium.spaces.MultiDiscrete:
        """Of the bytes that are kept of an observation."""
        ...

    def split(self, seed: int) -> Split:
        """All tasks, or many where they are continuous, in three parts, by seed."""
        ...

    def batch(self, tasks: np.ndarray, seed: int) -> Batch: ...

    def optimum(self, tasks: np.ndarray) -> np.ndarray:
        """The expected return of the best policy that knows the task, [N]."""
        ...


@runtime_checkable
class Drawn(Protocol):
    """A family whose environment shows pictures, drawn from the bytes that histories keep."""

    @property
    def picture(self) -> tuple[int, int, int]:
        """Its shape."""
        ...

    def view(self, observations: np.ndarray) -> np.ndarray:
        """uint8 [..., D] to uint8 [..., H, W, C]."""
        ...


def split_of(tasks: np.ndarray, seed: int) -> Split:
    """Shuffle tasks, all different, and deal them out."""
    order = np.random.default_rng([seed, 15]).permutation(len(tasks))
    test = min(MOST_TEST, round(TEST * len(tasks)))
    validation = max(LEAST_VALIDATION, min(MOST_VALIDATION, round(VALIDATION * len(tasks))))
    cut = np.split(tasks[order], [test, test + validation])
    return Split(train=cut[2], validation=cut[1], test=cut[0])


def check_disjoint(split: Split) -> None:
    """Raise ValueError if a task is in two parts."""
    parts = {name: {tuple(task) for task in getattr(split, name).tolist()} for name in PARTS}
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        if both := parts[one] & parts[other]:
            raise ValueError(f"task {min(both)} is in {one} and in {other}; choose tasks that are different")
