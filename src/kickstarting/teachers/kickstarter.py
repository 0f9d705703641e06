"""A teacher for a training loop of one's own, in the terms of that loop: its environments' observations, actions and units."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from kickstarting.algo.losses import distillation_loss
from kickstarting.algo.parsing import parse_schedule
from kickstarting.algo.schedules import Schedule
from kickstarting.envs.actions import Actions
from kickstarting.envs.observations import Observations
from kickstarting.ranges import shown
from kickstarting.spaces import make_distribution
from kickstarting.teachers.adapters import adapt, parse_adapters
from kickstarting.teachers.label import parameters_of
from kickstarting.teachers.origins import load_teacher
from kickstarting.teachers.origins.foreign import Units
from kickstarting.teachers.protocol import Teacher
from kickstarting.types import Inputs


class Kickstarter:
    """Labels a loop's unrolls, and turns the labels into the term lambda * H(pi_teacher || pi_student).

    teacher: a reference, as `kickstart train --teacher` takes it, or a `Teacher`.
    observation_space, action_space: of one environment, as Gymnasium has them, behind the loop's own wrappers.
    schedule: lambda over the frames of the loop, of which there are total_frames. adapters: as `--teacher-adapters` takes them.

    Raises ValueError if there is no such teacher, it does not fit the spaces, or the schedule cannot be read or follows progress,
    which only `kickstart train` measures.
    """

    def __init__(
        self,
        teacher: str | Teacher,
        observation_space: gymnasium.Space,
        action_space: gymnasium.Space,
        *,
        schedule: str = "linear:1:0:20%",
        total_frames: int,
        adapters: str = "",
        device: str = "cpu",
    ) -> None:
        self._schedule = _read_schedule(schedule, total_frames)
        self._space, self._actions = observation_space, action_space
        ours = Actions(action_space).space
        self.distribution = make_distribution(ours)
        """The student's: what `loss` reads, but for the units of continuous actions."""
        self._units = Units(action_space) if isinstance(action_space, spaces.Box) else None
        self._rows, self._observations = 1, Observations(observation_space, 1)
        with torch.random.fork_rng(devices=[]):  # to make a network draws numbers, which are the loop's
            loaded = load_teacher(teacher, device) if isinstance(teacher, str) else teacher
        self.teacher = adapt(loaded, parse_adapters(adapters) if adapters else (), self._observations.space, ours)
        """Behind its adapters."""
        self._ours = ours
        self.forget()

    def weight(self, frames: int) -> float:
        """lambda after so many frames."""
        return float(self._schedule.at(frames))

    def forget(self) -> None:
        """Drop the teacher's memory: the environments start anew, or were not followed for a while."""
        self._state: tuple[Tensor, ...] | None = None
        self._last: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def label(
        self, observations: Any, is_first: Any, *, frames: int, actions: Any = None, rewards: Any = None
    ) -> tuple[Tensor, Tensor]:
        """What the teacher would have done on an unroll: parameters of its policy [T, B, A], and their weights [T, B].

        Call it once for each unroll, in their order, since the teacher's memory goes from one to the next. Both results are for
        `loss`, whole or the same rows of both. While lambda is 0, the teacher is not asked and the weights are 0; so are the
        weights of steps on which it has no opinion.

        observations: [T, B, ...], arrays or tensors, in the layout and units of the observation space; by name for a Dict.
        is_first: [T, B], where an episode begins. actions: [T, B, ...] what was done then, and rewards: [T, B] what that brought,
        for teachers that read the last of each.
        """
        first = _tensor(is_first).bool()
        (T, B), device = first.shape, first.device
        weight = self.weight(frames)
        if not weight:
            self.forget()
            return torch.zeros(T, B, self.distribution.size, device=device), torch.zeros(T, B, device=device)
        inputs = Inputs(self._observed(observations, T * B, (T, B)), *self._before(first.cpu(), actions, rewards), first.cpu())
        state = self.teacher.initial_state(B) if self._state is None else self._state
        label, self._state = self.teacher.label(inputs.map(lambda x: x.to(self.teacher.device)), state)
        policy = parameters_of(label, self.distribution, self._ours).to(device)
        weights = torch.full((T, B), weight, device=device)
        return policy, weights if label.known is None else weights * label.known.to(weights)

    def loss(self, student: Tensor, policy: Tensor, weights: Tensor) -> Tensor:
        """The mean of lambda * H(pi_teacher || pi_student) over the rows whose weight is not 0; 0 if there are none.

        student: parameters of its policy on the same rows, which receive the gradient: logits, of several choices one behind the
        other (of a MultiBinary one for each bit); or [..., 2 D] means and log standard deviations in units of the action space,
        before it is clipped. The cross-entropy counts continuous actions in units of half their range; that adds a constant.
        """
        return distillation_loss(self._parameters(student), policy, weights, self.distribution)

    def _parameters(self, student: Tensor) -> Tensor:
        if self._units:
            return self._units.unclipped(*student.chunk(2, -1))
        if isinstance(self._actions, spaces.MultiBinary):
            return torch.stack([torch.zeros_like(student), student], -1).flatten(-2)
        return student

    def _observed(self, observations: Any, rows: int, leading: tuple[int, int]) -> dict[str, Tensor]:
        if rows != self._rows:  # texts are kept for each row
            self._rows, self._observations = rows, Observations(self._space, rows)
        raw = _flat(observations, self._space, rows)
        read = self._observations(raw, np.ones(rows, bool))
        return {name: torch.from_numpy(np.ascontiguousarray(x)).unflatten(0, leading) for name, x in read.items()}

    def _before(self, first: Tensor, actions: Any, rewards: Any) -> tuple[Tensor, Tensor]:
        """What led to each step, [T, B, ...]: the last action and reward; nothing where an episode begins, or if not given."""
        distribution, (T, B) = self.distribution, first.shape
        acted = torch.full((T, B, *distribution.action_shape), distribution.no_action, dtype=distribution.action_dtype)
        acted = acted if actions is None else self._policys(_tensor(actions).cpu()).reshape(acted.shape).to(acted)
        got = torch.zeros(T, B) if rewards is None else _tensor(rewards).cpu().float().reshape(T, B)
        led, brought = self._last or (torch.full_like(acted[0], distribution.no_action), torch.zeros(B))
        self._last = acted[-1], got[-1]
        starts = first.reshape(T, B, *[1] * (acted.dim() - 2))
        last = torch.cat([led[None], acted[:-1]]).masked_fill(starts, distribution.no_action)
        return last, torch.cat([brought[None], got[:-1]]).masked_fill(first, 0.0)

    def _policys(self, actions: Tensor) -> Tensor:
        """Actions of the environment as the package's policies have them."""
        if self._units:
            return self._units.actions(actions.flatten(2))
        return actions - torch.as_tensor(getattr(self._actions, "start", 0))


def _read_schedule(text: str, total_frames: int) -> Schedule:
    schedule = parse_schedule(text, total_frames)
    if schedule.lowest < 0:
        raise ValueError(f"schedule {shown(text)} falls below 0; weights are never negative")
    if schedule.uses_progress:
        raise ValueError(
            f"schedule {shown(text)} follows the student's progress, which a loop of your own does not measure; give linear:1:0:20%"
        )
    return schedule


def _flat(x: Any, space: gymnasium.Space, rows: int) -> Any:
    """Arrays [T, B, ...] as rows [T * B, ...] of the shape that the space has."""
    if isinstance(space, spaces.Dict):
        return {name: _flat(x[name], part, rows) for name, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_flat(part, inner, rows) for part, inner in zip(x, space.spaces, strict=True))
    array = x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
    return array.reshape(rows, *(space.shape or ()))


def _tensor(x: Any) -> Tensor:
    return x.detach() if isinstance(x, Tensor) else torch.from_numpy(np.array(x))
