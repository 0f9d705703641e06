"""Teachers without which a run goes on (`--teacher-optional`)."""

from __future__ import annotations

import time

import torch
from rich.console import Console

from kickstarting.console import say
from kickstarting.spaces import make_distribution
from kickstarting.teachers.protocol import Label, Teacher, TeacherFault, across_episodes
from kickstarting.types import Inputs, State

RARELY = 10.0
"""How many times longer than its last failure took a teacher is left alone: to ask costs a tenth of the time at most."""
LEAST = 1.0
"""Seconds for which it is left alone at least."""


class OptionalTeacher:
    """A teacher that, where it fails, has no opinion, and is taken back when it answers again, with a memory that begins anew."""

    def __init__(self, teacher: Teacher) -> None:
        self._inner = teacher
        self.ref, self.device = teacher.ref, teacher.device
        self.across_episodes = across_episodes(teacher)
        self.observation_space, self.action_space = teacher.observation_space, teacher.action_space
        self._absent, self._again = False, 0.0

    def initial_state(self, batch: int) -> State:
        return self._inner.initial_state(batch)

    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        began = time.monotonic()
        if began < self._again:
            return self._nothing(inputs)
        try:
            label, state = self._inner.label(inputs, state)
        except TeacherFault as fault:
            now = time.monotonic()
            self._again = now + max(LEAST, RARELY * (now - began))
            if not self._absent:
                say(Console(), f"{fault.whose}: {fault.what}; going on without it", style="yellow")
            self._absent = True
            return self._nothing(inputs)
        if self._absent:
            say(Console(), f"teacher {self.ref} is back", style="green")
        self._absent = False
        return label, state

    def _nothing(self, inputs: Inputs) -> tuple[Label, State]:
        """A label that says so, and a state that knows of no step."""
        T, B = inputs.is_first.shape
        policy = torch.zeros(T, B, make_distribution(self.action_space).size, device=inputs.is_first.device)
        return Label(policy, known=torch.zeros_like(inputs.is_first)), self.initial_state(B)
