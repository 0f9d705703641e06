"""The adversarial bandit: in training odd arms pay best in 95 % of the tasks, in the test even arms do (Laskin et al. 2022).

An episode is one pull, and a history has a hundred. A task is the arms' probabilities of a reward of 1, in permille.
"""

from __future__ import annotations

import gymnasium
import numpy as np

from kickstarting.ad.tasks.family import Split

ARMS = 10
FAVOURED = 0.95
TASKS = {"train": 2000, "validation": 32, "test": 200}


class Bandit:
    """Arms are counted from 0; the family's test tasks are of another distribution than those of training and validation."""

    name, horizon, episodes, actions = "bandit", 1, 100, ARMS

    @property
    def space(self) -> gymnasium.spaces.MultiDiscrete:
        return gymnasium.spaces.MultiDiscrete([1])

    def split(self, seed: int) -> Split:
        return Split(**{part: _tasks(n, [seed, i], odd=part != "test") for i, (part, n) in enumerate(TASKS.items())})

    def batch(self, tasks: np.ndarray, seed: int) -> BanditBatch:
        return BanditBatch(tasks, seed)

    def optimum(self, tasks: np.ndarray) -> np.ndarray:
        return tasks.max(1) / 1000.0


def _tasks(n: int, seed: list[int], odd: bool) -> np.ndarray:
    """The best arm is swapped to one of the favoured in 95 % of the tasks, to one of the others in the rest."""
    rng = np.random.default_rng(seed)
    paying = rng.integers(1000, size=(n, ARMS))
    favoured = rng.random(n) < FAVOURED
    best = 2 * rng.integers(ARMS // 2, size=n) + np.where(favoured == odd, 1, 0)
    rows, was = np.arange(n), paying.argmax(1)
    paying[rows, was], paying[rows, best] = paying[rows, best], paying[rows, was]
    return paying


class BanditBatch:
    """Bandits side by side."""

    states = 1

    def __init__(self, tasks: np.ndarray, seed: int) -> None:
        self.tasks = tasks
        self._rng = np.random.default_rng(seed)
        self._rows = np.arange(len(tasks))

    def reset(self) -> np.ndarray:
        return np.zeros((len(self.tasks), 1), np.uint8)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        paid = self._rng.integers(1000, size=len(self.tasks)) < self.tasks[self._rows, actions]
        return self.reset(), paid.astype(np.float32)

    def state(self) -> np.ndarray:
        return np.zeros(len(self.tasks), np.int64)

    def expert(self) -> np.ndarray:
        return self.tasks.argmax(1)
