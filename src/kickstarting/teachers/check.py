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

from kickstarting.algo.distributions import Distribution
from kickstarting.envs import TIMEOUT, TaskSpaces
from kickstarting.evaluate import EPISODE_LIMIT, TaskResult, evaluate, evaluate_random
from kickstarting.networks.spec import NetworkSpec
from kickstarting.spaces import without
from kickstarting.suites import Suite
from kickstarting.teachers.adapters import adapt
from kickstarting.teachers.checked import LEAST_SCORE, SURE, Chance, Checked, Fit, clearly_above, mean_score
from kickstarting.teachers.diagnoses import findings
from kickstarting.teachers.label import Teachers
from kickstarting.teachers.layouts import Rearranged, layouts
from kickstarting.teachers.listen import Recorder, listen
from kickstarting.teachers.network import AsNetwork
from kickstarting.teachers.probe import Forgetful, Probe, around
from kickstarting.teachers.protocol import Teacher, across_episodes

EPISODES = 64
TRIAL_EPISODES, TRIAL_STEPS, TRIAL_TASKS = 16, 1_000, 3
"""In which every other layout is tried; the best is then measured as the teacher was."""
SETTLING = 50
"""Episodes of each environment that do not count for a teacher that learns across episodes: what it has learned by then does."""
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

    Raises ValueError if the teacher does not fit the spaces of the suite, Fault.
    """
    distribution, action_space = known.distribution, known.action_space
    options: dict[str, Any] = {"episodes": episodes, "seed": seed, "episode_limit": episode_limit, "timeout": timeout}
    torch.manual_seed(seed)
    read = without(known.observation_space, suite.privileged)
    student = NetworkSpec("small", {}, read, action_space).build(distribution).eval()

    def fitted(inner: Teacher) -> Teacher:
        return adapt(inner, adapters, known.observation_space, action_space)

    def play(inner: Teacher, part: Suite, **changes: Any) -> list[TaskResult]:
        network, changes = AsNetwork(fitted(inner), distribution, action_space), {**_settling(inner), **changes}
        return evaluate(network, part, num_actions=distribution.size, distribution=distribution, **{**options, **changes})

    fitted(teacher)  # an error before any work
    doing("random actions")
    chance = _chance(suite, distribution, options)
    doing("its sampled actions")
    probes: list[Probe] = []
    probed = around(teacher, lambda member: probes.append(Probe(member)) or probes[-1])
    checked = _played(fitted(probed), suite, distribution, action_space, chance, options, student)
    ranges = {name: read for probe in probes for name, read in probe.ranges().items()}
    doing("its greedy actions")
    checked = replace(checked, greedy=tuple(play(teacher, suite, greedy=True)), ranges=ranges)
    if teacher.initial_state(1):
        doing("its actions without memory")
        checked = replace(checked, forgetful=tuple(play(around(teacher, Forgetful), suite)))
    alone = len(probes) == 1 and not across_episodes(teacher)  # a layout would be judged before anything was learned in it
    if checked.weak and checked.listened.finite and alone:
        checked = replace(checked, fit=_best_fit(teacher, probes[0], checked, suite, play, options, doing))
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
    acts: dict[str, Any] = {"num_actions": distribution.size, "distribution": distribution}
    options = {**options, **_settling(teacher)}
    sampled = evaluate(network, suite, seen=recorder, **acts, **options)
    listened = listen(teacher, recorder.unrolls, names, distribution, action_space, student)
    return Checked(_in_points(suite), tuple(sampled), {name: chance[name] for name in names}, listened)


def _settling(teacher: Teacher) -> dict[str, int]:
    return {"settling": SETTLING} if across_episodes(teacher) else {}


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
