"""Any Gymnasium environment, through `gymnasium.make_vec`, in this process (sync) or one process each (async)."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Collection, Mapping
from contextlib import closing
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode

from kickstarting.algo.parsing import nearest
from kickstarting.envs.observations import Observations
from kickstarting.envs.protocol import TimeStep, first_step, read_ends
from kickstarting.spaces import Declared, Grid, Text


class GymnasiumEnv:
    """A Gymnasium vector environment.

    Sync and async vectors are made to reset on the next step. A vector environment of its own that can only reset on the
    same step (metadata `autoreset_mode` SAME_STEP) fits the contract too, at the cost of one transition per truncated
    episode: its last observation is not in the batch, so that transition is marked not valid.

    num_threads: of no use here.
    """

    mode = "sync"
    """`gymnasium.make_vec`'s vectorization_mode."""

    def __init__(
        self,
        env_id: str,
        num_envs: int,
        *,
        seed: int,
        num_threads: int = 1,
        success_ends: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        vector_kwargs = {"autoreset_mode": AutoresetMode.NEXT_STEP} if self.mode in ("sync", "async") else {}
        try:
            self._env = gymnasium.make_vec(env_id, num_envs, self.mode, vector_kwargs=vector_kwargs, **(options or {}))
        except (gymnasium.error.UnregisteredEnv, gymnasium.error.VersionNotFound) as error:
            raise ValueError(f"Gymnasium has no environment {env_id!r}; {nearest(env_id, gymnasium.registry)}") from error
        except (gymnasium.error.Error, ImportError) as error:  # a package that is missing, an id that is none
            raise ValueError(f"Gymnasium cannot make {env_id!r}: {error}") from error
        self.num_envs = num_envs
        self.action_space = self._env.single_action_space
        kinds, self.frame_skip = self._look(env_id, options or {})
        self._observe = Observations(self._env.single_observation_space, num_envs, kinds)
        self.observation_space = self._observe.space
        reset_mode = self._env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        if reset_mode == AutoresetMode.DISABLED:
            raise ValueError(f"{env_id!r} never resets itself (autoreset_mode DISABLED); make it with NEXT_STEP or SAME_STEP")
        self._same_step = reset_mode == AutoresetMode.SAME_STEP
        self._seed = seed
        self._success_ends = success_ends
        self._done = np.zeros(num_envs, bool)
        self._actions: np.ndarray | None = None

    def reset(self) -> TimeStep:
        observations, _ = self._env.reset(seed=self._seed)
        self._done = np.zeros(self.num_envs, bool)
        return first_step(self._observe(observations, ~self._done), self.num_envs)

    def send(self, actions: np.ndarray) -> None:
        space = self.action_space
        self._actions = np.clip(actions, space.low, space.high) if isinstance(space, spaces.Box) else actions
        if isinstance(self._env, gymnasium.vector.AsyncVectorEnv):
            self._env.step_async(self._actions)

    def recv(self) -> TimeStep:
        if isinstance(self._env, gymnasium.vector.AsyncVectorEnv):
            observations, rewards, terminated, truncated, _ = self._env.step_wait()
        else:
            assert self._actions is not None, "recv without send"
            observations, rewards, terminated, truncated, _ = self._env.step(self._actions)
        rewards = np.asarray(rewards, np.float32)
        terminated, truncated = read_ends(rewards, terminated, truncated, self._success_ends)
        done = terminated | truncated
        is_first, valid = (done, ~truncated) if self._same_step else (self._done, ~self._done)
        self._done = done
        return TimeStep(self._observe(observations, is_first), rewards, terminated, truncated, is_first, valid)

    def close(self) -> None:
        self._env.close()

    @staticmethod
    def ids() -> Collection[str]:
        return gymnasium.registry.keys()

    @staticmethod
    def frame_skip_of(env_id: str, options: Mapping[str, Any]) -> int | None:
        """What the registered wrappers and arguments say; wrappers inside an entry point show only in the environment."""
        module, _, name = env_id.rpartition(":")
        if module:
            try:
                importlib.import_module(module)
            except ImportError:  # said when the environment is made
                return None
        spec = gymnasium.registry.get(name)
        return None if spec is None else _frame_skip(spec, options)

    def _look(self, env_id: str, options: Mapping[str, Any]) -> tuple[dict[str, type[Declared]], int | None]:
        """What a single environment says of its observations and its frames."""
        if isinstance(self._env, gymnasium.vector.SyncVectorEnv):
            env = self._env.envs[0]
            return _minigrid(env), _frame_skip(env.spec, {})
        if isinstance(self._env, gymnasium.vector.AsyncVectorEnv):  # its environments are out of sight
            env = gymnasium.make(env_id, **{name: value for name, value in options.items() if name != "wrappers"})
            for wrapper in options.get("wrappers") or ():
                env = wrapper(env)
            with closing(env):
                return _minigrid(env), _frame_skip(env.spec, {})
        return {}, self.frame_skip_of(env_id, options)


class GymnasiumAsyncEnv(GymnasiumEnv):
    """A Gymnasium vector environment with a process for each environment."""

    mode = "async"


class GymnasiumVectorEnv(GymnasiumEnv):
    """An environment's own vector version."""

    mode = "vector_entry_point"


_REPEATS = {"AtariPreprocessing": "frame_skip", "MaxAndSkipObservation": "skip"}
"""Gymnasium's wrappers that repeat actions, and the argument that says how often; 4 by default."""


def _frame_skip(spec: EnvSpec | None, options: Mapping[str, Any]) -> int | None:
    """The product of what wrappers and `frameskip`, the argument of ALE's environments, say; None if none of them does."""
    if spec is None:
        return None
    repeats = [(w.kwargs or {}).get(_REPEATS[w.name], 4) for w in spec.additional_wrappers if w.name in _REPEATS]
    own = {**spec.kwargs, **options}.get("frameskip")
    repeats += [own] if isinstance(own, int) else []
    return math.prod(repeats) if repeats else None


def _minigrid(env: gymnasium.Env) -> dict[str, type[Declared]]:
    """The symbolic views and the missions of an environment of the package minigrid, whose wrappers may show images instead."""
    package, inner = sys.modules.get("minigrid"), cast(Any, env.unwrapped)
    if package is None or not isinstance(inner, package.minigrid_env.MiniGridEnv):
        return {}
    view, room = env.get_wrapper_attr("agent_view_size"), (inner.width, inner.height)
    space = env.observation_space
    kinds: dict[str, type[Declared]] = {}
    for name, part in (space.spaces if isinstance(space, spaces.Dict) else {"observation": space}).items():
        if isinstance(part, package.core.mission.MissionSpace):
            kinds[name] = Text
        elif part.dtype == np.uint8 and part.shape in ((view, view, 3), (*room, 3)):
            kinds[name] = Grid
    return kinds
