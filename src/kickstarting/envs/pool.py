"""EnvPool: C++ thread pools of MiniGrid, BabyAI, Atari, Procgen, classic control and hundreds more."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from gymnasium import spaces

from kickstarting.algo.parsing import nearest
from kickstarting.envs.observations import Observations
from kickstarting.envs.protocol import TimeStep, first_step


@cache
def envpool_ids() -> frozenset[str]:
    import envpool

    return frozenset(envpool.list_all_envs())


class EnvPoolEnv:
    """One pool, stepped in synchrony, with EnvPool's own next-step reset.

    success_ends: a reward on the very last allowed step is a success, thus a termination; EnvPool calls it truncated.
    options: passed to `envpool.make`. Seeding is fixed at construction: environment i gets seed + i.
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
    ) -> None:
        import envpool

        if env_id not in envpool_ids():
            raise ValueError(f"EnvPool has no environment {env_id!r}; {nearest(env_id, envpool_ids())}")
        self.num_envs = num_envs
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about float64 bounds cast to float32
            self._pool = envpool.make_gymnasium(
                env_id, num_envs=num_envs, num_threads=min(num_threads, num_envs), seed=seed, **(options or {})
            )
            self.action_space = self._pool.action_space
            self._observe = Observations(self._pool.observation_space, num_envs)
        self.observation_space = self._observe.space
        self._success_ends = success_ends
        self._rows = np.arange(num_envs, dtype=np.int32)
        self._keys = [key.removeprefix("obs:") for key in self._pool._state_keys]
        self._action_type = self._pool._spec._action_spec[-1][0]

    def reset(self) -> TimeStep:
        self._pool._reset(self._rows)
        state = self._state()
        if not np.array_equal(state["info:env_id"], self._rows):
            raise RuntimeError(
                f"EnvPool returned rows {state['info:env_id']} for environments 0 to {self.num_envs - 1}; upgrade it"
            )
        every = np.ones(self.num_envs, bool)
        return first_step(self._observe(state.get("obs", state), every), self.num_envs)

    # The public send and recv rebuild nested dictionaries at every call, which costs more than stepping 8 MiniGrids.

    def send(self, actions: np.ndarray) -> None:
        space = self.action_space
        actions = np.clip(actions, space.low, space.high) if isinstance(space, spaces.Box) else actions
        self._pool._send([self._rows, self._rows, actions.astype(self._action_type)])

    def recv(self) -> TimeStep:
        state = self._state()
        is_first = state["elapsed_step"] == 0
        rewards, truncated = state["reward"], state["trunc"]
        terminated = state["done"] & ~truncated
        if self._success_ends:
            terminated = terminated | (truncated & (rewards != 0))
            truncated = truncated & ~terminated
        return TimeStep(self._observe(state.get("obs", state), is_first), rewards, terminated, truncated, is_first, ~is_first)

    def close(self) -> None:
        self._pool.close()

    def _state(self) -> dict[str, Any]:
        return dict(zip(self._keys, self._pool._recv(), strict=True))
