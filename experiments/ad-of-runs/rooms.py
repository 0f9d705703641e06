"""Rooms of BabyAI, of which each keeps its layout and its goal in every episode, and does not tell its mission."""

from __future__ import annotations

from typing import Any

import gymnasium
import minigrid  # noqa: F401  # registers BabyAI
import numpy as np
from gymnasium import spaces

from kickstarting.spaces import Grid


class Room(gymnasium.Env[dict[str, Any], np.int64]):
    """`BabyAI-GoToLocalS8N4-v0`: a room of 6x6 cells with four objects, and one of them pays whoever stands in front of it.

    layout: the seed of every reset. Shows what is in view, 7x7 cells as MiniGrid codes them, and the direction. Actions: turn left,
    turn right, go forward. An episode ends with a reward of 1 - 0.9 n / 64 after n steps, or without one after 64.
    """

    SHOWN = spaces.Dict({"image": Grid(0, 10, (7, 7, 3), np.uint8), "direction": spaces.Discrete(4)})
    observation_space = SHOWN
    action_space = spaces.Discrete(3)

    def __init__(self, layout: int) -> None:
        self.layout = layout
        self.room: Any = gymnasium.make("BabyAI-GoToLocalS8N4-v0").unwrapped

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        seen, about = self.room.reset(seed=self.layout)
        return self._shown(seen), about

    def step(self, action: np.int64) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        seen, reward, terminated, truncated, about = self.room.step(action)
        return self._shown(seen), float(reward), terminated, truncated, about

    def optimum(self) -> float:
        """The largest return that there is, by a search of the shortest way. Begins an episode."""
        self.reset()
        room = self.room
        target = {(obj.type, obj.color) for obj in room.instrs.desc.obj_set}
        ways = {(*room.agent_pos, room.agent_dir)}
        found = set(ways)
        for steps in range(1, room.max_steps):
            ways = {after for way in ways for after in self._after(*way)} - found
            found |= ways
            fronts = (self._front(*way) for way in ways)
            if any(cell is not None and (cell.type, cell.color) in target for cell in fronts):
                return 1.0 - 0.9 * steps / room.max_steps
        raise RuntimeError(f"layout {self.layout} has no way to {room.mission!r}")

    def _after(self, *way: int) -> list[tuple[int, int, int]]:
        x, y, direction = way
        (dx, dy), turned = DIRECTIONS[direction], [(x, y, (direction + turn) % 4) for turn in (1, 3)]
        return turned if self._front(*way) is not None else [*turned, (x + dx, y + dy, direction)]

    def _front(self, x: int, y: int, direction: int) -> Any:
        dx, dy = DIRECTIONS[direction]
        return self.room.grid.get(x + dx, y + dy)

    def _shown(self, seen: dict[str, Any]) -> dict[str, Any]:
        return {name: seen[name] for name in self.SHOWN}


DIRECTIONS = ((1, 0), (0, 1), (-1, 0), (0, -1))
# gymnasium takes any class; its annotation asks for one that takes every keyword
gymnasium.register("Room-v0", entry_point=Room)  # pyright: ignore[reportArgumentType]
