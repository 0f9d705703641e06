"""Whether a teacher can teach: it plays the tasks, and what it says there is listened to.

The short form, before every run, measures scores with sampled actions and listens on the way. The long one, `kickstart check`,
also plays greedily, without memory and, where it scores badly, in other layouts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from kickstarting.algo.distributions import Distribution
from kickstarting.envs import TIMEOUT, TaskSpaces
from kickstarting.evaluate import EPISODE_LIMIT, TaskResult, evaluate, evaluate_random
from kickstarting.networks.spec import NetworkSpec
from kickstarting.suites import Suite
from kickstarting.teachers.adapters import adapt
from kickstarting.teachers.diagnoses import (
    LEAST_SCORE,
    SURE,
    Chance,
    Checked,
    Fit,
    Range,
    clearly_above,
    findings,
    mean_score,
)
from kickstarting.teachers.label import Teachers
from kickstarting.teachers.layouts import Rearranged, layouts
from kickstarting.teachers.listen import Recorder, listen
from kickstarting.teachers.network import AsNetwork
from kickstarting.teachers.protocol import Label, Teacher
from kickstarting.types import Inputs, State

EPISODES = 64
TRIAL_EPISODES, TRIAL_STEPS, TRIAL_TASKS = 16, 1_000, 3
"""In which every other layout is tried; the best is then measured as the teacher was."""
OTHER_SEED = 7_919
"""Added to the seed where the best of many is measured again, whose luck must not count twice."""


def measure_teachers(
    teachers: Teachers,
    suite: Suite,
    task_of_column: np.ndarray,
    seed: int,
    *,
    episode_limit: int = EPISODE_LIMIT,
    timeout: float = TIMEOUT,
) -> dict[str, dict[str, Any]]:
    """Each teacher on the tasks that it teaches, in sampled episodes: the short form.

    By its name: the mean `score`, `tasks` (scores) and `errors` (their standard errors) by task, `cut` (episodes that had not
    ended at the limit) by task that had some, `no_better_than_random`, the tasks on which it is not above the random policy
    by more than the standard error, and `findings`, what else is to be said. Where the suite does not say what a random policy
    reaches, it is measured, too.
    """
    options: dict[str, Any] = {"episodes": EPISODES, "seed": seed, "episode_limit": episode_limit, "timeout": timeout}
    chance = _chance(suite, teachers.distribution, options) if teachers.assignments else {}
    scores = {}
    for assignment in teachers.assignments:
        tasks = np.unique(task_of_column[assignment.columns.numpy()])
        taught = replace(suite, tasks=tuple(suite.tasks[i] for i in tasks))
        checked = _played(assignment.teacher, taught, teachers.distribution, teachers.action_space, chance, options)
        scores[assignment.name] = {
            "score": mean_score(checked.sampled),
            "tasks": {r.task: r.score for r in checked.sampled},
            "errors": {r.task: r.score_error for r in checked.sampled},
            "no_better_than_random": checked.useless,
            "cut": {r.task: r.cut for r in checked.sampled if r.cut},
            "episodes": EPISODES,
            "findings": [asdict(finding) for finding in findings(checked)],
        }
    return scores


def check_teacher(
    teacher: Teacher,
    adapters: Sequence[str],
    suite: Suite,
    known: TaskSpaces,
    *,
    episodes: int = EPISODES,
    seed: int = 0,
    episode_limit: int = EPISODE_LIMIT,
    timeout: float = TIMEOUT,
    doing: Callable[[str], None] = lambda what: None,
) -> Checked:
    """The long form. doing: called with what is measured next.

    Raises ValueError if the teacher does not fit the spaces of the suite, EnvironmentFault.
    """
    distribution, action_space = known.distribution, known.action_space
    options: dict[str, Any] = {"episodes": episodes, "seed": seed, "episode_limit": episode_limit, "timeout": timeout}
    torch.manual_seed(seed)
    student = NetworkSpec("small", {}, known.observation_space, action_space).build(distribution).eval()

    def fitted(inner: Teacher) -> Teacher:
        return adapt(inner, adapters, known.observation_space, action_space)

    def play(inner: Teacher, part: Suite, **changes: Any) -> list[TaskResult]:
        network = AsNetwork(fitted(inner), distribution, action_space)
        return evaluate(network, part, num_actions=distribution.size, **{**options, **changes})

    fitted(teacher)  # an error before any work
    doing("random actions")
    chance = _chance(suite, distribution, options)
    doing("its sampled actions")
    probe = Probe(teacher)
    checked = _played(fitted(probe), suite, distribution, action_space, chance, options, student)
    doing("its greedy actions")
    checked = replace(checked, greedy=tuple(play(teacher, suite, greedy=True)), ranges=probe.ranges())
    if teacher.initial_state(1):
        doing("its actions without memory")
        checked = replace(checked, forgetful=tuple(play(Forgetful(teacher), suite)))
    if checked.weak and checked.listened.finite:
        checked = replace(checked, fit=_best_fit(teacher, probe, checked, suite, play, options, doing))
    return checked


def _played(
    teacher: Teacher,
    suite: Suite,
    distribution: Distribution,
    action_space: gymnasium.Space,
    chance: Mapping[str, Chance],
    options: Mapping[str, Any],
    student: Any = None,
) -> Checked:
    recorder, names = Recorder(), [task.name for task in suite.tasks]
    network = AsNetwork(teacher, distribution, action_space)
    sampled = evaluate(network, suite, num_actions=distribution.size, seen=recorder, **options)
    listened = listen(teacher, recorder.unrolls, names, distribution, action_space, student)
    return Checked(_in_points(suite), tuple(sampled), {name: chance[name] for name in names}, listened)


def _in_points(suite: Suite) -> bool:
    return all(task.random is not None and task.reference is not None for task in suite.tasks)


def _chance(suite: Suite, distribution: Distribution, options: Mapping[str, Any]) -> dict[str, Chance]:
    """Measured where the suite does not say it."""
    chance = {}
    for task in suite.tasks:
        if task.random is not None:
            in_points = task.reference is not None
            chance[task.name] = Chance(0.0, margin=LEAST_SCORE) if in_points else Chance(task.random)
    if unknown := tuple(task for task in suite.tasks if task.random is None):
        size = distribution.size
        results = evaluate_random(replace(suite, tasks=unknown), size, num_actions=size, **options)
        chance |= {r.task: Chance(r.score, r.score_error) for r in results}
    return chance


def _best_fit(
    teacher: Teacher,
    probe: Probe,
    checked: Checked,
    suite: Suite,
    play: Callable[..., list[TaskResult]],
    options: Mapping[str, Any],
    doing: Callable[[str], None],
) -> Fit | None:
    """The other layout that is clearly better than the given one, if there is one."""
    names = checked.weak[:TRIAL_TASKS]
    part = replace(suite, tasks=tuple(task for task in suite.tasks if task.name in names))
    before = tuple(r for r in checked.sampled if r.task in names)
    trial: dict[str, Any] = {"episodes": min(TRIAL_EPISODES, options["episodes"]), "episode_limit": TRIAL_STEPS}
    best, most = None, -math.inf
    for layout in layouts(teacher, probe.moments()):
        doing(layout.name)
        try:
            score = mean_score(play(Rearranged(teacher, layout), part, **trial))
        except (ValueError, IndexError, RuntimeError):  # a network that cannot even read it
            continue
        if score > most:
            best, most = layout, score
    if best is None:
        return None
    results = play(Rearranged(teacher, best), part, seed=options["seed"] + OTHER_SEED)
    able = any(checked.above_random(r, SURE) for r in results)
    return Fit(best.name, tuple(results), before) if able and clearly_above(results, before, checked.points) else None


class Forgetful:
    """A teacher whose state is wiped before every call."""

    def __init__(self, teacher: Teacher) -> None:
        self._inner = teacher
        self.ref, self.device = teacher.ref, teacher.device
        self.observation_space, self.action_space = teacher.observation_space, teacher.action_space

    def initial_state(self, batch: int) -> State:
        return ()

    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        return self._inner.label(inputs, self._inner.initial_state(inputs.is_first.shape[1]))[0], ()


class Probe:
    """A teacher that keeps count of what it reads, behind all adapters."""

    def __init__(self, teacher: Teacher) -> None:
        self._inner = teacher
        self.ref, self.device = teacher.ref, teacher.device
        self.observation_space, self.action_space = teacher.observation_space, teacher.action_space
        self._count = 0
        self._sums: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self._bounds: dict[str, tuple[float, float]] = {}
        self._outside: dict[str, int] = {}

    def initial_state(self, batch: int) -> State:
        return self._inner.initial_state(batch)

    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        self._count += inputs.is_first.numel()
        for name, space in self.observation_space.items():
            if isinstance(space, spaces.Box):
                self._note(name, space, inputs.observations[name].flatten(0, 1).double())
        return self._inner.label(inputs, state)

    def _note(self, name: str, space: spaces.Box, x: torch.Tensor) -> None:
        total, squares = self._sums.get(name, (0.0, 0.0))
        self._sums[name] = total + x.sum(0), squares + x.square().sum(0)
        low, high = self._bounds.get(name, (math.inf, -math.inf))
        self._bounds[name] = min(low, float(x.min())), max(high, float(x.max()))
        least, most = (torch.from_numpy(bound.astype(float)).to(x.device) for bound in (space.low, space.high))
        slack = 1e-6 * (1 + x.abs())
        outside = ((x < least - slack) | (x > most + slack)).sum()
        self._outside[name] = self._outside.get(name, 0) + int(outside)

    def moments(self) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """By observation the mean over time, and the standard deviation."""
        found = {}
        for name, (total, squares) in self._sums.items():
            mean = total / self._count
            found[name] = mean.float(), (squares / self._count - mean.square()).clamp(min=0).sqrt().float()
        return found

    def ranges(self) -> dict[str, Range]:
        found = {}
        for name, (low, high) in self._bounds.items():
            numbers, squares = self._count * self._sums[name][1].numel(), self._sums[name][1].sum()
            vector = len(self.observation_space[name].shape or ()) <= 1
            found[name] = Range(low, high, math.sqrt(float(squares) / numbers), self._outside[name] / numbers, vector)
        return found
