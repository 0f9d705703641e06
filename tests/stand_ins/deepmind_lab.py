"""Stands in for DeepMind Lab's module, which nobody can install from the package index. It does what was observed of the real one:
its types, its errors, its one buffer for all images, and that it ends the process without an exception.

Settings of its own, which decide what happens: `max_episode_steps`; `luaErrorAt`, a step of every episode, or of a quarter of them
if `luaErrorSometimes`; `hangAt`; `newInstructionAt`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from typing import Any

import numpy as np

LEVELS = ("rooms_watermaze", "rooms_collect_good_objects_train", "explore_goal_locations_small", "psychlab_visual_search")


def _die(said: str) -> None:
    print(said, file=sys.stderr, flush=True)
    os._exit(1)


class Lab:
    def __init__(self, level, observations, config=None, renderer="software", level_cache: Any = None):
        for name, value in (config or {}).items():
            if not (isinstance(name, str) and isinstance(value, str)):
                raise TypeError("'config' values must be strings")
        self._level, self._config, self._cache = level, dict(config or {}), level_cache
        self._names = list(observations)
        self._shape = int(self._config.get("height", 240)), int(self._config.get("width", 320)), 3
        self._image = np.zeros(self._shape, np.uint8)
        self._running = False

    def reset(self, episode=-1, seed=None):
        name = self._level.rpartition("/")[2]
        if name.endswith("_test"):
            if self._config.get("allowHoldOutLevels") != "true":
                _die(f"level {self._level} needs allowHoldOutLevels")
        elif name not in LEVELS:
            _die(f"Couldn't load maps/{name}.bsp")
        self._seed = int(time.time()) if seed is None else seed
        self._rng = np.random.default_rng(self._seed)
        if self._cache is not None:
            self._build_map(f"{name}{self._seed % 3}")
        self._steps, self._running = 0, True

    def _build_map(self, key):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "map.pk3")
            if not self._cache.fetch(key, path):
                with open(path, "w") as file:
                    file.write(key)
                self._cache.write(key, path)
            with open(path) as file:
                assert file.read() == key

    def is_running(self):
        return self._running

    def observations(self):
        if not self._running:
            raise RuntimeError("Environment in wrong status")
        self._image[:] = np.random.default_rng((self._seed, self._steps)).integers(256, size=self._shape)
        late = self._steps >= int(self._config.get("newInstructionAt", 10**9))
        said = {"RGB_INTERLEAVED": self._image, "INSTR": "take the blue key" if late else "open the red door"}
        return {name: said[name] for name in self._names}

    def step(self, action, num_steps=1):
        if not isinstance(action, np.ndarray):
            raise TypeError("action must be numpy.ndarray")
        if action.dtype != np.intc or action.shape != (7,):
            raise ValueError("action must be of type int32, shape (7)")
        if not self._running:
            raise RuntimeError("Environment in wrong status")
        self._steps += 1
        if self._steps == int(self._config.get("hangAt", 0)):
            time.sleep(1e9)
        if self._steps == int(self._config.get("luaErrorAt", 0)) and (
            self._seed % 4 == 1 or "luaErrorSometimes" not in self._config
        ):
            _die("Error: [string \"level.lua\"]:12: attempt to index field 'door' (a nil value)")
        if self._steps >= int(self._config.get("max_episode_steps", 10**9)):
            self._running = False
        return float(num_steps * self._rng.integers(-1, 2) + action[3] * 0.0)
