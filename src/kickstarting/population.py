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
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from kickstarting.algo.pbt import Range, draw, draw_other, perturb, significantly_better
from kickstarting.algo.schedules import parse_frames
from kickstarting.checkpoint import (
    Snapshot,
    atomic_directory,
    checkpoints,
    load_checkpoint,
    read_signed,
    save_checkpoint,
    write_json,
    write_signed,
)
from kickstarting.config import Config, config_from_json
from kickstarting.metrics import MetricsWriter, read_metrics
from kickstarting.run import measure_teachers, summarise, versions
from kickstarting.suites import Suite, load_suite
from kickstarting.sweep import Race
from kickstarting.train import train


@dataclass(frozen=True)
class PopulationConfig:
    """How a population evolves. Ranges are LOW:HIGH[:START]; without START the members start log-uniformly in the range."""

    members: int = 8
    slice: str = "2%"
    """Frames of a member between two looks at another one."""
    burn_in: str = "4%"
    """Frames before the first look."""
    test: str = "welch"
    """When another member is significantly better: welch (t-test) or margin."""
    significance: float = 0.05
    """Of Welch's test, one-sided."""
    margin: float = 5.0
    """Points of score, of the test `margin`."""
    perturb_probability: float = 0.33
    perturb_factor: float = 1.2
    alpha_range: str = "0.001:2:1"
    """Strength of all teachers."""
    rho_range: str = "0.05:1:1"
    """Share of each teacher."""
    learning_rate_range: str = "3e-4:4e-3"
    entropy_cost_range: str = "1e-3:2e-2"

    def check(self) -> None:
        """Raise ValueError, with the remedy, for what cannot work."""
        if self.members < 2:
            raise ValueError(f"a population of {self.members} cannot evolve; give at least 2 members, or use `kickstart train`")
        if self.test not in ("welch", "margin"):
            raise ValueError(f"test is {self.test!r}; known: welch, margin")
        if not 0 <= self.perturb_probability <= 1 or not self.perturb_factor > 1:
            raise ValueError(
                f"perturb_probability is {self.perturb_probability}, perturb_factor {self.perturb_factor}; "
                "the first must lie in [0, 1], the second above 1"
            )
        for name in ("alpha_range", "rho_range", "learning_rate_range", "entropy_cost_range"):
            parse_range(name, getattr(self, name))


def parse_range(name: str, text: str) -> tuple[Range, float | None]:
    """LOW:HIGH[:START]. Raises ValueError if it is none, or START lies outside."""
    try:
        numbers = [float(part) for part in text.split(":")]
        low, high = numbers[:2]
        (start,) = numbers[2:] or [None]
    except ValueError:
        raise ValueError(f"{name} {text!r} is no range; write LOW:HIGH or LOW:HIGH:START") from None
    if not 0 < low <= high:
        raise ValueError(f"{name} {text!r}: a range is 0 < LOW <= HIGH, since values are multiplied")
    if start is not None and not low <= start <= high:
        raise ValueError(f"{name} starts at {start:g}, outside its range {low:g} to {high:g}; widen it or start inside")
    return Range(low, high), start


@dataclass
class Population:
    """All of a population's state between two rounds."""

    round: int
    values: list[dict[str, float]]
    """Hyperparameters of each member: alpha, rho/0, rho/1, ..., learning_rate, entropy_cost."""
    snapshots: list[Snapshot | None]
    lineage: list[dict[str, Any]] = field(default_factory=list)
    """For each round and member: the values it trained with, its score, and whose weights it goes on with."""


def run_population(config: Config, population: PopulationConfig, out: Path, *, console: Console) -> None:
    """Evolve a population in a new directory. Raises ValueError if it holds one already, or anything does not fit."""
    population.check()
    config.check()
    config = replace(config.on_this_machine(), schedule="constant:1", name=config.name or "population")
    if (out / "population.json").exists():
        raise ValueError(f"{out} already holds a population; choose another --out, or continue it with --resume {out}")
    teacher_scores = measure_teachers(config)  # and with it every error that can be found before the work
    out.mkdir(parents=True, exist_ok=True)
    data = {"config": config.to_json(), "population": asdict(population), "teacher_scores": teacher_scores}
    write_json(out / "population.json", {**data, "versions": versions()})
    _evolve(out, _first(config, population), console)


def resume_population(out: Path, *, console: Console) -> None:
    """Continue a killed population from its newest checkpoint."""
    if not (out / "population.json").exists():
        raise ValueError(f"no population at {out}; start one with `kickstart population SUITE --out {out}`")
    if (out / "best" / "finished.json").exists():
        raise ValueError(f"{out} is finished; there is nothing to resume")
    found = checkpoints(out / "checkpoints")
    _evolve(out, load_population(found[-1]) if found else None, console)


def _evolve(out: Path, state: Population | None, console: Console) -> None:
    data = json.loads((out / "population.json").read_text())
    config, population = config_from_json(data["config"]), PopulationConfig(**data["population"])
    state = state or _first(config, population)
    suite = load_suite(config.suite)
    directories = [out / "members" / f"{i:02d}" for i in range(population.members)]
    slice_frames = max(1, int(parse_frames(population.slice, config.total_frames)))
    rounds = -(-config.total_frames // slice_frames)
    for i, directory in enumerate(directories):
        directory.mkdir(parents=True, exist_ok=True)
        write_json(directory / "config.json", {**config.to_json(), "name": f"member {i}", "seed": _seed(config, i)})
        write_json(directory / "teacher_scores.json", data["teacher_scores"])
    frames = state.snapshots[0].record["frames"] if state.snapshots[0] else 0
    writers = [MetricsWriter(directory, frames=frames, board=False) for directory in directories]
    race = Race({d: replace(config, name=f"member {i}", seed=_seed(config, i)) for i, d in enumerate(directories)}, console)
    try:
        with race:
            while state.round < rounds:
                for i, writer in enumerate(writers):
                    member = member_config(config, i, state.values[i], slice_frames)
                    state.snapshots[i] = _advance(member, state.snapshots[i], writer, race.refresh)
                state = look_around(state, config, population, suite)
                _save(out, state)
        _write_best(out, state, config, data["teacher_scores"])
    finally:
        for writer in writers:
            writer.close()


def _advance(config: Config, snapshot: Snapshot | None, writer: MetricsWriter, show: Callable[[], None]) -> Snapshot:
    """One slice of one member: the backend. A cluster would run this elsewhere."""
    kept = []
    for update in train(config, snapshot):
        kept.append(update.metrics)
        if update.snapshot:
            writer.write(update.frames, summarise(kept))
            show()
            return update.snapshot
    raise AssertionError("training ended without a checkpoint")


def member_config(config: Config, member: int, values: dict[str, float], slice_frames: int) -> Config:
    """A member's next slice as an ordinary training run."""
    return replace(
        config,
        seed=_seed(config, member),
        schedule=f"constant:{values.get('alpha', 0.0)!r}",
        teacher_shares=tuple(values[f"rho/{t}"] for t in range(len(config.teachers))),
        learning_rate=repr(values["learning_rate"]),
        entropy_cost=repr(values["entropy_cost"]),
        checkpoint_every=str(slice_frames),
    )


def ranges_of(config: Config, population: PopulationConfig) -> tuple[dict[str, Range], dict[str, float]]:
    """Ranges and fixed starts of everything that this population tunes."""
    written = {"learning_rate": population.learning_rate_range, "entropy_cost": population.entropy_cost_range}
    if config.teachers:
        shares = {f"rho/{t}": population.rho_range for t in range(len(config.teachers))}
        written = {"alpha": population.alpha_range, **shares, **written}
    parsed = {name: parse_range(name, text) for name, text in written.items()}
    return {name: r for name, (r, _) in parsed.items()}, {name: s for name, (_, s) in parsed.items() if s is not None}


def _first(config: Config, population: PopulationConfig) -> Population:
    ranges, starts = ranges_of(config, population)
    values = [{**draw(ranges, _rng(config, 0, i)), **starts} for i in range(population.members)]
    return Population(0, values, [None] * population.members)


def look_around(state: Population, config: Config, population: PopulationConfig, suite: Suite) -> Population:
    """Exploit and explore, for all members at once, on the state before any of them changed."""
    ranges, _ = ranges_of(config, population)
    burn_in = parse_frames(population.burn_in, config.total_frames)
    windows = [score_samples(s, suite, config.score_window) if s else [] for s in state.snapshots]
    values, snapshots, lineage = [], [], list(state.lineage)
    for i, snapshot in enumerate(state.snapshots):
        assert snapshot is not None
        rng, source, own = _rng(config, state.round + 1, i), i, state.values[i]
        if evolving := burn_in <= snapshot.record["frames"] < config.total_frames:
            other = draw_other(i, population.members, rng)
            test = {"test": population.test, "significance": population.significance, "margin": population.margin}
            if windows[other] and windows[i] and significantly_better(windows[other], windows[i], **test):
                source = other
        taken = state.snapshots[source]
        assert taken is not None
        snapshots.append(replace(taken, record=_with_empty_windows(taken.record)) if source != i else taken)
        chances = {"probability": population.perturb_probability, "factor": population.perturb_factor}
        values.append(perturb(state.values[source], ranges, rng, **chances) if evolving else dict(own))
        score = float(np.mean(windows[i])) if windows[i] else None
        frames = snapshot.record["frames"]
        lineage.append({"round": state.round, "frames": frames, "member": i, "values": own, "score": score, "goes_on_as": source})
    return Population(state.round + 1, values, snapshots, lineage)


def score_samples(snapshot: Snapshot, suite: Suite, window: int) -> list[float]:
    """A member's recent scores, each the mean over tasks of one episode of every task; empty until every window is full.

    A mean over all episodes alike would weigh a task by how short its episodes are.
    """
    windows = snapshot.record["scores"]["windows"]
    rows = [[task.score(task.metric_of(r, s > 0)) for r, s in windows[task.name]] for task in suite.tasks]
    return np.mean(rows, axis=0).tolist() if all(len(row) == window for row in rows) else []


def _with_empty_windows(record: dict[str, Any]) -> dict[str, Any]:
    scores = record["scores"]
    return {**record, "scores": {**scores, "windows": {task: [] for task in scores["windows"]}}}


def _seed(config: Config, member: int) -> int:
    return 1000 * config.seed + member


def _rng(config: Config, round_: int, member: int) -> np.random.Generator:
    """Derived, never saved: the same in the interrupted and in the uninterrupted population."""
    return np.random.default_rng((config.seed, round_, member))


def _save(out: Path, state: Population) -> None:
    with atomic_directory(out / "checkpoints" / f"{state.round:08d}") as partial:
        for i, snapshot in enumerate(state.snapshots):
            assert snapshot is not None
            save_checkpoint(partial / f"member-{i:02d}", snapshot)
        write_signed(partial / "state.json", {"round": state.round, "values": state.values, "lineage": state.lineage})
    for old in checkpoints(out / "checkpoints")[:-2]:
        shutil.rmtree(old, ignore_errors=True)
    write_json(out / "lineage.json", state.lineage)


def load_population(path: Path) -> Population:
    """Read and verify a population's checkpoint. Raises CheckpointError if anything in it is missing or altered."""
    data = read_signed(path / "state.json")
    members = range(len(data["values"]))
    snapshots: list[Snapshot | None] = [load_checkpoint(checkpoints(path / f"member-{i:02d}")[-1]) for i in members]
    return Population(data["round"], data["values"], snapshots, data["lineage"])


def ancestry(lineage: list[dict[str, Any]], member: int) -> list[dict[str, Any]]:
    """The rounds that led to a member as it stands at the end: whose slice it was, with which values."""
    by_round = {(entry["round"], entry["member"]): entry for entry in lineage}
    path = [by_round[lineage[-1]["round"], member]]
    while path[-1]["round"]:
        before = path[-1]["round"] - 1
        path.append(by_round[before, by_round[before, path[-1]["member"]]["goes_on_as"]])
    return path[::-1]


def _write_best(out: Path, state: Population, config: Config, teacher_scores: dict) -> None:
    last = [entry for entry in state.lineage if entry["round"] == state.round - 1]
    best = max(last, key=lambda entry: -np.inf if entry["score"] is None else entry["score"])["member"]
    path = ancestry(state.lineage, best)
    folder = out / "best"
    folder.mkdir(exist_ok=True)
    write_json(folder / "config.json", {**config.to_json(), "versions": versions()})
    write_json(folder / "teacher_scores.json", teacher_scores)
    lines = [read_metrics(out / "members" / f"{entry['member']:02d}" / "metrics.jsonl")[entry["round"]] for entry in path]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    snapshot = state.snapshots[best]
    assert snapshot is not None
    save_checkpoint(folder / "checkpoints", snapshot)
    teachers = {ref: f"rho/{t}" for t, ref in enumerate(config.teachers)}
    write_json(
        folder / "schedule.json",
        {
            "frames": [0, *(entry["frames"] for entry in path[:-1])],
            "teachers": {ref: [e["values"]["alpha"] * e["values"][rho] for e in path] for ref, rho in teachers.items()},
        },
    )
    write_json(folder / "finished.json", {"frames": path[-1]["frames"], "member": best})
