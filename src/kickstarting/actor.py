"""The actor: steps a vector environment with the current policy and returns what happened, one unroll at a time."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import torch

from kickstarting.algo.losses import mask_logits
from kickstarting.envs import MultiTaskEnv, TimeStep
from kickstarting.networks import Network
from kickstarting.types import Inputs, Trajectory


class Episode(NamedTuple):
    """A finished episode."""

    task: int
    episode_return: float
    """Sum of unclipped, undiscounted rewards."""
    length: int
    """Agent steps."""
    success: bool
    """The last reward was positive."""


class Actor:
    """One vector environment loop.

    The network may be the learner's own: it is read, never changed. Sampling is seeded; the same seed, weights and
    environments give the same unrolls.
    """

    def __init__(self, env: MultiTaskEnv, network: Network, unroll_length: int, *, seed: int) -> None:
        self.env = env
        self.network = network
        self.unroll_length = unroll_length
        self._environment_seconds = 0.0
        self._generator = torch.Generator().manual_seed(seed)
        self._state = network.initial_state(env.num_envs)
        self._inputs = self._read(env.reset(), self._no_actions())
        self._episodes: list[Episode] = []
        self._returns = np.zeros(env.num_envs)
        self._lengths = np.zeros(env.num_envs, int)

    @torch.no_grad()
    def unroll(self) -> Trajectory:
        """T steps of every column; the last inputs of one unroll are the first of the next."""
        initial_state = self._state
        inputs, actions, log_probs, steps = [self._inputs], [], [], []
        for _ in range(self.unroll_length):
            output, self._state = self.network(self._inputs[None], self._state)
            logits = mask_logits(output.logits[0], self.env.action_mask)
            action = self.env.distribution.sample(logits, self._generator)
            started = time.perf_counter()
            step = self.env.step(action.numpy())
            self._environment_seconds += time.perf_counter() - started
            self._count(step)
            self._inputs = self._read(step, action)
            inputs.append(self._inputs)
            actions.append(action)
            log_probs.append(self.env.distribution.log_prob(logits, action))
            steps.append(step)
        return Trajectory(
            inputs=_stack_inputs(inputs),
            actions=torch.stack(actions),
            rewards=_stack(steps, "rewards"),
            terminated=_stack(steps, "terminated"),
            truncated=_stack(steps, "truncated"),
            valid=_stack(steps, "valid"),
            behaviour_log_probs=torch.stack(log_probs),
            initial_state=initial_state,
            action_mask=self.env.action_mask,
        )

    def drain_episodes(self) -> list[Episode]:
        """The episodes that ended since the last call."""
        episodes, self._episodes = self._episodes, []
        return episodes

    def drain_environment_seconds(self) -> float:
        """Time spent in the environments since the last call."""
        seconds, self._environment_seconds = self._environment_seconds, 0.0
        return seconds

    def _read(self, step: TimeStep, actions: torch.Tensor) -> Inputs:
        is_first = torch.from_numpy(step.is_first)
        wide = is_first.view(-1, *[1] * (actions.ndim - 1))
        return Inputs(
            {name: torch.from_numpy(x) for name, x in step.observations.items()},
            torch.where(wide, self._no_actions(), actions),
            torch.where(is_first, 0.0, torch.from_numpy(step.rewards)),
            is_first,
        )

    def _no_actions(self) -> torch.Tensor:
        distribution = self.env.distribution
        shape = (self.env.num_envs, *distribution.action_shape)
        return torch.full(shape, distribution.no_action, dtype=distribution.action_dtype)

    def _count(self, step: TimeStep) -> None:
        self._returns += step.rewards
        self._lengths += step.valid
        for column in np.flatnonzero(step.terminated | step.truncated):
            reward = float(step.rewards[column])
            task = int(self.env.task_of_column[column])
            self._episodes.append(Episode(task, float(self._returns[column]), int(self._lengths[column]), reward > 0))
            self._returns[column] = self._lengths[column] = 0


def _stack(steps: list[TimeStep], field: str) -> torch.Tensor:
    return torch.from_numpy(np.stack([getattr(step, field) for step in steps]))


def _stack_inputs(inputs: list[Inputs]) -> Inputs:
    observations = {name: torch.stack([x.observations[name] for x in inputs]) for name in inputs[0].observations}
    rest = ("last_actions", "last_rewards", "is_first")
    return Inputs(observations, *(torch.stack([getattr(x, name) for x in inputs]) for name in rest))
