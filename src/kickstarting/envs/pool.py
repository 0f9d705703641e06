"""EnvPool: C++ thread pools of MiniGrid, BabyAI, Atari, Procgen, classic control and hundreds more."""

from __future__ import annotations

import importlib
import subprocess
import sys
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from gymnasium import spaces

from kickstarting.algo.parsing import nearest
from kickstarting.envs.actions import Actions
from kickstarting.envs.missing import with_remedy
from kickstarting.envs.observations import Observations, flatten
from kickstarting.envs.preprocessing import Preprocessing, envpool_arguments
from kickstarting.envs.protocol import EnvironmentFault, TimeStep, first_step, read_ends
from kickstarting.spaces import Declared, Grid, Text

MINIGRID: dict[str, type[Declared]] = {"image": Grid, "mission": Text}
"""What MiniGrid and BabyAI observe beside the direction."""

GAMES = ("atari", "vizdoom")
"""Libraries whose `frame_skip` is a number of frames, for which an action is repeated. That of MuJoCo's and others is a number
of physics steps, which make up one frame."""


@cache
def envpool_ids() -> frozenset[str]:
    import envpool

    return frozenset(envpool.list_all_envs())


def _library(env_id: str) -> str:
    """What an environment comes from, as EnvPool names its modules: `minigrid` (BabyAI too), `atari`, `mujoco.gym` ..."""
    from envpool.registration import registry

    return registry.specs[env_id][0].removeprefix("envpool.")


def _defaults(env_id: str) -> dict[str, Any]:
    """An environment's own arguments, as `make` takes them."""
    from envpool.registration import registry

    module, name, own = registry.specs[env_id]
    try:
        spec = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise ValueError(f"EnvPool cannot load {env_id!r}: {with_remedy(error)}") from error
    return {**dict(zip(spec._config_keys, spec._default_config_values, strict=True)), **own}


@cache
def _draws(env_id: str) -> bool:
    """Whether a picture can be asked for: without OpenGL, MuJoCo ends the process that asks, so another one tries."""
    if not _library(env_id).startswith("mujoco"):
        return True
    tried = f"import envpool; pool = envpool.make_gymnasium({env_id!r}, num_envs=1); pool.reset(); pool.render()"
    try:
        return not subprocess.run([sys.executable, "-c", tried], capture_output=True, timeout=60, check=False).returncode
    except subprocess.TimeoutExpired:
        return False


class EnvPoolEnv:
    """One pool, stepped in synchrony, with EnvPool's own next-step reset.

    success_ends: a success on the very last allowed step is a termination; EnvPool calls it truncated.
    options: passed to `envpool.make`. timeout: of no use here. Seeding is fixed at construction: environment i gets seed + i.
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
        import envpool

        if env_id not in envpool_ids():
            raise ValueError(f"EnvPool has no environment {env_id!r}; {nearest(env_id, envpool_ids())}")
        if (options or {}).get("noop_max", 1) < 1:
            raise ValueError(f"noop_max of {env_id!r} is {(options or {})['noop_max']}; EnvPool crashes below 1")
        self.num_envs, self._env_id = num_envs, env_id
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about float64 bounds cast to float32
            try:
                self._pool = envpool.make_gymnasium(
                    env_id, num_envs=num_envs, num_threads=min(num_threads, num_envs), seed=seed, **(options or {})
                )
            except Exception as error:
                told = f" with options {dict(options)}" if options else ""
                raise ValueError(f"EnvPool cannot make {env_id!r}{told}: {with_remedy(error)}") from error
            self._act = Actions(self._pool.action_space)
            parts = flatten(self._pool.observation_space)
            observed = spaces.Dict({name: part for name, (_, part) in parts.items()})
            self._observe = Observations(observed, num_envs, MINIGRID if _library(env_id) == "minigrid" else None)
        self.action_space, self.observation_space = self._act.space, self._observe.space
        self.frame_skip = int(self._pool.spec.config.frame_skip) if _library(env_id) in GAMES else None
        self._success_ends = success_ends
        self._done = np.zeros(num_envs, bool)
        self._rows = np.arange(num_envs, dtype=np.int32)
        spelled = {"obs:" + sign.join(path): name for name, (path, _) in parts.items() for sign in ".:"} | {"obs": "observation"}
        self._keys = [spelled.get(key, key) for key in self._pool._state_keys]
        self._action_type = self._pool._spec._action_spec[-1][0]

    @staticmethod
    def ids() -> frozenset[str]:
        return envpool_ids()

    @staticmethod
    def frame_skip_of(env_id: str, options: Mapping[str, Any]) -> int | None:
        """From the defaults of the class: EnvPool's own `make_spec` takes half a second for an Atari game."""
        if env_id not in envpool_ids() or _library(env_id) not in GAMES:
            return None
        return int({**_defaults(env_id), **options}["frame_skip"])

    @staticmethod
    def arguments(env_id: str, preprocessing: Preprocessing) -> dict[str, Any]:
        if env_id not in envpool_ids():  # said when it is made
            return {}
        known = {name for name in _defaults(env_id) if name != "frame_skip" or _library(env_id) in GAMES}
        return envpool_arguments(preprocessing, known, f"{env_id} of envpool")

    def reset(self) -> TimeStep:
        self._pool._reset(self._rows)
        state = self._state()
        if not np.array_equal(state["info:env_id"], self._rows):
            raise RuntimeError(
                f"EnvPool returned rows {state['info:env_id']} for environments 0 to {self.num_envs - 1}; upgrade it"
            )
        if state["reward"].shape != (self.num_envs,):
            raise EnvironmentFault("it has several players, whose rewards nobody here can tell apart", "choose one with one player")
        every, self._done = np.ones(self.num_envs, bool), np.zeros(self.num_envs, bool)
        return first_step(self._observe(state, every), self.num_envs)

    # The public send and recv rebuild nested dictionaries at every call, which costs more than stepping 8 MiniGrids.

    def send(self, actions: np.ndarray) -> None:
        self._pool._send([self._rows, self._rows, self._act(actions).astype(self._action_type)])

    def recv(self) -> TimeStep:
        state, is_first = self._state(), self._done  # after a lost life, elapsed_step goes on
        rewards, cut, self._done = state["reward"], state["trunc"], state["done"]
        terminated, truncated = read_ends(rewards, self._done & ~cut, cut, self._success_ends)
        scored, over = rewards, self._done
        if "info:lives" in state:  # Atari counts what the game counts, and a life is no game
            scored, over = state["info:reward"], over & (cut | (state["info:terminated"] != 0))
        return TimeStep(self._observe(state, is_first), rewards, terminated, truncated, is_first, ~is_first, scored, over)

    def render(self) -> np.ndarray | None:
        if not _draws(self._env_id):
            return None
        try:
            frames = self._pool.render()
        except (RuntimeError, ValueError, NotImplementedError):  # not every library of EnvPool draws
            return None
        return None if frames is None else np.asarray(frames)[0]

    def close(self) -> None:
        self._pool.close()

    def abandon(self) -> None:
        """The thread that waits for it keeps it."""

    def _state(self) -> dict[str, Any]:
        try:
            return dict(zip(self._keys, self._pool._recv(), strict=True))
        except Exception as error:
            raise EnvironmentFault(f"EnvPool raised {type(error).__name__}: {error}") from error
