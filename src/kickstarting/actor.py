"""The actor: steps a vector environment with the current policy and returns what happened, one unroll at a time."""

from __future__ import annotations

import copy
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch

from kickstarting.algo.losses import mask_logits
from kickstarting.envs import MultiTaskEnv, TimeStep
from kickstarting.machine import mixed_precision, run_network
from kickstarting.networks import Network
from kickstarting.types import Inputs, Trajectory


class Episode(NamedTuple):
    """A finished episode."""

    task: int
    column: int
    episode_return: float
    """Sum of unclipped, undiscounted rewards."""
    length: int
    """Agent steps."""
    success: bool
    """The last reward was positive."""


class Actor:
    """One vector environment loop.

    The network may be the learner's own: it is read, never changed. Sampling is seeded; the same seed, weights and
    environments give the same unrolls. greedy: take the most likely action instead (for evaluation).
    """

    def __init__(
        self, env: MultiTaskEnv, network: Network, unroll_length: int, *, seed: int, greedy: bool = False, device: str = "cpu"
    ) -> None:
        self.env = env
        self.network = network
        self.unroll_length = unroll_length
        self._seconds = {"act": 0.0, "environment": 0.0}
        self._greedy = greedy
        self._device = device
        self._generator = torch.Generator(device).manual_seed(seed)
        self._state = network.initial_state(env.num_envs)
        self._mask = None if env.action_mask is None else env.action_mask.to(device)
        distribution = env.distribution
        self._no_action = torch.tensor(distribution.no_action, dtype=distribution.action_dtype, device=device)
        self._inputs = self._read(env.reset(), self._no_action.expand(env.num_envs, *distribution.action_shape))
        self._episodes: list[Episode] = []
        self._returns = np.zeros(env.num_envs)
        self._lengths = np.zeros(env.num_envs, int)

    @torch.no_grad()
    def unroll(self) -> Trajectory:
        """T steps of every column; the last inputs of one unroll are the first of the next."""
        began, environment_seconds = time.perf_counter(), 0.0
        initial_state = self._state
        inputs, logits, actions, steps = [self._inputs], [], [], []
        with mixed_precision(self._device):
            for _ in range(self.unroll_length):
                output, self._state = run_network(self.network, self._inputs[None], self._state)
                logits.append(mask_logits(output.logits[0], self._mask))
                actions.append(self._choose(logits[-1]))
                started = time.perf_counter()
                steps.append(self.env.step(actions[-1].cpu().numpy()))
                environment_seconds += time.perf_counter() - started
                self._count(steps[-1])
                self._inputs = self._read(steps[-1], actions[-1])
                inputs.append(self._inputs)
        trajectory = Trajectory(
            inputs=_stack_inputs(inputs),
            actions=torch.stack(actions),
            rewards=self._stack(steps, "rewards"),
            terminated=self._stack(steps, "terminated"),
            truncated=self._stack(steps, "truncated"),
            valid=self._stack(steps, "valid"),
            behaviour_log_probs=self.env.distribution.log_prob(torch.stack(logits), torch.stack(actions)),
            initial_state=initial_state,
            action_mask=self._mask,
        )
        self._seconds = {"act": time.perf_counter() - began - environment_seconds, "environment": environment_seconds}
        return trajectory

    def drain_episodes(self) -> list[Episode]:
        """The episodes that ended since the last call."""
        episodes, self._episodes = self._episodes, []
        return episodes

    def metrics(self) -> dict[str, float | None]:
        """Where the last unroll's time went."""
        return {f"seconds/{phase}": seconds for phase, seconds in self._seconds.items()}

    def close(self) -> None:
        """Nothing is left running."""

    def _choose(self, logits: torch.Tensor) -> torch.Tensor:
        distribution = self.env.distribution
        return distribution.mode(logits) if self._greedy else distribution.sample(logits, self._generator)

    def _read(self, step: TimeStep, actions: torch.Tensor) -> Inputs:
        is_first = self._send(step.is_first)
        wide = is_first.view(-1, *[1] * (actions.ndim - 1))
        rewards = self._send(step.rewards)
        return Inputs(
            {name: self._send(x) for name, x in step.observations.items()},
            torch.where(wide, self._no_action, actions),
            torch.where(is_first, 0.0, rewards),
            is_first,
        )

    def _send(self, x: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(x)
        return tensor if self._device == "cpu" else tensor.pin_memory().to(self._device, non_blocking=True)

    def _stack(self, steps: list[TimeStep], field: str) -> torch.Tensor:
        return self._send(np.stack([getattr(step, field) for step in steps]))

    def _count(self, step: TimeStep) -> None:
        self._returns += step.rewards
        self._lengths += step.valid
        for column in np.flatnonzero(step.terminated | step.truncated):
            reward = float(step.rewards[column])
            task, total = int(self.env.task_of_column[column]), float(self._returns[column])
            self._episodes.append(Episode(task, int(column), total, int(self._lengths[column]), reward > 0))
            self._returns[column] = self._lengths[column] = 0


class OverlappedActor:
    """An actor that works on the next unroll, in a thread of its own, while the learner steps on the last one.

    It acts with a copy of the network that is `lag` updates old, at most one, and is the same through an unroll: same
    seed, same run. On a GPU it works in a stream of its own.
    """

    def __init__(self, env: MultiTaskEnv, network: Any, unroll_length: int, *, seed: int, device: str = "cpu") -> None:
        self._network = network
        self._copy = copy.deepcopy(network)
        self._actor = Actor(env, self._copy, unroll_length, seed=seed, device=device)
        self._stream = torch.cuda.Stream() if device == "cuda" else None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="actor")
        self._metrics: dict[str, float | None] = {}
        self._episodes: list[Episode] = []
        self._next_lag = 0
        self._start()

    def unroll(self) -> Trajectory:
        """The unroll that was under way; the next one starts with the weights of now."""
        began = time.perf_counter()
        trajectory = self._pending.result()
        idle = time.perf_counter() - began
        self._metrics = {**self._actor.metrics(), "seconds/idle": idle, "lag": float(self._next_lag)}
        self._episodes += self._actor.drain_episodes()
        self._copy.load_state_dict(self._network.state_dict())
        self._next_lag = 1
        self._start()
        return trajectory

    def drain_episodes(self) -> list[Episode]:
        """The episodes that ended in the unrolls returned since the last call."""
        episodes, self._episodes = self._episodes, []
        return episodes

    def metrics(self) -> dict[str, float | None]:
        """Where the last unroll's time went, how long the learner waited for it, and how old its policy was in updates."""
        return self._metrics

    def close(self) -> None:
        """Wait for the unroll under way, which nobody will read."""
        self._thread.shutdown()

    def _start(self) -> None:
        if self._stream:  # the weights have arrived
            torch.cuda.current_stream().synchronize()
        self._pending = self._thread.submit(self._unroll)

    def _unroll(self) -> Trajectory:
        if not self._stream:
            return self._actor.unroll()
        with torch.cuda.stream(self._stream):
            trajectory = self._actor.unroll()
            self._stream.synchronize()
        return trajectory


def _stack_inputs(inputs: list[Inputs]) -> Inputs:
    observations = {name: torch.stack([x.observations[name] for x in inputs]) for name in inputs[0].observations}
    rest = ("last_actions", "last_rewards", "is_first")
    return Inputs(observations, *(torch.stack([getattr(x, name) for x in inputs]) for name in rest))
