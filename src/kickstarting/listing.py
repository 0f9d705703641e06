"""The tables that commands print, and the file of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from kickstarting.console import literal
from kickstarting.evaluate import TaskResult
from kickstarting.runs.files import check_replaceable, check_writable, read_json, write_json
from kickstarting.suites import Suite


def mean_score(results: Sequence[TaskResult]) -> float:
    return float(np.mean([r.score for r in results]))


def evaluation_table(results: Sequence[TaskResult]) -> Table:
    table = Table("task", "episodes", "return", "success", "length", "score", caption_justify="left")
    if cut := sum(r.cut for r in results):
        episodes = f"{cut} episodes were" if cut > 1 else "1 episode was"
        table.caption = literal(f"{episodes} cut at the limit of steps: what they would have brought after it is not counted")
    for r in results:
        table.add_row(
            literal(r.task), str(r.episodes), f"{r.mean_return:.3f}", f"{r.success:.1%}", f"{r.length:.1f}", f"{r.score:.1f}"
        )
    mean_return, success = np.mean([(r.mean_return, r.success) for r in results], axis=0)
    table.add_section()
    table.add_row("mean", "", f"{mean_return:.3f}", f"{success:.1%}", "", f"{mean_score(results):.1f}")
    return table


def check_json(path: Path) -> None:
    """Raise ValueError, before any work, if an evaluation cannot be written to this file, or only over one of others."""
    if not path.absolute().parent.is_dir():
        raise ValueError(f"--json {path}: there is no directory {path.parent}; create it first")
    check_replaceable(path)
    check_writable(path.parent)
    if path.exists() and path.stat().st_size:
        remedy = "choose another --json, or move the file away"
        if not read_json(path, remedy=remedy).keys() >= {"ref", "suite", "score", "tasks"}:
            raise ValueError(f"--json {path} is there already, and of no earlier evaluation; {remedy}")


def write_evaluation(path: Path, results: Sequence[TaskResult], **what: object) -> None:
    """what: was evaluated, and how. Raises as `check_json`."""
    check_json(path)
    write_json(path, {**what, "score": mean_score(results), "tasks": [asdict(r) for r in results]})


def suite_table(suite: Suite) -> Table:
    title = f"{suite.name}: {suite.description}"
    table = Table("task", "environment", "category", "random", "reference", title=literal(title), title_justify="left")
    for task in suite.tasks:
        random, reference = ("-" if x is None else f"{x:g}" for x in (task.random, task.reference))
        table.add_row(*map(literal, (task.name, task.env_id, task.category)), random, reference)
    return table


def experiment_table(experiments: Mapping[str, Any]) -> Table:
    """Each experiment with the question that its module begins with."""
    table = Table("experiment", "question", show_lines=True)
    for name, experiment in experiments.items():
        table.add_row(name, literal(" ".join((experiment.__doc__ or "").split())))
    return table
