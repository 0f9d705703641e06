"""What a teacher says, in numbers: measured on unrolls of the tasks that it plays, without looking at what it is made of."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import torch
from torch import Tensor
from torch.nn import functional as F

from kickstarting.algo.distributions import Categorical, Distribution, MultiCategorical
from kickstarting.algo.losses import mask_logits
from kickstarting.machine import product_dtype
from kickstarting.teachers.label import parameters_of
from kickstarting.teachers.protocol import Teacher, across_episodes
from kickstarting.types import Inputs, State, Trajectory

CERTAIN = 0.01
"""Of the largest entropy: of seven actions the most probable one has 99.8 %."""
MOST_UNROLLS = 10
REPEATS = 3
"""Calls whose fastest counts as the time of a label."""


@dataclass(frozen=True)
class Said:
    """Means over the steps of a task, or of all. nan where there is no such number."""

    entropy: float
    """Nats of what the student hears: an action alone is smoothed as in the loss."""
    most_entropy: float
    """Nats of a policy that knows nothing; nan for continuous actions."""
    saturated: float
    """Share of the steps whose entropy is below CERTAIN of that."""
    agreement: float
    """Share of the steps in which the sampled action was the most probable one; nan for continuous actions."""
    cross_entropy: float
    """Nats between the teacher and a fresh student: what distillation begins at."""


@dataclass(frozen=True)
class Listened:
    """All that can be heard of a teacher without knowing what it scores."""

    tasks: Mapping[str, Said]
    overall: Said
    finite: bool
    """Every number of every label is one."""
    opinion: float
    """Share of the steps in which it has one."""
    favourite: int | None
    """The most probable action in nearly all steps; None if there is no such action."""
    deaf: bool
    """It says the same whatever it reads."""
    repeats: bool
    """Asked twice, it says the same."""
    carries: bool
    """Asked step by step, it says what it says of the whole unroll."""
    resets: bool
    """It forgets where an episode begins, or is made to remember beyond it."""
    remembers: bool | None
    """Its state changes what it says; None if it has no state."""
    microseconds: float
    """Per label, on whole unrolls of all columns."""


class Recorder:
    """Keeps some of the unrolls that it is called with: the first, and then ever fewer, number 1, 3, 7, 15 ..."""

    def __init__(self) -> None:
        self.unrolls: list[Trajectory] = []
        self._seen = 0

    def __call__(self, unroll: Trajectory) -> None:
        self._seen += 1
        if self._seen & (self._seen - 1) == 0 and len(self.unrolls) < MOST_UNROLLS:
            self.unrolls.append(unroll)


@torch.no_grad()
def listen(
    teacher: Teacher,
    unrolls: Sequence[Trajectory],
    tasks: Sequence[str],
    distribution: Distribution,
    action_space: gymnasium.Space,
    student: Any = None,
) -> Listened:
    """What a teacher says of unrolls in which it acted itself, sampled. tasks: names of the tasks that the unrolls count.

    student: a fresh `Network`, for the cross-entropy. distribution, action_space: of the environments.
    """
    heard = [_heard(teacher, unroll, distribution, action_space, student) for unroll in unrolls]
    steps = {name: torch.cat([part[name] for part in heard]) for name in heard[0]}
    opinion = steps["opinion"]
    every = steps["task"][opinion]
    columns = {name: x[opinion] for name, x in steps.items()}
    modes = columns["mode"]
    common, counts = modes.flatten(1).unique(dim=0, return_counts=True) if len(modes) else (modes, modes.new_zeros(1))
    discrete = isinstance(distribution, Categorical | MultiCategorical)
    constant = discrete and len(modes) > 0 and bool(counts.max() >= 0.999 * len(modes))
    said = columns["said"].double()
    deaf = len(said) > 1 and bool((said.std(0, correction=0) <= 1e-5 * (1 + said.mean(0).abs())).all())
    return Listened(
        tasks={name: _said(columns, every == i, discrete) for i, name in enumerate(tasks)},
        overall=_said(columns, torch.ones_like(every, dtype=torch.bool), discrete),
        finite=bool(steps["finite"].all()),
        opinion=float(opinion.float().mean()),
        favourite=int(common[counts.argmax()].flatten()[0]) if constant else None,
        deaf=deaf,
        **_memory(teacher, unrolls[0]),
        remembers=_remembers(teacher, unrolls),
        microseconds=_microseconds(teacher, unrolls[0]),
    )


def _heard(
    teacher: Teacher, unroll: Trajectory, distribution: Distribution, action_space: gymnasium.Space, student: Any
) -> dict[str, Tensor]:
    """By name what is known of each valid step, [N, ...]."""
    inputs, mask = unroll.inputs[:-1], unroll.action_mask
    label, _ = teacher.label(inputs, unroll.initial_state)
    said = parameters_of(label, distribution, action_space)
    policy = mask_logits(said, mask)
    T, B = unroll.valid.shape
    most = mask_logits(torch.zeros(B, distribution.size), None if mask is None else mask.cpu())
    discrete = isinstance(distribution, Categorical | MultiCategorical)
    fresh = torch.full((T, B), math.nan)
    if student is not None:
        output, _ = student(inputs, student.initial_state(B))
        fresh = distribution.cross_entropy(policy, mask_logits(output.logits, mask))
    known = torch.ones(T, B, dtype=torch.bool) if label.known is None else label.known
    modes = distribution.mode(policy)
    same = (modes == unroll.actions).reshape(T, B, -1).all(-1)
    tasks = torch.zeros(B, dtype=torch.int64) if unroll.tasks is None else unroll.tasks
    steps = {
        "said": (F.log_softmax(said, -1) if isinstance(distribution, Categorical) else said).nan_to_num(neginf=0.0),
        "mode": modes.reshape(T, B, -1),
        "entropy": distribution.entropy(policy),
        "most": (distribution.entropy(most) if discrete else torch.full((B,), math.nan)).expand(T, B),
        "same": same.float(),
        "cross": fresh,
        "finite": ~policy.isnan().any(-1) & (policy < math.inf).all(-1),
        "opinion": known,
        "task": tasks.expand(T, B),
    }
    valid = unroll.valid.cpu()
    return {name: x.cpu()[valid] for name, x in steps.items()}


def _said(columns: Mapping[str, Tensor], where: Tensor, discrete: bool) -> Said:
    def mean(x: Tensor) -> float:
        return float(x[where].float().mean()) if where.any() else math.nan

    entropy, most = columns["entropy"], columns["most"]
    return Said(
        entropy=mean(entropy),
        most_entropy=mean(most),
        saturated=mean(entropy < CERTAIN * most) if discrete else math.nan,
        agreement=mean(columns["same"]) if discrete else math.nan,
        cross_entropy=mean(columns["cross"]),
    )


def _memory(teacher: Teacher, unroll: Trajectory) -> dict[str, Any]:
    """How its labels depend on how it is asked. unroll: one that begins with first observations."""
    inputs, state = unroll.inputs[:-1], unroll.initial_state
    T, B = inputs.is_first.shape
    whole, _ = teacher.label(inputs, state)
    again, _ = teacher.label(inputs, state)
    if not _same(whole.policy, again.policy):
        return {"repeats": False, "carries": True, "resets": True}
    half, restarted, fresh = T // 2, inputs.map(torch.clone), teacher.initial_state(B)
    restarted.is_first[half], restarted.last_rewards[half], restarted.last_actions[half] = True, 0.0, inputs.last_actions[0]
    anew, _ = teacher.label(restarted[half:], fresh)
    cut, _ = teacher.label(restarted, state)
    return {
        "repeats": True,
        "carries": _same(_stepwise(teacher, inputs, lambda state: state, state), whole.policy),
        "resets": across_episodes(teacher) or _same(cut.policy[half:], anew.policy),
    }


def _remembers(teacher: Teacher, unrolls: Sequence[Trajectory]) -> bool | None:
    """Whether any step is answered otherwise without the state."""
    fresh = teacher.initial_state(unrolls[0].valid.shape[1])
    if not fresh:
        return None
    for unroll in unrolls:
        inputs = unroll.inputs[:-1]
        whole, _ = teacher.label(inputs, unroll.initial_state)
        if not _same(_stepwise(teacher, inputs, lambda _: fresh), whole.policy, 1e-7):
            return True
    return False


def _stepwise(teacher: Teacher, inputs: Inputs, passed: Callable[[State], State], state: State = ()) -> Tensor:
    """The policies of T calls on one step each. passed: what of the state goes into the next call."""
    policies = []
    for t in range(len(inputs.is_first)):
        label, state = teacher.label(inputs[t : t + 1], passed(state))
        policies.append(label.policy)
    return torch.cat(policies)


def _same(a: Tensor, b: Tensor, tolerance: float = 0.0) -> bool:
    """Up to the rounding of sums in another order."""
    tolerance = tolerance or (1e-3 if product_dtype() == torch.float32 else 5e-2)
    a, b = a.float().nan_to_num(), b.float().nan_to_num()
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance)


def _microseconds(teacher: Teacher, unroll: Trajectory) -> float:
    inputs, durations = unroll.inputs[:-1], []
    for _ in range(REPEATS):
        began = time.perf_counter()
        label, _ = teacher.label(inputs, unroll.initial_state)
        float(label.policy.flatten()[0])  # waits for an accelerator
        durations.append(time.perf_counter() - began)
    return 1e6 * min(durations) / inputs.is_first.numel()
