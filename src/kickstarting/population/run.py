"""Population based training: members in turns, one slice of frames each, in one process (Schmitt et al. 2018, section 2.3).

A slice is `train` from the member's last snapshot to its next checkpoint, so a population takes no more memory than its
weights and optimiser states, and a resumed one equals an uninterrupted one. After each round every member looks at another
(`algo/pbt.py`). Directory:

population.json                 configuration          lineage.json     who copied whom, every hyperparameter over time
checkpoints/ROUND/member-NN     all members, atomic    members/NN       each member's config.json and metrics.jsonl
best/                           the best member as a run: its ancestry's metrics, its checkpoint, schedule.json to replay
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from kickstarting.algo.schedules import parse_frames
from kickstarting.config import Config, config_from_json
from kickstarting.display import Race
from kickstarting.population.evolve import (
    Population,
    PopulationConfig,
    ancestry,
    evolved_schedule,
    first_round,
    look_around,
    member_seed,
    ranges_of,
)
from kickstarting.runs.checkpoint import (
    CheckpointError,
    Snapshot,
    atomic_directory,
    load_checkpoint,
    read_signed,
    remedy,
    save_checkpoint,
    write_json,
    write_signed,
)
from kickstarting.runs.layout import STATE, PopulationDirectory, checkpoints
from kickstarting.runs.metrics import read_metrics
from kickstarting.runs.run import logged, measure_teachers, versions
from kickstarting.runs.writer import MetricsWriter
from kickstarting.suites import load_suite
from kickstarting.teachers import load_weights
from kickstarting.train import build, train

REMEDY = "restore the file, or start anew with another --out"


def run_population(config: Config, population: PopulationConfig, out: Path, *, console: Console) -> None:
    """Evolve a population in a new directory. Raises ValueError if it holds one already, or anything does not fit."""
    population.check(config)
    config.check()
    config = replace(config.on_this_machine(), name=config.name or "population")
    if PopulationDirectory(out).begun:
        raise ValueError(f"{out} already holds a population; choose another --out, or continue it with --resume {out}")
    teacher_scores = measure_teachers(config)  # and with it every error that can be found before the work
    out.mkdir(parents=True, exist_ok=True)
    data = {"config": config.to_json(), "population": asdict(population), "teacher_scores": teacher_scores}
    write_json(PopulationDirectory(out).population, {**data, "versions": versions()})
    _evolve(out, first_round(config, population), console)


def resume_population(out: Path, *, console: Console) -> None:
    """Continue a killed population from its newest checkpoint."""
    config, population, _ = read_population(out)
    if PopulationDirectory(out).finished:
        raise ValueError(f"{out} is finished; there is nothing to resume")
    found = checkpoints(PopulationDirectory(out).checkpoints)
    state = load_population(found[-1]) if found else None
    if state:
        check_fits(state, config, population, out)
    _evolve(out, state, console)


def read_population(out: Path) -> tuple[Config, PopulationConfig, dict]:
    """Configuration of members and population, and the teachers' scores. Raises ValueError if there are none that fit."""
    path = PopulationDirectory(out).population
    try:
        data = json.loads(path.read_text())
        config, population = config_from_json(data["config"]), PopulationConfig(**data["population"])
        config.check()
        population.check(config)
        return config, population, data["teacher_scores"]
    except OSError as error:
        raise ValueError(
            f"no population at {out} ({error.strerror}); start one with `kickstart population SUITE --out {out}`"
        ) from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged: {error}; {REMEDY}") from error
    except KeyError as error:
        raise ValueError(f"{path} lacks {error}; {REMEDY}") from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} does not fit this version or was altered: {error}; {REMEDY}") from error


def check_fits(state: Population, config: Config, population: PopulationConfig, out: Path) -> None:
    """Raise CheckpointError if a checkpoint is of another population than population.json says: by its number of members,
    what they tune, their weights' shapes, or their metrics."""
    ours = f"{PopulationDirectory(out).population} says"
    if len(state.values) != population.members:
        raise CheckpointError(f"the checkpoint has {len(state.values)} members, {ours} {population.members}; {REMEDY}")
    tuned, found = sorted(ranges_of(config, population)[0]), sorted(state.values[0])
    if tuned != found:
        raise CheckpointError(f"the checkpoint tunes {', '.join(found)}, {ours} {', '.join(tuned)}; {REMEDY}")
    _, env, _, learner = build(config)
    env.close()
    for i, snapshot in enumerate(state.snapshots):
        assert snapshot is not None
        load_weights(learner.network, snapshot, f"member {i} of the checkpoint")
        lines = PopulationDirectory(out).member(i).metrics
        reached = max((line["frames"] for line in read_metrics(lines)), default=0) if lines.exists() else 0
        if reached < snapshot.record["frames"]:
            raise CheckpointError(f"{lines} ends at {reached} frames, the checkpoint is at {snapshot.record['frames']}; {REMEDY}")


def _evolve(out: Path, state: Population | None, console: Console) -> None:
    config, population, teacher_scores = read_population(out)
    state = state or first_round(config, population)
    suite = load_suite(config.suite)
    runs = [PopulationDirectory(out).member(i) for i in range(population.members)]
    slice_frames = max(1, int(parse_frames(population.slice, config.total_frames)))
    for i, run in enumerate(runs):
        run.path.mkdir(parents=True, exist_ok=True)
        write_json(run.config, {**config.to_json(), "name": f"member {i}", "seed": member_seed(config, i)})
        write_json(run.teacher_scores, teacher_scores)
    frames = state.snapshots[0].record["frames"] if state.snapshots[0] else 0
    writers = [MetricsWriter(run.path, frames=frames, board=False) for run in runs]
    members = {run.path: replace(config, name=f"member {i}", seed=member_seed(config, i)) for i, run in enumerate(runs)}
    race = Race(members, console, turns=len(members))
    try:
        with race:
            while frames < config.total_frames:
                for i, writer in enumerate(writers):
                    member = member_config(config, i, state.values[i], slice_frames)
                    state.snapshots[i] = snapshot = _advance(member, state.snapshots[i], teacher_scores, writer, race.refresh)
                    frames = snapshot.record["frames"]  # the same of all members
                state = look_around(state, config, population, suite)
                _save(out, state)
        _write_best(out, state, config, teacher_scores)
    finally:
        for writer in writers:
            writer.close()


def _advance(
    config: Config, snapshot: Snapshot | None, teacher_scores: dict, writer: MetricsWriter, show: Callable[[], None]
) -> Snapshot:
    """One slice of one member: the backend. A cluster would run this elsewhere."""
    start = snapshot.record["frames"] if snapshot else 0
    for update, metrics in logged(train(config, snapshot, teacher_scores), config.total_frames, start):
        writer.write(update.frames, metrics)
        show()
        if update.snapshot:
            return update.snapshot
    raise AssertionError("training ended without a checkpoint")


def member_config(config: Config, member: int, values: dict[str, float], slice_frames: int) -> Config:
    """A member's next slice as an ordinary training run."""
    return replace(
        config,
        seed=member_seed(config, member),
        schedule=evolved_schedule(config, values).spec,
        teacher_shares=tuple(values[f"rho/{t}"] for t in range(len(config.teachers))),
        learning_rate=evolved_schedule(config, values, "learning_rate").spec,
        entropy_cost=evolved_schedule(config, values, "entropy_cost").spec,
        checkpoint_every=str(slice_frames),
    )


def _save(out: Path, state: Population) -> None:
    with atomic_directory(PopulationDirectory(out).checkpoints / f"{state.round:08d}") as partial:
        for i, snapshot in enumerate(state.snapshots):
            assert snapshot is not None
            save_checkpoint(partial / f"member-{i:02d}", snapshot)
        write_signed(partial / STATE, {"round": state.round, "values": state.values, "lineage": state.lineage})
    for old in checkpoints(PopulationDirectory(out).checkpoints)[:-2]:
        shutil.rmtree(old, ignore_errors=True)
    write_json(PopulationDirectory(out).lineage, state.lineage)


def load_population(path: Path) -> Population:
    """Read and verify a population's checkpoint. Raises CheckpointError if anything in it is missing or altered."""
    data = read_signed(path / STATE)
    snapshots: list[Snapshot | None] = []
    for i in range(len(data["values"])):
        found = checkpoints(path / f"member-{i:02d}")
        if not found:
            raise CheckpointError(f"{path} lacks member {i}; {remedy(path)}")
        snapshots.append(load_checkpoint(found[0]))
    return Population(data["round"], data["values"], snapshots, data["lineage"])


def _write_best(out: Path, state: Population, config: Config, teacher_scores: dict) -> None:
    last = [entry for entry in state.lineage if entry["round"] == state.round - 1]
    best = max(last, key=lambda entry: -np.inf if entry["score"] is None else entry["score"])["member"]
    path = ancestry(state.lineage, best)
    directory = PopulationDirectory(out)
    folder = directory.best
    folder.path.mkdir(exist_ok=True)
    began_with = json.loads(directory.population.read_text())["versions"]  # the checkout may have moved on since
    write_json(folder.config, {**config.to_json(), "versions": began_with})
    write_json(folder.teacher_scores, teacher_scores)
    began = [0, *(entry["frames"] for entry in path)]
    lines = [
        line
        for entry, start in zip(path, began[:-1], strict=True)
        for line in read_metrics(directory.member(entry["member"]).metrics)
        if start < line["frames"] <= entry["frames"]
    ]
    folder.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    snapshot = state.snapshots[best]
    assert snapshot is not None
    save_checkpoint(folder.checkpoints, snapshot)
    teachers = {ref: f"rho/{t}" for t, ref in enumerate(config.teachers)}
    write_json(
        folder.schedule,
        {
            "frames": began[:-1],
            "teachers": {
                ref: [evolved_schedule(config, e["values"]).scaled(e["values"][rho]).spec for e in path]
                for ref, rho in teachers.items()
            },
        },
    )
    write_json(folder.end, {"frames": path[-1]["frames"], "member": best})
