"""A population between two rounds: all of its state, saved and read again, and the configuration that it began with."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kickstarting.config import Config, config_from_json
from kickstarting.population.config import PopulationConfig, ranges_of
from kickstarting.runs.checkpoint import (
    CheckpointError,
    Snapshot,
    atomic_directory,
    load_checkpoint,
    load_weights,
    read_state,
    remedy,
    save_checkpoint,
)
from kickstarting.runs.files import write_json, write_signed
from kickstarting.runs.layout import STATE, PopulationDirectory, checkpoints
from kickstarting.runs.metrics import read_metrics
from kickstarting.runs.run import versions
from kickstarting.train import build

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


def write_population(out: Path, config: Config, population: PopulationConfig, teacher_scores: dict[str, Any]) -> None:
    """What `read_population` reads."""
    data = {"config": config.to_json(), "population": asdict(population), "teacher_scores": teacher_scores}
    write_json(PopulationDirectory(out).population, {**data, "versions": versions()})


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


def save_population(out: Path, state: Population) -> None:
    """Write a checkpoint, all or nothing, and lineage.json; the last two checkpoints are kept."""
    directory = PopulationDirectory(out)
    with atomic_directory(directory.checkpoints / f"{state.round:08d}") as partial:
        for i, snapshot in enumerate(state.snapshots):
            assert snapshot is not None
            save_checkpoint(partial / f"member-{i:02d}", snapshot)
        write_signed(partial / STATE, {"round": state.round, "values": state.values, "lineage": state.lineage})
    for old in checkpoints(directory.checkpoints)[:-2]:
        shutil.rmtree(old, ignore_errors=True)
    write_json(directory.lineage, state.lineage)


def load_population(path: Path) -> Population:
    """Read and verify a population's checkpoint. Raises CheckpointError if anything in it is missing or altered."""
    data = read_state(path)
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
