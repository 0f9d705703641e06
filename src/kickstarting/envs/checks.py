"""What environments say is checked: each one's word against its own spaces, and batches for what no network can read."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from kickstarting.envs.protocol import EnvironmentFault
from kickstarting.envs.watch import Watch
from kickstarting.spaces import Grid

CELLS = np.array([11, 6, 4])
"""How many objects, colours and states a Grid has."""
NO_NUMBER = "mend the environment, or wrap it so that the episode ends before"


def check_batch(observed: spaces.Dict, observations: Mapping[str, np.ndarray], rewards: np.ndarray) -> None:
    """Raise EnvironmentFault, with the column, if one of B normalised observations or rewards is none."""
    for name, space in observed.items():
        x, shape = observations[name], (*rewards.shape, *(space.shape or ()))
        if x.shape != shape:
            raise EnvironmentFault(f"observations {name!r} have shape {x.shape}, their space says {shape}")
        if (found := first_wrong(space, x)) is not None:
            raise EnvironmentFault(wrong(name, space, x[found]), NO_NUMBER, column=found[0])
    if (found := first_wrong(None, rewards)) is not None:
        raise EnvironmentFault(f"its reward is {rewards[found]}", NO_NUMBER, column=found[0])


def first_wrong(space: gymnasium.Space | None, x: np.ndarray) -> tuple[int, ...] | None:
    """The index of the first of many observations [..., *shape] (rewards if space is None) that is not finite, or outside
    of a Discrete space or a Grid; None if there is none."""
    if isinstance(space, spaces.Discrete):
        bad = (x < 0) | (x >= space.n)
    elif isinstance(space, Grid):
        bad = x >= CELLS
    elif x.dtype.kind == "f":
        bad = ~np.isfinite(x)
    else:
        return None
    if not bad.any():
        return None
    leading = x.ndim - len(space.shape or () if space else ())
    return tuple(int(i) for i in np.argwhere(bad)[0][:leading])


def wrong(name: str, space: gymnasium.Space, x: np.ndarray) -> str:
    """What is wrong with the observation that `first_wrong` found."""
    if isinstance(space, spaces.Discrete):
        return f"observation {name!r} is number {x} of {space.n}"
    if isinstance(space, Grid):
        return f"observation {name!r} has a cell {x.reshape(-1, 3).max(0)}, a Grid has numbers below {CELLS}"
    return f"observation {name!r} is {x[~np.isfinite(x)].flat[0] if x.ndim else x}"


class Checked(gymnasium.Wrapper):
    """One environment: whatever it raises, and whatever it returns that is not what it said, is an EnvironmentFault.

    Infos are dropped. limit: seconds for an answer, for an environment in a process of its own.
    """

    def __init__(self, env: gymnasium.Env, column: int, limit: float = 0.0) -> None:
        super().__init__(env)
        self._column, self._steps, self._watch = column, 0, Watch(limit)
        self._space = env.observation_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        result = self._ask("reset", seed=seed, options=options)
        if not (isinstance(result, tuple) and len(result) == 2):
            raise self._fault(f"reset() returned {_arity(result)}", "it must return (observation, info)")
        self._check(result[0], "reset")
        return result[0], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._steps += 1
        result = self._ask("step", action)
        if not (isinstance(result, tuple) and len(result) == 5):
            remedy = "it must return (observation, reward, terminated, truncated, info)"
            raise self._fault(f"step() returned {_arity(result)}", remedy)
        observation, reward, terminated, truncated, _ = result
        self._check(observation, "step")
        try:
            return observation, _number(reward), bool(terminated), bool(truncated), {}
        except (TypeError, ValueError):
            remedy = "a reward is one number; terminated and truncated are one bool each"
            said = f"step() returned the reward {reward!r}, terminated {terminated!r}, truncated {truncated!r}"
            raise self._fault(said, remedy) from None

    def _ask(self, name: str, *args: Any, **options: Any) -> Any:
        try:
            with self._watch:
                return getattr(self.env, name)(*args, **options)
        except EnvironmentFault as fault:
            fault.column, fault.step = self._column, self._steps
            raise
        except (Exception, SystemExit) as error:
            fault = self._fault(f"{name}() raised {type(error).__name__}: {error}", "its traceback shows where")
            fault.add_note(traceback.format_exc())
            raise fault from error

    def _check(self, observation: Any, method: str) -> None:
        if problem := _problem(self._space, observation, ""):
            raise self._fault(f"{method}() returned an observation that {problem}")

    def _fault(self, what: str, remedy: str = "") -> EnvironmentFault:
        return EnvironmentFault(what, remedy, column=self._column, step=self._steps)


def _arity(result: Any) -> str:
    return f"{len(result)} values" if isinstance(result, tuple) else f"a {type(result).__name__}"


def _number(reward: Any) -> float:
    return reward if isinstance(reward, float | int) else float(np.asarray(reward).item())


def _problem(space: gymnasium.Space, x: Any, name: str) -> str:
    """Why an observation cannot be one of a space, in words; empty if it can."""
    if isinstance(space, spaces.Box):
        if type(x) is np.ndarray and x.dtype == space.dtype and x.shape == space.shape:
            return ""
        return _array_problem(space, x, name)
    if isinstance(space, spaces.Dict | spaces.Tuple):
        inner = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        for key, part in inner:
            path = f"{name}/{key}" if name else str(key)
            try:
                value = x[key]
            except (LookupError, TypeError):
                return f"lacks {path!r}"
            if problem := _problem(part, value, path):
                return problem
        return ""
    of = f"has {name!r} = {x!r}, which is" if name else f"is {x!r},"
    if isinstance(space, spaces.Discrete):
        whole = isinstance(x, int | np.integer) or (isinstance(x, np.ndarray) and x.shape == () and x.dtype.kind in "iu")
        return "" if whole and space.start <= x < space.start + space.n else f"{of} not in {space}"
    if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
        first, last = (space.start, space.start + space.nvec - 1) if isinstance(space, spaces.MultiDiscrete) else (0, 1)
        if problem := _array_problem(space, x, name):
            return problem
        return "" if np.all(np.asarray(x) >= first) and np.all(np.asarray(x) <= last) else f"{of} not in {space}"
    return f"{of} no text" if isinstance(space, spaces.Text) and not isinstance(x, str) else ""


def _array_problem(space: gymnasium.Space, x: Any, name: str) -> str:
    of = f"has {name!r} with" if name else "has"
    try:
        array = np.asarray(x)
    except ValueError:
        return f"{of} no shape, its space is {space}"
    if array.shape != space.shape:
        return f"{of} shape {array.shape}, its space is {space}"
    if not np.can_cast(array.dtype, space.dtype or array.dtype, "same_kind"):
        return f"{of} dtype {array.dtype}, its space is {space}"
    return ""


def settle(parent: int) -> None:
    """In the process of one environment: end with its parent, and let the parent decide what signals mean."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)

    def end_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
