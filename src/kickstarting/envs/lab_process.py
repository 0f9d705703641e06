"""One level of DeepMind Lab in a process of its own, which may die: run as a script by `envs/dmlab.py`.

It imports no other module of this package, so that a hundred of them are small. What it is asked through a connection, and what it
answers, are tuples; everything that the engine prints goes elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

OBSERVED = ("RGB_INTERLEAVED", "INSTR")
ACTIONS = np.array(
    [
        (0, 0, 0, 1, 0, 0, 0),  # forward
        (0, 0, 0, -1, 0, 0, 0),  # backward
        (0, 0, -1, 0, 0, 0, 0),  # strafe left
        (0, 0, 1, 0, 0, 0, 0),  # strafe right
        (-20, 0, 0, 0, 0, 0, 0),  # look left
        (20, 0, 0, 0, 0, 0, 0),  # look right
        (-20, 0, 0, 1, 0, 0, 0),  # look left and forward
        (20, 0, 0, 1, 0, 0, 0),  # look right and forward
        (0, 0, 0, 0, 1, 0, 0),  # fire
    ],
    np.intc,
)
"""Espeholt et al. 2018, table D.2: look left and right in pixels a frame, look up and down, strafe, move, fire, jump, crouch."""


class LevelCache:
    """Compiled maps in a directory, for all processes and runs: what DeepMind Lab calls to fetch one and to write one."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory).expanduser()
        self._directory.mkdir(parents=True, exist_ok=True)

    def fetch(self, key: str, pk3_path: str) -> bool:
        try:
            shutil.copyfile(self._path(key), pk3_path)
        except OSError:
            return False
        return True

    def write(self, key: str, pk3_path: str) -> None:
        """Another process sees the whole file or none."""
        with tempfile.NamedTemporaryFile(dir=self._directory, delete=False) as file, open(pk3_path, "rb") as source:
            shutil.copyfileobj(source, file)
        os.replace(file.name, self._path(key))

    def _path(self, key: str) -> Path:
        return self._directory / f"{hashlib.sha256(key.encode()).hexdigest()}.pk3"


class Level:
    """The engine, which has no last observation of an episode: the one before stands in its place."""

    def __init__(self, level: str, config: dict[str, str], renderer: str, level_cache: str) -> None:
        import deepmind_lab  # pyright: ignore[reportMissingImports]

        cache: dict[str, Any] = {"level_cache": LevelCache(level_cache)} if level_cache else {}
        self._lab = deepmind_lab.Lab(level, list(OBSERVED), config=config, renderer=renderer, **cache)

    def reset(self, seed: int) -> tuple[np.ndarray, str]:
        self._lab.reset(seed=seed)
        return self._look()

    def step(self, action: int, frames: int) -> tuple[np.ndarray, str, float, bool]:
        """Image, instruction, reward, and whether the episode ended."""
        reward = self._lab.step(ACTIONS[action], num_steps=frames)
        over = not self._lab.is_running()
        image, instruction = self._last if over else self._look()
        return image, instruction, float(reward), over

    def _look(self) -> tuple[np.ndarray, str]:
        """Copied: the engine writes its next image to the same place."""
        said = self._lab.observations()
        self._last = np.array(said["RGB_INTERLEAVED"]), str(said["INSTR"])
        return self._last


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):  # the parent decides what they mean
        signal.signal(number, signal.SIG_IGN)
    told: dict[str, Any] = json.loads(sys.argv[1])
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    with Connection(told["connection"]) as connection:
        try:
            level = Level(told["level"], told["config"], told["renderer"], told["level_cache"])
            while True:
                name, *arguments = connection.recv()
                connection.send(getattr(level, name)(*arguments))
        except EOFError:  # closed by the parent
            return
        except Exception as error:
            connection.send(f"{type(error).__name__}: {error}")


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


if __name__ == "__main__":
    main()
