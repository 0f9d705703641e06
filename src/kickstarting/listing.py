"""The tables that commands print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from kickstarting.evaluate import TaskResult
from kickstarting.suites import Suite


def mean_score(results: Sequence[TaskResult]) -> float:
    return float(np.mean([r.score for r in results]))


def evaluation_table(results: Sequence[TaskResult]) -> Table:
    table = Table("task", "episodes", "return", "success", "length", "score")
    for r in results:
        table.add_row(r.task, str(r.episodes), f"{r.mean_return:.3f}", f"{r.success:.1%}", f"{r.length:.1f}", f"{r.score:.1f}")
    mean_return, success = np.mean([(r.mean_return, r.success) for r in results], axis=0)
    table.add_section()
    table.add_row("mean", "", f"{mean_return:.3f}", f"{success:.1%}", "", f"{mean_score(results):.1f}")
    return table


def suite_table(suite: Suite) -> Table:
    title = f"{suite.name}: {suite.description}"
    table = Table("task", "environment", "category", "random", "reference", title=title, title_justify="left")
    for task in suite.tasks:
        random, reference = ("-" if x is None else f"{x:g}" for x in (task.random, task.reference))
        table.add_row(task.name, task.env_id, task.category, random, reference)
    return table


def experiment_table(experiments: Mapping[str, Any]) -> Table:
    """Each experiment with the question that its module begins with."""
    table = Table("experiment", "question", show_lines=True)
    for name, experiment in experiments.items():
        table.add_row(name, " ".join((experiment.__doc__ or "").split()))
    return table
