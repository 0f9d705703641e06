"""`observation:NAME?actions=N`: advice that stands in an observation, as of an expert that lives in the environment.

The observation is a Discrete of N + 1, whose last number means that there is no advice (`envs/experts.py` makes it for BabyAI's
bot; an environment of your own may have one, too). The teacher reads its labels off the student's trajectory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from gymnasium import spaces

from kickstarting.teachers import signature
from kickstarting.teachers.program import named
from kickstarting.teachers.protocol import Kind, Label
from kickstarting.types import Inputs, State

OPTIONS: Mapping[str, str] = {"actions": "how many actions there are; the observation has one number more"}


def load(name: str, ref: str, device: str = "cpu", options: Mapping[str, str] | None = None) -> ObservedTeacher:
    with named(ref):
        counts = signature.counts(options or {})
        if len(counts) != 1:
            raise ValueError("it does not say how many actions there are; give ?actions=N")
        return ObservedTeacher(name, counts[0], ref, device)


def digest(name: str, options: Mapping[str, str] | None = None) -> str:
    return hashlib.sha256(repr((name, sorted((options or {}).items()))).encode()).hexdigest()


def recognises(path: Path) -> bool:
    return False


class ObservedTeacher:
    """Says what an observation says."""

    def __init__(self, name: str, actions: int, ref: str, device: str) -> None:
        self.ref, self.device = ref, device
        self._name, self._actions = name, actions
        self.observation_space = spaces.Dict({name: spaces.Discrete(actions + 1)})
        self.action_space = spaces.Discrete(actions)

    def initial_state(self, batch: int) -> State:
        return ()

    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        advice = inputs.observations[self._name]
        known = advice < self._actions
        return Label(advice.masked_fill(~known, 0), Kind.ACTIONS, known=known), state
