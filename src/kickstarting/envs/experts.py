"""Experts that live in an environment, since they need more than observations: their advice becomes an observation, `expert`.

A task's options name one: `options = {expert = "babyai"}`. What it advises follows what was done, whoever did it. The teacher
`observation:expert?actions=N` reads it off the trajectory, so this works in processes of their own, too.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import gymnasium
from gymnasium import spaces

from kickstarting.algo.parsing import nearest

NAME = "expert"
"""Of the observation."""
MOST_SUBGOALS = 500
"""A bot that plans more is going round in circles."""

Advise = Callable[[int | None], int | None]
"""What to do now, or None for no advice, after the action that was done; None for that at the first call."""


def check_expert(expert: str) -> None:
    """Raise ValueError if there is no such expert. What it advises in can be made by its id from then on."""
    if expert not in EXPERTS:
        raise ValueError(f"there is no expert {expert!r}; {nearest(expert, EXPERTS)}")
    if expert == "babyai":
        importlib.import_module("minigrid")  # registers them


class Advised(gymnasium.Wrapper):
    """An environment of discrete actions with the advice of an expert among its observations: Discrete(n + 1), whose last number
    means that there is none, as at the end of an episode.

    Whatever an expert raises is no advice; it then begins anew at the next step.
    """

    def __init__(self, env: gymnasium.Env, expert: str) -> None:
        super().__init__(env)
        if not isinstance(env.action_space, spaces.Discrete):
            raise ValueError(f"expert {expert} advises discrete actions, and the environment acts in {env.action_space}")
        self._make, self._none = EXPERTS[expert], int(env.action_space.n)
        self._make(env)  # says now what is not possible at all
        self._advise: Advise | None = None
        observed = env.observation_space
        self._alone = not isinstance(observed, spaces.Dict)
        parts = {"observation": observed} if self._alone else dict(observed.spaces)  # type: ignore[attr-defined]
        self.observation_space = spaces.Dict({**parts, NAME: spaces.Discrete(self._none + 1)})

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._advise = None
        return self._with(observation, self._advice(None)), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        advice = self._none if terminated or truncated else self._advice(int(action))
        return self._with(observation, advice), reward, terminated, truncated, info

    def _advice(self, done: int | None) -> int:
        try:
            if self._advise is None:
                self._advise, done = self._make(self.env)(), None
            advice = self._advise(done)
        except Exception:  # experts are lost in places where they would not have gone
            self._advise = advice = None
        return self._none if advice is None or not 0 <= advice < self._none else int(advice)

    def _with(self, observation: Any, advice: int) -> dict[str, Any]:
        return {**({"observation": observation} if self._alone else observation), NAME: advice}


def _babyai(env: gymnasium.Env) -> Callable[[], Advise]:
    """BabyAI's own bot, of the package minigrid. Raises ValueError for an environment that is none of BabyAI's."""
    from minigrid.envs.babyai.core.roomgrid_level import RoomGridLevel
    from minigrid.utils.baby_ai_bot import BabyAIBot

    if not isinstance(env.unwrapped, RoomGridLevel):
        raise ValueError(f"the expert babyai needs one of BabyAI's environments; this is {env.unwrapped}")

    def begin() -> Advise:
        bot: Any = BabyAIBot(env)
        bot.stack = _Bounded(bot.stack)
        return lambda done: int(bot.replan(done))

    return begin


class _Bounded(list):
    """A stack of subgoals that does not grow without end, as the bot's can after what it did not advise."""

    def append(self, subgoal: Any) -> None:
        if len(self) >= MOST_SUBGOALS:
            raise RuntimeError(f"more than {MOST_SUBGOALS} subgoals")
        super().append(subgoal)


EXPERTS: dict[str, Callable[[gymnasium.Env], Callable[[], Advise]]] = {"babyai": _babyai}
"""Each takes an environment and returns what begins to advise there, once an episode; raises ValueError if it cannot."""
