"""Any Gymnasium environment, through `gymnasium.make_vec`, in this process (sync) or one process each (async)."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from kickstarting.algo.parsing import nearest
from kickstarting.envs.actions import Actions
from kickstarting.envs.checks import Checked, check_batch, settle
from kickstarting.envs.experts import Advised, check_expert
from kickstarting.envs.games import check_preprocessing, frame_skip_in, make_game
from kickstarting.envs.observations import Observations
from kickstarting.envs.preprocessing import Preprocessing
from kickstarting.envs.protocol import EnvironmentFault, TimeStep, first_step, read_ends
from kickstarting.spaces import Declared, Grid, Text


class GymnasiumEnv:
    """A Gymnasium vector environment.

    Sync and async vectors are made to reset on the next step. A vector environment of its own that can only reset on the
    same step (metadata `autoreset_mode` SAME_STEP) fits the contract too, at the cost of one transition per truncated
    episode: its last observation is not in the batch, so that transition is marked not valid.

    num_threads: of no use here. timeout: seconds for an answer of an environment in a process of its own.
    """

    mode = "sync"
    """How `gymnasium.make_vec` calls it."""

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
        options = dict(options or {})
        try:
            self._env: Any = self._make(env_id, num_envs, options, timeout)
            self._act = Actions(self._env.single_action_space)
            kinds, self.frame_skip = self._look(env_id, options)
            self._observe = Observations(self._env.single_observation_space, num_envs, kinds)
        except (gymnasium.error.UnregisteredEnv, gymnasium.error.VersionNotFound) as error:
            raise ValueError(f"Gymnasium has no environment {env_id!r}; {nearest(env_id, gymnasium.registry)}") from error
        except EnvironmentFault:
            raise
        except (Exception, SystemExit) as error:  # whatever an environment's own code raises while it is made
            kind = "" if isinstance(error, ValueError | gymnasium.error.Error | ImportError) else f"{type(error).__name__}: "
            told = f" with options {options}" if options else ""
            raise ValueError(f"Gymnasium cannot make {env_id!r}{told}: {kind}{error}") from error
        self.num_envs = num_envs
        self.action_space, self.observation_space = self._act.space, self._observe.space
        reset_mode = self._env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        if reset_mode == AutoresetMode.DISABLED:
            raise ValueError(f"{env_id!r} never resets itself (autoreset_mode DISABLED); make it with NEXT_STEP or SAME_STEP")
        self._same_step = reset_mode == AutoresetMode.SAME_STEP
        self._seed = seed
        self._success_ends = success_ends
        self._done = np.zeros(num_envs, bool)
        self._actions: np.ndarray | None = None

    def reset(self) -> TimeStep:
        self._done = np.zeros(self.num_envs, bool)
        return self._ask(self._reset)

    def send(self, actions: np.ndarray) -> None:
        self._actions = self._act(actions)

    def recv(self) -> TimeStep:
        assert self._actions is not None, "recv without send"
        return self._ask(self._step)

    def close(self) -> None:
        self._ask(self._env.close)

    def render(self) -> np.ndarray | None:
        frames = self._ask(self._env.render) if self._env.render_mode == "rgb_array" else None
        frame = None if frames is None else np.asarray(frames[0])
        return frame if frame is not None and frame.ndim == 3 and frame.dtype == np.uint8 else None

    def abandon(self) -> None:
        self._env.closed = True  # or Gymnasium closes it at last, and waits

    def _reset(self) -> TimeStep:
        observations, _ = self._env.reset(seed=self._seed)
        step = first_step(self._observe(observations, ~self._done), self.num_envs)
        check_batch(self.observation_space, step.observations, step.rewards)
        return step

    def _step(self) -> TimeStep:
        observations, rewards, terminated, truncated, _ = self._answer()
        rewards = np.asarray(rewards, np.float32)
        terminated, truncated = read_ends(rewards, np.asarray(terminated, bool), np.asarray(truncated, bool), self._success_ends)
        if not rewards.shape == terminated.shape == truncated.shape == (self.num_envs,):
            raise EnvironmentFault(
                f"rewards have shape {rewards.shape}, terminated {terminated.shape}, for {self.num_envs} columns"
            )
        done = terminated | truncated
        is_first, valid = (done, ~truncated) if self._same_step else (self._done, ~self._done)
        self._done = done
        step = TimeStep(self._observe(observations, is_first), rewards, terminated, truncated, is_first, valid, rewards, done)
        check_batch(self.observation_space, step.observations, rewards)
        return step

    def _answer(self) -> tuple[Any, ...]:
        """What Gymnasium says of the actions that were sent."""
        return self._env.step(self._actions)

    def _ask(self, function: Callable[[], Any]) -> Any:
        try:
            return function()
        except EnvironmentFault:
            raise
        except (Exception, SystemExit) as error:
            raise EnvironmentFault(f"it raised {type(error).__name__}: {error}", "its traceback shows where") from error

    def _make(self, env_id: str, num_envs: int, options: dict[str, Any], timeout: float) -> Any:
        return SyncVectorEnv([partial(make_one, env_id, options, column) for column in range(num_envs)])

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
        preprocessing = options.get("preprocessing")
        if preprocessing is not None and preprocessing.frame_skip is not None:
            return preprocessing.frame_skip
        return frame_skip_in(gymnasium.registry.get(name), options)

    @staticmethod
    def arguments(env_id: str, preprocessing: Preprocessing) -> dict[str, Any]:
        check_preprocessing(env_id, preprocessing)
        return {"preprocessing": preprocessing}

    def _look(self, env_id: str, options: dict[str, Any]) -> tuple[dict[str, type[Declared]], int | None]:
        """What a single environment says of its observations and its frames."""
        return said_of(self._env.envs[0])


class GymnasiumVectorEnv(GymnasiumEnv):
    """An environment's own vector version."""

    mode = "vector_entry_point"

    @staticmethod
    def arguments(env_id: str, preprocessing: Preprocessing) -> dict[str, Any]:
        preprocessing.check_given((), f"{env_id} of gymnasium-vector")
        return {}

    def _make(self, env_id: str, num_envs: int, options: dict[str, Any], timeout: float) -> Any:
        return gymnasium.make_vec(env_id, num_envs, self.mode, **options)

    def _look(self, env_id: str, options: dict[str, Any]) -> tuple[dict[str, type[Declared]], int | None]:
        return {}, self.frame_skip_of(env_id, options)


def make_one(env_id: str, options: Mapping[str, Any], column: int, limit: float = 0.0, parent: int = 0) -> gymnasium.Env:
    """One environment of a vector. parent: the process that this one was made by, if it is another."""
    apart = parent not in (0, os.getpid())
    if apart:
        settle(parent)
    ours = ("wrappers", "expert", "preprocessing")
    if "expert" in options:
        check_expert(options["expert"])
    own = {name: value for name, value in options.items() if name not in ours}
    env = make_game(env_id, own, options.get("preprocessing"))
    if "expert" in options:
        env = Advised(env, options["expert"])
    for wrapper in options.get("wrappers") or ():
        env = wrapper(env)
    return Checked(env, column, limit if apart else 0.0)


def said_of(env: gymnasium.Env) -> tuple[dict[str, type[Declared]], int | None]:
    """What an environment of `make_one` says of itself: the kinds of its observations, and its frame skip."""
    assert isinstance(env, Checked)
    return _minigrid(env.env), frame_skip_in(env.env.spec, {})


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
