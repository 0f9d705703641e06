"""Teacher labels are data: what each teacher would have done at every step of the student's own unroll.

Teachers run here, on whole unrolls, each with its own recurrent state and only on the columns of the tasks that it
teaches, and not at all while it has no weight. The loss then sees tensors only.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from kickstarting.envs import MultiTaskEnv
from kickstarting.machine import run_network
from kickstarting.networks import Network
from kickstarting.networks.spec import describe_space
from kickstarting.teachers.native import Policy, load_policy
from kickstarting.types import Output, State, Trajectory


class Teacher:
    """A policy and the columns it teaches."""

    def __init__(self, policy: Policy, columns: np.ndarray, num_envs: int, name: str = "") -> None:
        self.policy = policy
        self.name = name or policy.ref
        self.network: Network = policy.network
        self.columns = torch.from_numpy(columns)
        self._everywhere = len(columns) == num_envs
        self._state: State | None = None

    def forget(self) -> None:
        """Drop the recurrent state: the columns start anew, or were not followed for a while."""
        self._state = None

    @torch.no_grad()
    def output(self, trajectory: Trajectory) -> Output:
        """On the first T inputs of its columns; carries the recurrent state to the next unroll."""
        inputs = trajectory.inputs[:-1]
        if not self._everywhere:
            inputs = inputs[:, self.columns]
        if self._state is None:
            self._state = self.network.initial_state(len(self.columns))
        output, self._state = run_network(self.network, inputs, self._state)
        return output


class Teachers:
    """All teachers of a run, stacked into K labels per column, K being the most teachers that one column has."""

    def __init__(self, teachers: Sequence[Teacher], num_envs: int) -> None:
        self.teachers = list(teachers)
        taken = np.zeros(num_envs, int)  # labels that a column has already
        self._slots = []
        for teacher in self.teachers:
            self._slots.append(torch.from_numpy(taken[teacher.columns]))
            taken[teacher.columns] += 1
        self._num_labels = int(taken.max(initial=0))

    def forget(self) -> None:
        for teacher in self.teachers:
            teacher.forget()

    def label(self, trajectory: Trajectory, weights: Sequence[np.ndarray]) -> Trajectory:
        """The trajectory with the teachers' logits, values and weights; itself if no teacher has weight.

        weights: lambda_i of each teacher, [B]. A teacher whose weights are all 0 is not run.
        """
        active = [i for i, t in enumerate(self.teachers) if np.any(weights[i][t.columns])]
        for i in set(range(len(self.teachers))) - set(active):
            self.teachers[i].forget()
        if not active:
            return trajectory
        (T, B), device = trajectory.rewards.shape, trajectory.rewards.device
        size = self.teachers[active[0]].policy.distribution.size
        logits = torch.zeros(self._num_labels, T, B, size, device=device)
        values = torch.zeros(self._num_labels, T, B, device=device)
        lambdas = torch.zeros(self._num_labels, B)
        for i in active:
            teacher, slots = self.teachers[i], self._slots[i]
            output = teacher.output(trajectory)
            logits[slots, :, teacher.columns] = output.logits.transpose(0, 1)
            values[slots, :, teacher.columns] = output.values.T
            lambdas[slots, teacher.columns] = torch.from_numpy(weights[i][teacher.columns]).float()
        return trajectory.labelled(logits, lambdas.to(device), values)


def build_teachers(refs: Sequence[str], task_names: Sequence[str], env: MultiTaskEnv, device: str = "cpu") -> Teachers:
    """Teachers from `[PATTERN=]REF` strings, matched to the columns of the student's environments, on the device.

    Raises ValueError if a pattern matches no task, or a teacher reads or acts in other spaces than the student has.
    """
    entries = [split_reference(entry) for entry in refs]
    teachers = []
    for pattern, ref in entries:
        tasks = [i for i, name in enumerate(task_names) if fnmatch.fnmatchcase(name, pattern)]
        if not tasks:
            raise ValueError(f"teacher pattern {pattern!r} matches no task; the suite has {', '.join(task_names)}")
        policy = load_policy(ref)
        check_spaces(policy, env)
        policy.network.to(device)
        alone = sum(other == ref for _, other in entries) == 1
        columns = np.flatnonzero(np.isin(env.task_of_column, tasks))
        teachers.append(Teacher(policy, columns, env.num_envs, ref if alone else f"{pattern}={ref}"))
    return Teachers(teachers, env.num_envs)


def split_reference(entry: str) -> tuple[str, str]:
    """Pattern and reference of `[PATTERN=]REF`; a path that exists is a reference, whatever it contains."""
    if "=" not in entry or Path(entry).exists():
        return "*", entry
    pattern, _, ref = entry.partition("=")
    return pattern, ref


def check_spaces(policy: Policy, env: MultiTaskEnv) -> None:
    """Raise ValueError, naming both sides, if a policy cannot act in these environments."""
    theirs, ours = describe_space(policy.spec.action_space), describe_space(env.action_space)
    if theirs != ours:
        raise ValueError(f"teacher {policy.ref} acts in {theirs}, the student in {ours}; they must share the action space")
    for name, space in policy.spec.observation_space.items():
        theirs = describe_space(space)
        ours = describe_space(env.observation_space[name]) if name in env.observation_space.spaces else "no such observation"
        if theirs != ours:
            raise ValueError(
                f"teacher {policy.ref} reads {name!r} as {theirs}, the student's environments have {ours}; "
                "choose a suite with the teacher's observations"
            )
