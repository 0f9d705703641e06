"""The actor: steps a vector environment with the current policy and returns what happened, one unroll at a time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from kickstarting.algo.distributions import Distribution
from kickstarting.algo.losses import mask_logits
from kickstarting.envs import MultiTaskEnv, TimeStep, is_success
from kickstarting.machine import mixed_precision, run_network
from kickstarting.teachers import ActingTeachers
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
    by_teacher: bool = False
    """A teacher acted, not the student."""


class Unrolls(Protocol):
    """Where a learner's trajectories come from: an actor in this process, beside the learner, or on another machine."""

    def unroll(self) -> Trajectory:
        """The next T steps of every column."""
        ...

    def load(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Act with these weights from the next unroll on that begins. They are the learner's own tensors: whoever acts later, or
        elsewhere, copies them."""
        ...

    def drain_episodes(self) -> list[Episode]:
        """The episodes that ended in the unrolls returned since the last call."""
        ...

    def metrics(self) -> dict[str, float | None]:
        """About the last unroll: where its time went, and how old its policy was."""
        ...

    def close(self) -> None: ...


class Actor:
    """One vector environment loop: `Unrolls` in this process.

    The network may be the learner's own, which has its weights already. Sampling is seeded; the same seed, weights and
    environments give the same unrolls. greedy: take the most likely action instead (for evaluation). teachers: who acts in
    the student's place, in a share of the episodes; the student's recurrent state follows these too. distribution: the policy's, if
    it is another than that of the environments' space.
    """

    def __init__(
        self,
        env: MultiTaskEnv,
        network: Any,
        unroll_length: int,
        *,
        seed: int,
        greedy: bool = False,
        device: str = "cpu",
        teachers: ActingTeachers | None = None,
        distribution: Distribution | None = None,
    ) -> None:
        self.env = env
        self.network = network
        """A `Network`."""
        self.unroll_length = unroll_length
        self._seconds = {"act": 0.0, "environment": 0.0}
        self._greedy = greedy
        self._device = device
        self._teachers = teachers
        self.distribution = distribution or env.distribution
        self._generator = torch.Generator(device).manual_seed(seed)
        self._mask = None if env.action_mask is None else env.action_mask.to(device)
        self._states = [network.initial_state(group.stop - group.start) for group in env.groups]
        self._inputs = self._empty_inputs(1)
        nothing = self._view(torch.zeros_like(self._inputs.last_actions[0]))
        self._write(self._inputs.map(self._view), 0, slice(None), env.reset(), nothing)
        self._episodes: list[Episode] = []
        self._returns = np.zeros(env.num_envs)
        self._lengths = np.zeros(env.num_envs, int)

    @torch.no_grad()
    def unroll(self) -> Trajectory:
        """T steps of every column; the last inputs of one unroll are the first of the next."""
        began, waited = time.perf_counter(), 0.0
        env, T, B, distribution = self.env, self.unroll_length, self.env.num_envs, self.distribution
        initial_state = tuple(torch.cat(parts) for parts in zip(*self._states, strict=True))
        inputs = self._empty_inputs(T + 1)
        actions = torch.empty_like(inputs.last_actions[1:])
        logits = torch.empty(T, B, distribution.size, device=self._device)
        rewards = np.empty((T, B), np.float32)
        terminated, truncated, valid = (np.empty((T, B), bool) for _ in range(3))
        inputs.assign(slice(0, 1), self._inputs[-1:])
        noise = None if self._greedy else distribution.noise((T, B), self._generator)
        written, acted, said = inputs.map(self._view), self._view(actions), self._view(logits)
        with mixed_precision(self._device):
            for t in range(T + 1):
                for g, columns in enumerate(env.groups):
                    if t > 0:  # what this group's last actions came to
                        started = time.perf_counter()
                        step = env.recv(g)
                        waited += time.perf_counter() - started
                        self._write(written, t, columns, step, acted[t - 1, columns])
                        rewards[t - 1, columns], valid[t - 1, columns] = step.rewards, step.valid
                        terminated[t - 1, columns], truncated[t - 1, columns] = step.terminated, step.truncated
                        self._count(step, columns)
                    if t < T:  # while it steps, the network turns to the next group
                        output, self._states[g] = run_network(self.network, inputs[t : t + 1, columns], self._states[g])
                        behaviour = output.logits[0]
                        if self._teachers:
                            behaviour = self._teachers(behaviour, inputs[t : t + 1, columns], columns)
                        behaviour = mask_logits(behaviour, None if self._mask is None else self._mask[columns])
                        said[t, columns] = self._view(behaviour)
                        chosen = self._choose(behaviour, None if noise is None else noise[t, columns])
                        acted[t, columns] = self._view(chosen)
                        started = time.perf_counter()
                        env.send(chosen.cpu().numpy(), g)
                        waited += time.perf_counter() - started
        env.check(inputs.observations, rewards)
        self._inputs = inputs
        trajectory = Trajectory(
            inputs=inputs,
            actions=actions,
            rewards=self._send(rewards),
            terminated=self._send(terminated),
            truncated=self._send(truncated),
            valid=self._send(valid),
            behaviour_log_probs=distribution.log_prob(logits, actions),
            initial_state=initial_state,
            tasks=torch.from_numpy(env.task_of_column).to(self._device),
            action_mask=self._mask,
        )
        self._seconds = {"act": time.perf_counter() - began - waited, "environment": waited}
        return trajectory

    def drain_episodes(self) -> list[Episode]:
        """The episodes that ended since the last call."""
        episodes, self._episodes = self._episodes, []
        return episodes

    def metrics(self) -> dict[str, float | None]:
        """Where the last unroll's time went, how much of it was acted by teachers, if any may act, and what died meanwhile."""
        seconds: dict[str, float | None] = {f"seconds/{phase}": seconds for phase, seconds in self._seconds.items()}
        if (restarts := self.env.restarts) is not None:
            seconds["environment_restarts"] = float(restarts)
        return seconds | self._teachers.metrics() if self._teachers else seconds

    def load(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Nothing to do where the network is the learner's own."""
        own = self.network.state_dict() if isinstance(self.network, torch.nn.Module) else {}
        if any(own[name].data_ptr() != weight.data_ptr() for name, weight in weights.items() if name in own):
            self.network.load_state_dict(weights)

    def close(self) -> None:
        """Nothing is left running."""

    def _choose(self, logits: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
        distribution = self.distribution
        return distribution.mode(logits) if noise is None else distribution.sample(logits, noise)

    def _empty_inputs(self, steps: int) -> Inputs:
        env, distribution = self.env, self.distribution

        def empty(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
            return torch.empty(steps, env.num_envs, *shape, dtype=dtype, device=self._device)

        observations = {
            name: empty(space.shape or (), torch.from_numpy(np.empty(0, space.dtype)).dtype)
            for name, space in env.observation_space.items()
        }
        last_actions = empty(distribution.action_shape, distribution.action_dtype)
        return Inputs(observations, last_actions, empty((), torch.float32), empty((), torch.bool))

    def _write(self, inputs: Inputs, t: int, columns: slice, step: TimeStep, actions: Any) -> None:
        """inputs, actions: as `_view` gives them."""
        for name, x in step.observations.items():
            inputs.observations[name][t, columns] = self._sent(x)
        no_action = self.distribution.no_action
        first = step.is_first.reshape(-1, *[1] * (actions.ndim - 1))
        if self._device == "cpu":
            inputs.last_actions[t, columns] = np.where(first, actions.dtype.type(no_action), actions)
        else:
            inputs.last_actions[t, columns] = actions.masked_fill(self._send(first), no_action)
        inputs.last_rewards[t, columns] = self._sent(np.where(step.is_first, np.float32(0), step.rewards))
        inputs.is_first[t, columns] = self._sent(step.is_first)

    def _view(self, x: torch.Tensor) -> Any:
        """What is written to in small pieces: on a CPU the array behind a tensor, since numpy takes a tenth of the time."""
        return x.numpy() if self._device == "cpu" else x

    def _sent(self, x: np.ndarray) -> Any:
        return x if self._device == "cpu" else self._send(x)

    def _send(self, x: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(x)
        return tensor if self._device == "cpu" else tensor.pin_memory().to(self._device, non_blocking=True)

    def _count(self, step: TimeStep, columns: slice) -> None:
        self._returns[columns] += step.scored
        self._lengths[columns] += step.valid
        for i in np.flatnonzero(step.over | step.truncated):
            column = columns.start + int(i)
            if step.over[i]:  # else it was lost with its process
                self._episodes.append(self._episode(column, is_success(float(step.rewards[i]))))
            self._returns[column] = self._lengths[column] = 0

    def _episode(self, column: int, success: bool) -> Episode:
        task, total = int(self.env.task_of_column[column]), float(self._returns[column])
        by_teacher = self._teachers is not None and self._teachers.acts(column)
        return Episode(task, column, total, int(self._lengths[column]), success, by_teacher)
