"""A model in context beside its source and random actions: numbers, table, picture."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from kickstarting.ad.evaluation import Outcome, check_fits, evaluate_in_context, run_source
from kickstarting.ad.figures import curves_figure, write_figure
from kickstarting.ad.in_suite import evaluate_in_suite
from kickstarting.ad.saved import TrainedModel, load_model
from kickstarting.ad.sources import SOURCES, run_episodes
from kickstarting.ad.tasks import find_family
from kickstarting.console import literal
from kickstarting.runs.files import blaming, check_writable, make_directory, read_bytes, read_json, write_bytes, write_json

SHARES = "returns.npz"
"""Each row of every outcome, as a share of its optimum."""
LATEST = 10
"""Episodes at the end that count as the latest return."""


@dataclass(frozen=True)
class HowEvaluated:
    """What `kickstart ad evaluate` was asked for."""

    family: str = ""
    suite: str = ""
    part: str = "test"
    episodes: int = 100
    rollouts: int = 1
    choice: str = "sample"
    context: int = 0
    prompt: str = ""
    prompt_after: int = 0
    seed: int = 1_000_003


@dataclass(frozen=True)
class Results:
    """Outcomes by name, on the same tasks."""

    what: dict[str, Any]
    outcomes: dict[str, Outcome]


def compared(model: Path, how: HowEvaluated, baselines: bool, progress: Callable[[int, int], None] | None = None) -> Results:
    """Evaluate a model on a part of a family's tasks, beside its source and random actions.

    What learned from a suite's histories is evaluated in a suite. Raises ValueError if it does not fit.
    """
    trained = load_model(model, how.context)
    for one, many in (("family", "families"), ("suite", "suites")):
        if (several := trained.facts.get(many)) and not (how.family or how.suite):
            raise ValueError(f"{model} learned from {', '.join(several)}; give one of them, or another, by --{one}")
    if how.suite or not (name := how.family or trained.family):
        return _in_suite(trained, model, how, progress)
    family = find_family(name)
    check_fits(trained, family)
    tasks = np.repeat(getattr(family.split(int(trained.facts.get("split_seed", 0))), how.part), how.rollouts, 0)
    prompt = None
    if how.prompt:
        held = max(1, trained.network.context // (family.horizon + trained.config.terminal))
        batch = family.batch(tasks, how.seed + 2)
        learner = SOURCES[how.prompt](batch, family.actions, how.prompt_after + held, how.seed + 3)
        prompt = list(run_episodes(batch, learner, family.horizon, how.prompt_after + held))[-held:]
    options = {"episodes": how.episodes, "seed": how.seed, "choice": how.choice, "prompt": prompt, "progress": progress}
    outcomes = {f"in context ({how.choice})": evaluate_in_context(trained, family, tasks, **options)}
    source = trained.facts.get("source", "")
    if baselines:
        if source in SOURCES:
            total = int(trained.facts.get("episodes", how.episodes))
            outcomes[f"source: {source}"] = run_source(source, family, tasks, how.episodes, how.seed, total)
        outcomes["random"] = run_source("random", family, tasks, how.episodes, how.seed)
    return Results({"model": str(model), **asdict(how), "family": name, "tasks": len(tasks) // how.rollouts}, outcomes)


def _in_suite(trained: TrainedModel, model: Path, how: HowEvaluated, progress: Callable[[int, int], None] | None) -> Results:
    suite = str(how.suite or trained.facts.get("suite", ""))
    options = {"episodes": how.episodes, "envs_per_task": how.rollouts, "seed": how.seed, "choice": how.choice}
    outcome = evaluate_in_suite(trained, suite, **options, progress=progress)
    what = {"model": str(model), **asdict(how), "family": suite, "tasks": len(outcome.returns) // how.rollouts}
    return Results(what, {f"in context ({how.choice})": outcome})


def results_table(results: Results) -> Table:
    """Shares of the optimum after some episodes."""
    what = results.what
    moments = [n for n in (1, 5, 10, 20, 50, 100, 200, 500, 1000) if n <= what["episodes"]]
    title = f"{what['family']}, {what['tasks']} {what['part']} tasks x {what['rollouts']}: return as a share of the optimum"
    table = Table("", *(f"ep. {n}" for n in moments), f"last {LATEST}", "failed", title=literal(title), title_justify="left")
    for name, outcome in results.outcomes.items():
        shares = (f"{outcome.curve[n - 1]:.3f}" for n in moments)
        table.add_row(literal(name), *shares, f"{outcome.latest(LATEST).mean():.3f}", f"{outcome.failed(LATEST):.1%}")
    return table


def write_results(results: Results, out: Path, cpu_seconds: float | None = None) -> None:
    """returns.npz, curve.png, and evaluation.json last. cpu_seconds: that it took, where they were counted."""
    make_directory(out)
    check_writable(out)
    numbers = {
        name: {
            "latest": float(x.latest(LATEST).mean()),
            "failed": x.failed(LATEST),
            "curve": [round(float(y), 4) for y in x.curve],
            "returns": float(x.returns[:, -LATEST:].mean()),
            "latest_of_rows": [round(float(y), 4) for y in x.latest(LATEST)],
        }
        for name, x in results.outcomes.items()
    }
    shares = {name: x.returns / x.optimum[:, None] for name, x in results.outcomes.items()}
    packed, arrays = io.BytesIO(), {name: x.astype(np.float32) for name, x in shares.items()}
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]  # before NumPy 2.1 allow_pickle would be one of the arrays
    write_bytes(out / SHARES, packed.getvalue())
    write_figure(curves_figure(shares, f"{results.what['family']}, held-out tasks"), out / "curve.png")
    spent = {} if cpu_seconds is None else {"cpu_seconds": cpu_seconds}
    write_json(evaluation_file(out), {**results.what, **spent, "results": numbers})


def evaluation_file(out: Path) -> Path:
    """Where `write_results` says what was evaluated, and the numbers."""
    return out / "evaluation.json"


def read_shares(out: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What was evaluated, and of each outcome the share of the optimum, [rows, episodes]; rows of one task lie side by side."""
    remedy = "evaluate the model again"
    what = read_json(evaluation_file(out), remedy=remedy)
    path = out / SHARES
    with blaming(path, remedy=remedy), np.load(io.BytesIO(read_bytes(path, remedy=remedy)), allow_pickle=False) as packed:
        return what, dict(packed)
