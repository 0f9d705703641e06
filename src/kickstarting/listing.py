"""The tables that commands print, and the files of an evaluation and a check."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from kickstarting.console import in_figures, literal
from kickstarting.evaluate import TaskResult
from kickstarting.report.tables import Cell, Column, Row
from kickstarting.report.tables import Table as Grid
from kickstarting.report.wording import NEVER
from kickstarting.runs.exported import REMEDY, ExportDirectory
from kickstarting.runs.files import check_replaceable, check_writable, read_json, write_json
from kickstarting.suites import Suite
from kickstarting.teachers.checked import Checked, mean_score
from kickstarting.teachers.diagnoses import can_teach, findings
from kickstarting.teachers.listen import Said
from kickstarting.teachers.origins import zoo


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


def check_table(checked: Checked) -> Grid:
    """How a checked teacher plays every task, and what it says there."""
    ways = {"sampled": checked.sampled, "greedy": checked.greedy, "without memory": checked.forgetful}
    ways = {name: results for name, results in ways.items() if results}
    columns = [Column("Return", "sampled"), *(Column("Score", name) for name in ways), Column("Score", "random")]
    columns += [Column("Labels", title) for title in ("entropy", "saturated", "agreement", "cross-entropy")]
    rows = []
    for i, result in enumerate(checked.sampled):
        scores = [_score_cell(results[i]) for results in ways.values()]
        chance = Cell(f"{checked.random[result.task].score:.1f}")
        rows.append(
            Row(
                result.task, (Cell(f"{result.mean_return:.3f}"), *scores, chance, *_said_cells(checked.listened.tasks[result.task]))
            )
        )
    if len(rows) > 1:
        means = [Cell(f"{mean_score(results):.1f}") for results in ways.values()]
        chance = Cell(f"{np.mean([chance.score for chance in checked.random.values()]):.1f}")
        mean_return = Cell(f"{np.mean([r.mean_return for r in checked.sampled]):.3f}")
        rows.append(Row("mean", (mean_return, *means, chance, *_said_cells(checked.listened.overall))))
    caption = (
        f"{checked.sampled[0].episodes} episodes of each task; a label takes {checked.listened.microseconds:.3g} µs. Entropy in "
        "nats, of the largest possible; saturated: share of the steps without any doubt; agreement: the sampled action is the most "
        "probable one; cross-entropy: to a fresh student, in nats."
    )
    return Grid(caption, tuple(columns), tuple(rows))


def _score_cell(result: TaskResult) -> Cell:
    return Cell(f"{result.score:.1f}", f"± {result.score_error:.1f}")


def _said_cells(said: Said) -> list[Cell]:
    of = "" if math.isnan(said.most_entropy) else f"of {said.most_entropy:.2f}"
    texts = [f"{said.entropy:.2f}", f"{said.saturated:.0%}", f"{said.agreement:.0%}", f"{said.cross_entropy:.2f}"]
    texts = [NEVER if text.startswith("nan") else text for text in texts]
    return [Cell(texts[0], of), *map(Cell, texts[1:])]


def verdict(ref: str, suite: str, checked: Checked) -> str:
    """In one sentence."""
    found = findings(checked)
    scored = f"it scores {in_figures(mean_score(checked.sampled))}"
    if faults := [finding.name for finding in found if finding.fault]:
        return f"{ref} cannot teach {suite} as it is ({', '.join(faults)}): {scored}."
    return f"{ref} can teach {suite}: {scored}."


def check_numbers(checked: Checked, **what: object) -> dict[str, Any]:
    """All that a check measured, as JSON. what: was checked, and how."""
    found = findings(checked)
    return _without_nan(
        {
            **what,
            "can_teach": can_teach(found),
            "score": mean_score(checked.sampled),
            "findings": [asdict(finding) for finding in found],
            "tasks": [asdict(r) for r in checked.sampled],
            "greedy": [asdict(r) for r in checked.greedy],
            "without_memory": [asdict(r) for r in checked.forgetful],
            "random": {name: chance._asdict() for name, chance in checked.random.items()},
            "labels": asdict(checked.listened),
            "read": {name: asdict(read) for name, read in (checked.ranges or {}).items()},
            "fit": checked.fit and asdict(checked.fit),
        }
    )


def _without_nan(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_nan(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_without_nan(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def suites_table(suites: Sequence[Suite]) -> Table:
    """One line for each suite."""
    table = Table("suite", "tasks", "what", title="suites that come with the package", title_justify="left")
    for suite in suites:
        table.add_row(literal(suite.name), str(len(suite.tasks)), literal(suite.description))
    return table


def suite_table(suite: Suite) -> Table:
    """Its tasks."""
    title = f"{suite.name}: {suite.description}"
    table = Table("task", "environment", "category", "random", "reference", title=literal(title), title_justify="left")
    table.caption, table.caption_justify = literal(suite.source) if suite.source else None, "left"
    for task in suite.tasks:
        random, reference = ("-" if x is None else f"{x:g}" for x in (task.random, task.reference))
        table.add_row(*map(literal, (task.name, task.env_id, task.category)), random, reference)
    return table


def zoo_table() -> Table:
    """The teachers that the package ships, with what their cards say."""
    title = "zoo: teachers that come with the package"
    table = Table("teacher", "suite", "frames", "score, 95% interval", title=title, title_justify="left")
    for name in zoo.names():
        folder = ExportDirectory(zoo.find(name))
        config, results = (read_json(path, remedy=REMEDY) for path in (folder.config, folder.results))
        low, high = results["score_interval"]
        score = f"{results['score']:.1f} ({low:.1f} to {high:.1f})"
        table.add_row(*map(literal, (f"zoo:{name}", config["suite"])), f"{config['frames']:,}", score)
    return table


def experiment_table(experiments: Mapping[str, Any]) -> Table:
    """Each experiment with the question that its module begins with."""
    table = Table("experiment", "question", show_lines=True)
    for name, experiment in experiments.items():
        table.add_row(name, literal(" ".join((experiment.__doc__ or "").split())))
    return table
