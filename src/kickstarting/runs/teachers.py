"""The teachers of a run, played and listened to before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from kickstarting.assembly import build
from kickstarting.config import Config
from kickstarting.console import in_figures, say
from kickstarting.evaluate import EPISODE_LIMIT
from kickstarting.runs.checkpoint import check_space
from kickstarting.teachers import build_teachers
from kickstarting.teachers.check import measure_teachers as play_teachers

OF_SCORES = ("worse_than_random", "useless_tasks")
"""Findings that `no_better_than_random` says, too."""


def measure_teachers(config: Config, out: Path | None = None) -> dict[str, dict[str, Any]]:
    """The short check of each teacher, as `teachers.check.measure_teachers` gives it, said in one line each; checks suite,
    network, teachers, and the room for checkpoints below `out` on the way.

    Raises ValueError if a teacher scores no better than random on every task that it teaches, unless weak ones are accepted.
    """
    suite, spaces, _, learner = build(config)
    weights = sum(parameter.nbytes for parameter in learner.network.parameters())
    if out and (short_of := check_space(out, 3 * weights)):  # the optimiser keeps two numbers for each
        raise ValueError(short_of)
    tasks = spaces.task_of_column(config.learning.envs_per_task, config.column_groups)
    teachers = build_teachers(config.teaching.references, [task.name for task in suite.tasks], spaces, tasks)
    taught = {int(tasks[column]) for teacher in teachers.assignments for column in teacher.columns}
    if taught and (alone := [task.name for i, task in enumerate(suite.tasks) if i not in taught]):
        say(Console(), f"no teacher for {', '.join(alone)}: learned from rewards alone")
    scores = play_teachers(teachers, suite, tasks, config.seed, timeout=config.machine.environment_timeout)
    follows_scores = any(schedule.uses_progress for schedule in config.teaching.schedules(config.total_frames))
    for name, score in scores.items():
        faults = [finding for finding in score["findings"] if finding["fault"]]
        say(Console(), in_one_line(name, score, follows_scores), style="yellow" if faults else "")
        if "worse_than_random" in [finding["name"] for finding in faults] and not config.teaching.accept_weak_teachers:
            raise ValueError(
                f"teacher {name} scores {in_figures(score['score'])}, no better than random on every task that it teaches "
                f"({', '.join(score['tasks'])}); `kickstart check` finds out why, --accept-weak-teachers trains all the same"
            )
    return scores


def in_one_line(name: str, score: Mapping[str, Any], follows_scores: bool) -> str:
    """What the short check of a teacher found. follows_scores: it is not listened to where it is no better than random."""
    count = len(score["tasks"])
    parts = [f"{name} scores {in_figures(score['score'])} on {count} task{'s' * (count > 1)}"]
    if cut := score["cut"]:
        parts.append(f"episodes of {', '.join(cut)} did not end within {EPISODE_LIMIT:,} steps and count with what they had")
    if useless := score["no_better_than_random"]:
        heard = "not listened to there" if follows_scores else "listened to all the same, as --schedule says"
        parts.append(f"it is no better than random on {', '.join(useless)}: {heard}")
    parts += [f"{finding['seen']} ({finding['name']})" for finding in score["findings"] if finding["name"] not in OF_SCORES]
    return "; ".join(parts)
