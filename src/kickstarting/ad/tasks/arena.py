"""A pool with a hidden platform, seen from above as 64x64 pixels: eight headings, the platform anywhere (a continuous goal).

After the water maze of Laskin et al. 2022, section 4.1, without DeepMind Lab. An episode has 50 steps, begins in the centre and
pays 1 when the platform is reached. A task is the platform's place in 1/255 of the arena's side. Of an observation a history keeps
the agent's place, two bytes, of which `view` draws the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import gymnasium
import numpy as np

from kickstarting.ad.tasks.family import Split, split_of

SIDE, HEADINGS = 64, 8
STEP, PLATFORM, POOL, LEAST = 14.0, 14.0, 120.0, 40.0
"""Length of a step, radius of platform and pool, least distance of a platform from the centre, in 1/255 of the side."""
CENTRE = 127.5
TASKS = 1000
PLACES = 20
"""On each axis, of which a source that searches has been told."""
CELLS = 15
"""A side of the grid of places that a source remembers."""
_ANGLES = 2 * np.pi * np.arange(HEADINGS) / HEADINGS
_WAYS = STEP * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)


@dataclass(frozen=True)
class Arena:
    """The family of pools."""

    name: str = "arena"
    horizon: int = 50
    episodes: int = 200
    actions: int = HEADINGS
    picture: tuple[int, int, int] = (SIDE, SIDE, 3)

    @property
    def space(self) -> gymnasium.spaces.MultiDiscrete:
        return gymnasium.spaces.MultiDiscrete([256, 256])

    def split(self, seed: int) -> Split:
        rng = np.random.default_rng([seed, SIDE])
        distance = np.sqrt(rng.uniform(LEAST**2, (POOL - PLATFORM / 2) ** 2, TASKS))
        angle = rng.uniform(0, 2 * np.pi, TASKS)
        places = np.rint(CENTRE + distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)).astype(np.int64)
        return split_of(np.unique(places, axis=0), seed)

    def batch(self, tasks: np.ndarray, seed: int) -> ArenaBatch:
        return ArenaBatch(tasks, seed)

    def optimum(self, tasks: np.ndarray) -> np.ndarray:
        return np.ones(len(tasks))

    @cached_property
    def _empty(self) -> np.ndarray:
        """The pool, its wall, and four marks beyond it, each of another colour, by which one knows where one is."""
        y, x = np.mgrid[:SIDE, :SIDE] * (255.0 / (SIDE - 1))
        image = np.full((SIDE, SIDE, 3), 40, np.uint8)
        image[np.hypot(x - CENTRE, y - CENTRE) <= POOL + 6] = (150, 150, 150)
        image[np.hypot(x - CENTRE, y - CENTRE) <= POOL] = (70, 110, 160)
        for corner, colour in zip(
            [(0, 0), (0, 1), (1, 0), (1, 1)], [(220, 60, 60), (60, 200, 60), (220, 200, 60), (200, 80, 200)], strict=True
        ):
            image[tuple(slice(-7, None) if far else slice(0, 7) for far in corner)] = colour
        return image

    def view(self, observations: np.ndarray) -> np.ndarray:
        """The agent is a white square of 5x5 pixels."""
        flat = observations.reshape(-1, 2)
        images = np.broadcast_to(self._empty, (len(flat), *self.picture)).copy()
        centre = np.rint(flat * ((SIDE - 1) / 255.0)).astype(np.int64)
        rows = np.arange(len(flat))
        for dx in range(-2, 3):
            for dy in range(-2, 3):
                x, y = np.clip(centre[:, 0] + dx, 0, SIDE - 1), np.clip(centre[:, 1] + dy, 0, SIDE - 1)
                images[rows, y, x] = 255
        return images.reshape(*observations.shape[:-1], *self.picture)


class ArenaBatch:
    """Pools side by side."""

    goals, states = 1, 2 * CELLS * CELLS
    reach = PLATFORM / 2

    def __init__(self, tasks: np.ndarray, seed: int) -> None:
        self.tasks = tasks
        axis = np.linspace(0, 255, PLACES)
        grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
        self.places = grid[np.hypot(*(grid - CENTRE).T) <= POOL]
        self.position = np.full((len(tasks), 2), CENTRE)
        self.stage = np.zeros(len(tasks), np.int64)
        self._rng = np.random.default_rng(seed)

    def reset(self) -> np.ndarray:
        self.position = np.full((len(self.tasks), 2), CENTRE)
        self.stage = np.zeros(len(self.tasks), np.int64)
        return self._seen()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        way = self.position + _WAYS[actions] - CENTRE
        out = np.maximum(np.hypot(*way.T) / POOL, 1.0)
        self.position = CENTRE + way / out[:, None]
        there = (np.hypot(*(self.position - self.tasks).T) <= PLATFORM) & (self.stage == 0)
        self.stage += there
        return self._seen(), there.astype(np.float32)

    def state(self) -> np.ndarray:
        cell = np.minimum(self.position * CELLS / 255.0, CELLS - 1).astype(np.int64)
        return self.stage * CELLS**2 + cell[:, 1] * CELLS + cell[:, 0]

    def expert(self) -> np.ndarray:
        return self.toward(self.tasks)

    def toward(self, targets: np.ndarray) -> np.ndarray:
        """One of the two nearest headings, more often the nearer."""
        x, y = (targets - self.position).T
        heading = np.arctan2(y, x) * HEADINGS / (2 * np.pi)
        return np.floor(heading + self._rng.random(len(heading))).astype(np.int64) % HEADINGS

    def _seen(self) -> np.ndarray:
        return np.rint(self.position).astype(np.uint8)
