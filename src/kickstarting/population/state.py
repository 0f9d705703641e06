"""A population between two rounds: all of its state, saved and read again, and the configuration that it began with."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kickstarting.assembly import build
from kickstarting.config import FORMAT, Config
from kickstarting.population.config import PopulationConfig, ranges_of
from kickstarting.runs.checkpoint import (
    CheckpointError,
    Snapshot,
    atomic_directory,
    is_of,
    load_checkpoint,
    load_weights,
    prune,
    read_state,
    remedy,
    save_checkpoint,
)
from kickstarting.runs.configuration import checked_config, read_run_file, run_id
from kickstarting.runs.files import digest_of, write_json, write_signed
from kickstarting.runs.layout import STATE, PopulationDirectory, checkpoints
from kickstarting.runs.metrics import read_metrics
from kickstarting.runs.versions import versions

REMEDY = "restore the file, or start anew with another --out"


@dataclass
class Population:
    """All of a population's state between two rounds."""

    round: int
    values: list[dict[str, float]]
    """Hyperparameters of each member: alpha, horizon if there is one, rho/0, rho/1, ..., learning_rate, entropy_cost."""
    snapshots: list[Snapshot | None]
    lineage: list[dict[str, Any]] = field(default_factory=list)
    """For each round and member: the values it trained with, its score, and whose weights it goes on with."""


def write_population(
    out: Path, config: Config, population: PopulationConfig, teacher_scores: dict[str, Any], began: Mapping[str, Any] | None = None
) -> None:
    """What `read_population` reads. began: what the file said, if it is one that is changed."""
    data = {"config": config.to_json(), "population": asdict(population), "teacher_scores": teacher_scores}
    said = began or {"id": digest_of(data)[:16], "versions": versions()}
    beside = {"format": FORMAT, **{name: said[name] for name in ("id", "versions") if name in said}}
    write_signed(PopulationDirectory(out).population, {**beside, **data})


def read_population(out: Path) -> tuple[Config, PopulationConfig, dict]:
    """Configuration of members and population, and the teachers' scores. Raises ValueError if there are none that fit, or they
    name a module that is not trusted."""
    path = PopulationDirectory(out).population
    if not path.is_file():
        raise ValueError(f"no population at {out}; start one with `kickstart population SUITE --out {out}`")
    data = read_run_file(path)
    try:
        config, population = checked_config(data["config"], path), PopulationConfig(**data["population"])
        population.check(config)
        return config, population, data["teacher_scores"]
    except KeyError as error:
        raise ValueError(f"{path} lacks {error}; {REMEDY}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} does not fit this version or was altered: {error}; {REMEDY}") from error


def save_population(out: Path, state: Population) -> None:
    """Write a checkpoint, all or nothing, and lineage.json; the last two checkpoints are kept."""
    directory = PopulationDirectory(out)
    run, final = run_id(directory.population), directory.checkpoints / f"{state.round:08d}"
    with atomic_directory(final, is_ours=lambda: is_of(final, run)) as partial:
        for i, snapshot in enumerate(state.snapshots):
            assert snapshot is not None
            save_checkpoint(partial / f"member-{i:02d}", snapshot, run=run)
        write_signed(partial / STATE, {"round": state.round, "run": run, "values": state.values, "lineage": state.lineage})
    prune(directory.checkpoints, 2, run)
    write_json(directory.lineage, state.lineage)
    _forget_under_way(directory)


def save_under_way(out: Path, state: Population, member: int, snapshot: Snapshot) -> None:
    """Write a member's checkpoint within a round that is not yet complete; its newest is kept."""
    directory = PopulationDirectory(out)
    save_checkpoint(directory.under_way(state.round, member), snapshot, keep=1, run=run_id(directory.population))


def load_under_way(out: Path, state: Population) -> dict[int, Snapshot]:
    """Where members stand that were interrupted in this round."""
    directory, found = PopulationDirectory(out), {}
    for member in range(len(state.values)):
        if saved := checkpoints(directory.under_way(state.round, member)):
            found[member] = load_checkpoint(saved[-1], run=run_id(directory.population))
    return found


def _forget_under_way(directory: PopulationDirectory) -> None:
    for path in directory.checkpoints.glob(f"*{PopulationDirectory.UNDER_WAY}"):
        shutil.rmtree(path, ignore_errors=True)


def load_population(path: Path, run: str = "") -> Population:
    """Read and verify a population's checkpoint. Raises CheckpointError if anything in it is missing or altered, or of another
    population than `run`."""
    data = read_state(path)
    if run and data.get("run", run) != run:
        raise CheckpointError(f"{path} is of another population than the configuration beside it; put back what belongs together")
    snapshots: list[Snapshot | None] = []
    for i in range(len(data["values"])):
        found = checkpoints(path / f"member-{i:02d}")
        if not found:
            raise CheckpointError(f"{path} lacks member {i}; {remedy(path)}")
        snapshots.append(load_checkpoint(found[0]))
    return Population(data["round"], data["values"], snapshots, data["lineage"])


def check_fits(state: Population, config: Config, population: PopulationConfig, out: Path) -> None:
    """Raise CheckpointError if a checkpoint is of another population than population.json says: by its number of members,
    what they tune, their weights' shapes, or their metrics."""
    ours = f"{PopulationDirectory(out).population} says"
    if len(state.values) != population.members:
        raise CheckpointError(f"the checkpoint has {len(state.values)} members, {ours} {population.members}; {REMEDY}")
    tuned, found = sorted(ranges_of(config, population)[0]), sorted(state.values[0])
    if tuned != found:
        raise CheckpointError(f"the checkpoint tunes {', '.join(found)}, {ours} {', '.join(tuned)}; {REMEDY}")
    _, _, _, learner = build(config)
    for i, snapshot in enumerate(state.snapshots):
        assert snapshot is not None
        load_weights(learner.network, snapshot, f"member {i} of the checkpoint")
        lines = PopulationDirectory(out).member(i).metrics
        reached = max((line["frames"] for line in read_metrics(lines)), default=0) if lines.exists() else 0
        if reached < snapshot.record["frames"]:
            raise CheckpointError(f"{lines} ends at {reached} frames, the checkpoint is at {snapshot.record['frames']}; {REMEDY}")
