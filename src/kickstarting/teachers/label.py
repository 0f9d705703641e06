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
from kickstarting.machine import product_dtype, run_network
from kickstarting.networks import Network
from kickstarting.networks.recurrent import SideBySide, most_side_by_side, sizes
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
        self.slots = torch.zeros_like(self.columns)
        """Which of its columns' labels it gives: 0, or behind those of the teachers before it."""
        self.state: State | None = None
        self._everywhere = len(columns) == num_envs

    def forget(self) -> None:
        """Drop the recurrent state: the columns start anew, or were not followed for a while."""
        self.state = None

    def recall(self) -> State:
        """The recurrent state that the last unroll left."""
        return self.network.initial_state(len(self.columns)) if self.state is None else self.state

    @torch.no_grad()
    def output(self, trajectory: Trajectory) -> Output:
        """On the first T inputs of its columns; carries the recurrent state to the next unroll."""
        inputs = trajectory.inputs[:-1]
        if not self._everywhere:
            inputs = inputs[:, self.columns]
        output, self.state = run_network(self.network, inputs, self.recall())
        return output


class Panel:
    """Teachers that are run as one network: one policy under several patterns; or LSTMs and heads of one size with equally
    many columns; or a single teacher."""

    def __init__(self, teachers: Sequence[Teacher]) -> None:
        self.teachers = teachers
        self._active: Sequence[Teacher] = []

    @torch.no_grad()
    def output(self, active: Sequence[Teacher], trajectory: Trajectory) -> Output:
        """`Teacher.output` of those of its teachers that are active, their columns side by side."""
        if len(active) == 1:
            return active[0].output(trajectory)
        if active != self._active:
            self._active, networks = active, [teacher.policy.network for teacher in active]
            one_policy = all(network is networks[0] for network in networks)
            self._network = networks[0] if one_policy else SideBySide(networks, product_dtype())
        inputs = trajectory.inputs[:-1, torch.cat([teacher.columns for teacher in active])]
        state = tuple(torch.cat(parts) for parts in zip(*(teacher.recall() for teacher in active), strict=True))
        output, state = run_network(self._network, inputs, state)
        widths = [len(teacher.columns) for teacher in active]
        for teacher, *own in zip(active, *(x.split(widths) for x in state), strict=True):
            teacher.state = tuple(own)
        return output


class Teachers:
    """All teachers of a run, stacked into K labels per column, K being the most teachers that one column has."""

    def __init__(self, teachers: Sequence[Teacher], num_envs: int) -> None:
        self.teachers = list(teachers)
        taken = np.zeros(num_envs, int)  # labels that a column has already
        for teacher in self.teachers:
            teacher.slots = torch.from_numpy(taken[teacher.columns])
            taken[teacher.columns] += 1
        self._num_labels = int(taken.max(initial=0))
        self._panels = make_panels(self.teachers)

    def forget(self) -> None:
        for teacher in self.teachers:
            teacher.forget()

    def label(self, trajectory: Trajectory, weights: Sequence[np.ndarray]) -> Trajectory:
        """The trajectory with the teachers' logits, values and weights; itself if no teacher has weight.

        weights: lambda_i of each teacher, [B]. A teacher whose weights are all 0 is not run.
        """
        (T, B), device = trajectory.rewards.shape, trajectory.rewards.device
        lambdas = torch.zeros(self._num_labels, B)
        active = []
        for teacher, own in zip(self.teachers, weights, strict=True):
            lambdas[teacher.slots, teacher.columns] = torch.from_numpy(own[teacher.columns]).float()
            if np.any(own[teacher.columns]):
                active.append(teacher)
            else:
                teacher.forget()
        if not active:
            return trajectory
        logits = torch.zeros(self._num_labels, T, B, active[0].policy.distribution.size, device=device)
        values = torch.zeros(self._num_labels, T, B, device=device)
        for panel in self._panels:
            if some := [teacher for teacher in panel.teachers if teacher in active]:
                output = panel.output(some, trajectory)
                slots, columns = (torch.cat(parts) for parts in zip(*((t.slots, t.columns) for t in some), strict=True))
                logits[slots, :, columns] = output.logits.transpose(0, 1)
                values[slots, :, columns] = output.values.T
        return trajectory.labelled(logits, lambdas.to(device), values)


def make_panels(teachers: Sequence[Teacher]) -> list[Panel]:
    """The panels that label fastest: one for each policy that teaches under several patterns; of teachers that fit side by
    side, as many as the cache holds; the others one by one."""
    policies = [id(teacher.policy) for teacher in teachers]
    alike: dict[object, list[Teacher]] = {}
    for teacher, policy in zip(teachers, policies, strict=True):
        fit = sizes(teacher.network) if policies.count(policy) == 1 else None
        alike.setdefault(policy if fit is None else (fit, len(teacher.columns)), []).append(teacher)
    panels = []
    for key, group in alike.items():
        most = most_side_by_side(group[0].policy.network.core.hidden_size) if isinstance(key, tuple) else len(group)
        panels += [Panel(group[i : i + most]) for i in range(0, len(group), most)]
    return panels


def build_teachers(refs: Sequence[str], task_names: Sequence[str], env: MultiTaskEnv, device: str = "cpu") -> Teachers:
    """Teachers from `[PATTERN=]REF` strings, matched to the columns of the student's environments, on the device.

    Raises ValueError if a pattern matches no task, or a teacher reads or acts in other spaces than the student has.
    """
    entries = [split_reference(entry) for entry in refs]
    policies: dict[str, Policy] = {}
    teachers = []
    for pattern, ref in entries:
        tasks = [i for i, name in enumerate(task_names) if fnmatch.fnmatchcase(name, pattern)]
        if not tasks:
            raise ValueError(f"teacher pattern {pattern!r} matches no task; the suite has {', '.join(task_names)}")
        if ref not in policies:
            policies[ref] = load_policy(ref)
            check_spaces(policies[ref], env)
            policies[ref].network.to(device)
        policy = policies[ref]
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
