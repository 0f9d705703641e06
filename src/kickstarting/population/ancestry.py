"""Who descends from whom, and the best member as a run of its own: its ancestry's metrics, its checkpoint, and its schedule."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kickstarting.config import Config
from kickstarting.population.evolve import evolved_schedule
from kickstarting.population.state import Population
from kickstarting.runs.checkpoint import save_checkpoint
from kickstarting.runs.configuration import begin_run, read_run_file, run_id
from kickstarting.runs.files import write_json, write_text
from kickstarting.runs.histories import Histories, read_histories
from kickstarting.runs.histories_writer import write_histories
from kickstarting.runs.layout import PopulationDirectory
from kickstarting.runs.metrics import read_metrics


def ancestry(lineage: list[dict[str, Any]], member: int) -> list[dict[str, Any]]:
    """The rounds that led to a member as it stands at the end: whose slice it was, with which values."""
    by_round = {(entry["round"], entry["member"]): entry for entry in lineage}
    path = [by_round[lineage[-1]["round"], member]]
    while path[-1]["round"]:
        before = path[-1]["round"] - 1
        path.append(by_round[before, by_round[before, path[-1]["member"]]["goes_on_as"]])
    return path[::-1]


def write_best(out: Path, state: Population, config: Config, teacher_scores: dict[str, Any]) -> None:
    """Write the best member of the last round into `out`/best, finished.json at the end."""
    last = [entry for entry in state.lineage if entry["round"] == state.round - 1]
    best = max(last, key=lambda entry: -np.inf if entry["score"] is None else entry["score"])["member"]
    path = ancestry(state.lineage, best)
    population = PopulationDirectory(out)
    run = population.best
    run.path.mkdir(exist_ok=True)
    file = read_run_file(population.population)  # the checkout may have moved on since
    begin_run(run, config, teacher_scores, file["versions"], file.get("id"))
    began = [0, *(entry["frames"] for entry in path)]
    lines = [
        line
        for entry, start in zip(path, began[:-1], strict=True)
        for line in read_metrics(population.member(entry["member"]).metrics)
        if start < line["frames"] <= entry["frames"]
    ]
    write_text(run.metrics, "".join(json.dumps(line) + "\n" for line in lines))
    snapshot = state.snapshots[best]
    assert snapshot is not None
    save_checkpoint(run.checkpoints, snapshot, run=run_id(run.config))
    teachers = {ref: f"rho/{t}" for t, ref in enumerate(map(str, config.teaching.references))}
    write_json(
        run.schedule,
        {
            "frames": began[:-1],
            "teachers": {
                ref: [evolved_schedule(config, e["values"]).scaled(e["values"][rho]).spec for e in path]
                for ref, rho in teachers.items()
            },
        },
    )
    if config.run.record_histories:
        write_histories(run.histories, ancestral_histories(population, path, began))
    write_json(run.end, {"frames": path[-1]["frames"], "member": best})


def ancestral_histories(population: PopulationDirectory, path: list[dict[str, Any]], began: Sequence[int]) -> Histories:
    """The learning histories of a member's ancestry: of each slice, those of whoever trained it. path: as `ancestry` gives it;
    began: frames at which each slice began, and the last ended."""
    of_member = {i: read_histories(population.member(i).histories) for i in {entry["member"] for entry in path}}
    last = of_member[path[-1]["member"]]
    steps = int(last.starts[1])
    cuts = [frames * steps // began[-1] for frames in began]
    parts = [
        (of_member[entry["member"]], history * steps + a, history * steps + b)
        for history in range(len(last))
        for entry, a, b in zip(path, cuts[:-1], cuts[1:], strict=True)
    ]
    columns = {name: np.concatenate([part.columns[name][a:b] for part, a, b in parts]) for name in last.columns}
    return Histories(last.about, columns, last.starts)
