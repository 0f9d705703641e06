"""DeepMind Lab: each environment in a process of its own, which is started anew if the engine ends it (docs/dmlab.md)."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from rich.console import Console

from kickstarting.console import say
from kickstarting.envs import lab_process
from kickstarting.envs.observations import Observations
from kickstarting.envs.preprocessing import Preprocessing
from kickstarting.envs.protocol import EnvironmentFault, TimeStep, first_step
from kickstarting.spaces import Pixels

FRAME_SKIP, SIZE = 4, (72, 96)
"""Of the paper."""
TRIES = 3
"""So often a process may die before another episode has ended."""
CLOSE_SECONDS = 5.0
LAST_WORDS = 2000
"""Bytes of what a process printed that are looked at."""
OWN = ("frame_skip", "renderer", "level_cache")
"""Options that are ours; all others are the level's configuration."""


class LabEnv:
    """Levels of DeepMind Lab, env_id being the level's path, as contributed/dmlab30/rooms_watermaze.

    Observes RGB_INTERLEAVED and INSTR, acts by the paper's nine actions. Every end is a termination, as in the paper. A step in
    which the engine dies belongs to no episode, and returns the first observation of the next one.

    options: frame_skip, renderer ("software" or "hardware"), level_cache (a directory); all others are the level's configuration.
    timeout: seconds for an answer, which for a new maze takes up to 16. num_threads, success_ends: of no use here.
    """

    def __init__(
        self,
        env_id: str,
        num_envs: int,
        *,
        seed: int,
        num_threads: int = 1,
        success_ends: bool = False,
        options: Mapping[str, Any] | None = None,
        timeout: float = 0.0,
    ) -> None:
        if importlib.util.find_spec("deepmind_lab") is None:
            raise ValueError(f"level {env_id!r} needs the module deepmind_lab, of which there is no wheel; docs/dmlab.md builds it")
        own = {"renderer": "software", "level_cache": "", **(options or {})}
        self.frame_skip: int | None = self.frame_skip_of(env_id, own)
        config = {"width": SIZE[1], "height": SIZE[0]} | {name: value for name, value in own.items() if name not in OWN}
        told = {name: own[name] for name in ("renderer", "level_cache")} | {"level": env_id}
        told["config"] = {name: _spelled(value) for name, value in config.items()}
        self.num_envs, self._level = num_envs, env_id
        shape = int(config["height"]), int(config["width"]), 3
        observed = spaces.Dict({"RGB_INTERLEAVED": Pixels(0, 255, shape, np.uint8), "INSTR": spaces.Text(1000)})
        self._observe = Observations(observed, num_envs)
        self.observation_space, self.action_space = self._observe.space, spaces.Discrete(len(lab_process.ACTIONS))
        self._seeds = [np.random.default_rng(seed + column) for column in range(num_envs)]
        self._timeout = timeout or None
        self._done, self._deaths = np.zeros(num_envs, bool), np.zeros(num_envs, int)
        self.restarts = 0
        self._instructions = [""] * num_envs
        self._told = told
        self._processes = [_Process(told) for _ in range(num_envs)]

    def reset(self) -> TimeStep:
        self._done[:] = False
        for column in range(self.num_envs):
            self._ask(column, "reset", self._seed(column))
        seen = [self._answer(column) or self._restart(column) for column in range(self.num_envs)]
        return first_step(self._observed(seen, ~self._done), self.num_envs)

    def send(self, actions: np.ndarray) -> None:
        for column, action in enumerate(actions.tolist()):
            if self._done[column]:
                self._ask(column, "reset", self._seed(column))
            else:
                self._ask(column, "step", action, self.frame_skip)

    def recv(self) -> TimeStep:
        is_first, seen = self._done.copy(), []
        rewards, lost, done = np.zeros(self.num_envs, np.float32), np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        for column in range(self.num_envs):
            answer = self._answer(column)
            if answer is None:
                lost[column] = not is_first[column]
                answer = self._restart(column)
            elif not is_first[column]:
                *_, rewards[column], done[column] = answer
            seen.append(answer)
        self._deaths[done] = 0
        self._done = done
        is_first |= lost
        return TimeStep(self._observed(seen, is_first), rewards, done, lost, is_first, ~is_first, rewards, done)

    def close(self) -> None:
        for process in self._processes:
            process.connection.close()
        until = time.monotonic() + CLOSE_SECONDS
        for process in self._processes:
            process.end(until - time.monotonic())

    def abandon(self) -> None:
        for process in self._processes:
            process.connection.close()
            process.end(0.0)

    @staticmethod
    def ids() -> Collection[str]:
        return ()

    @staticmethod
    def frame_skip_of(env_id: str, options: Mapping[str, Any]) -> int | None:
        return int(options.get("frame_skip", FRAME_SKIP))

    @staticmethod
    def arguments(env_id: str, preprocessing: Preprocessing) -> dict[str, Any]:
        preprocessing.check_given(("frame_skip", "size"), "deepmind-lab")
        told = {"frame_skip": preprocessing.frame_skip} if preprocessing.frame_skip else {}
        return told | (dict(zip(("height", "width"), preprocessing.shape, strict=True)) if preprocessing.shape else {})

    def _seed(self, column: int) -> int:
        """Of the next episode: without one the engine takes the time."""
        return int(self._seeds[column].integers(2**31 - 1))

    def _observed(self, seen: list[tuple[Any, ...]], is_first: np.ndarray) -> dict[str, np.ndarray]:
        """An instruction may change while an episode lasts."""
        instructions = [said[1] for said in seen]
        changed = np.array([now != before for now, before in zip(instructions, self._instructions, strict=True)])
        self._instructions = instructions
        return self._observe({"RGB_INTERLEAVED": np.stack([said[0] for said in seen]), "INSTR": instructions}, is_first | changed)

    def _ask(self, column: int, *what: Any) -> None:
        try:
            self._processes[column].connection.send(what)
        except OSError:  # it has died, which `_answer` finds
            return

    def _answer(self, column: int) -> tuple[Any, ...] | None:
        """What a process says; None if it died. Raises EnvironmentFault if it hangs, or says that it cannot go on."""
        process = self._processes[column]
        try:
            if not process.connection.poll(self._timeout):
                raise self._fault(column, f"level {self._level} has not answered for {self._timeout:g} seconds", hangs=True)
            said = process.connection.recv()
        except (EOFError, OSError):
            return None
        if isinstance(said, str):
            raise self._fault(column, f"level {self._level} raised {said}")
        return said

    def _restart(self, column: int) -> tuple[Any, ...]:
        """The first observation of the episode of a new process in the place of one that died."""
        while True:
            self._deaths[column] += 1
            how = self._processes[column].death()
            if self._deaths[column] >= TRIES:
                raise self._fault(column, f"the process of level {self._level} died {TRIES} times in a row, at last with {how}")
            say(Console(), f"the process of level {self._level} died with {how}; it is started anew", style="yellow")
            self.restarts += 1
            self._processes[column].end(0.0)
            self._processes[column] = _Process(self._told)
            self._ask(column, "reset", self._seed(column))
            if (answer := self._answer(column)) is not None:
                return answer

    def _fault(self, column: int, what: str, hangs: bool = False) -> EnvironmentFault:
        words = self._processes[column].last_words()
        remedy = f"its last words: {words[-1]}" if words else "it said nothing; docs/dmlab.md lists what levels need"
        remedy = f"give --environment-timeout more seconds if it is only slow; {remedy}" if hangs else remedy
        fault = EnvironmentFault(what, remedy, column=column)
        fault.add_note("\n".join(words))
        return fault


class _Process:
    """One `lab_process.py`, and what it prints."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.connection, theirs = Pipe()
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        with theirs:
            command = [sys.executable, "-P", str(Path(lab_process.__file__)), json.dumps(told | {"connection": theirs.fileno()})]
            self._popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=self._printed, stderr=self._printed, pass_fds=[theirs.fileno()]
            )

    def death(self) -> str:
        """How it died, and its last word."""
        self.connection.close()
        try:
            code = self._popen.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:  # it closed the connection, and lives
            self._popen.kill()
            code = self._popen.wait()
        words = self.last_words()
        return (f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}") + (f" ({words[-1]})" if words else "")

    def last_words(self) -> list[str]:
        """Of all that it printed the last lines."""
        size = self._printed.seek(0, 2)
        self._printed.seek(max(0, size - LAST_WORDS))
        return [line.strip() for line in self._printed.read().decode(errors="replace").splitlines() if line.strip()][-10:]

    def end(self, seconds: float) -> None:
        try:
            self._popen.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._printed.close()


def _spelled(value: Any) -> str:
    """As the engine reads it, which takes nothing but texts."""
    return str(value).lower() if isinstance(value, bool) else str(value)
