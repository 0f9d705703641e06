"""Metrics: what each is and how it is averaged, the one reader of metrics.jsonl, and where the time of an update goes.

`METRICS` names every number that a run logs; docs/metrics.md has a row for each, which a test holds against it. Nothing here
imports torch: reports and displays read runs, too. `writer.py` writes.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import numpy as np

from kickstarting.runs.files import LARGEST, FileError, read_bytes, shown, typed

P = ParamSpec("P")
R = TypeVar("R")
ROUNDING = 1e-5
"""Of a mean square in float32, below which its distance from the square of the mean is none."""
TAIL = 20_000
"""Bytes that `last_metrics` reads at first: some lines of a suite of fifty tasks."""


@dataclass(frozen=True)
class Metric:
    """One number of a line, or a family of them.

    name: `loss`; of a family `lambda/*`, where the star stands for a teacher, a task, a phase.
    kept: of the updates since the line before: their "mean" or "max", over those that have the number; the "last" one's; what
        follows from "all" of them; or a "rate", a count over the wall-clock time since then.
    """

    name: str
    kept: Literal["mean", "max", "last", "all", "rate"]
    meaning: str
    unit: str = ""


METRICS = (
    Metric("frames", "last", "simulator frames so far", "frames"),
    Metric("episodes", "last", "episodes that ended so far", "episodes"),
    Metric("seconds", "last", "wall-clock time of training up to this line", "seconds"),
    Metric("frames_per_second", "rate", "frames since the line before it", "frames/s"),
    Metric("task_return/*", "last", "mean over the window of the undiscounted sum of unclipped rewards", "reward"),
    Metric("task_success/*", "last", "share of the window's episodes that were successes", "0 to 1"),
    Metric("task_score/*", "last", "the task's score", "score"),
    Metric("score", "last", "mean of the task scores", "score"),
    Metric("score_median", "last", "median of the task scores", "score"),
    Metric("score_iqm", "last", "interquartile mean of the task scores", "score"),
    Metric("success", "last", "mean of the tasks' successes", "0 to 1"),
    Metric("policy_gradient_loss", "mean", "the policy gradient's loss"),
    Metric("baseline_loss", "mean", "the critic's loss", "unit²"),
    Metric("value_error", "mean", "of the critic: target minus value", "unit"),
    Metric("target", "mean", "V-trace's target of the critic", "unit"),
    Metric("target_square", "mean", "its square", "unit²"),
    Metric("explained_variance", "all", "share of the variance of the targets that the critic explains"),
    Metric("entropy_loss", "mean", "minus the entropy of the policy", "nats"),
    Metric("distillation_loss", "mean", "cross-entropy of the student to its teachers, before lambda", "nats"),
    Metric("value_distillation_loss", "mean", "half the squared distance to the teachers' values", "squared discounted reward"),
    Metric("loss", "mean", "the sum that is minimised"),
    Metric("rho", "mean", "mean importance weight, unclipped", "ratio"),
    Metric("rho_clipped", "mean", "share of the transitions whose importance weight is clipped", "0 to 1"),
    Metric("approx_kl", "mean", "divergence of the policy from the one that acted", "nats"),
    Metric("grad_norm", "mean", "global norm of the gradient before clipping"),
    Metric("grad_clipped", "mean", "share of the gradient steps whose norm was clipped", "0 to 1"),
    Metric("learning_rate", "last", "of the optimiser, by its schedule"),
    Metric("learning_rate_factor", "last", "what `--desired-kl` leaves of the learning rate"),
    Metric("entropy_cost", "last", "weight of the entropy"),
    Metric("policy_cost", "last", "weight of policy gradient and entropy"),
    Metric("baseline_cost", "last", "weight of the critic's loss"),
    Metric("lambda/*", "last", "weight of a teacher"),
    Metric("teacher_known/*", "mean", "share of the transitions on which a teacher that may have no opinion had one", "0 to 1"),
    Metric("teacher_acts", "mean", "share of the steps in which a teacher chose the action", "0 to 1"),
    Metric("lag", "last", "age of the policy that acted", "updates"),
    Metric("lag/mean", "mean", "age of the policies that acted, in updates of the learner", "updates"),
    Metric("lag/max", "max", "the age of the oldest one", "updates"),
    Metric("lag/histogram/*", "mean", "share of the unrolls in a bin of ages", "0 to 1"),
    Metric("queue", "mean", "unrolls that waited when the learner wanted a batch", "unrolls"),
    Metric("learner_idle", "mean", "share of the time in which the learner waited for unrolls", "0 to 1"),
    Metric("actors_alive", "last", "actors whose environments are open", "actors"),
    Metric("restarts", "last", "actors that took the place of a lost one", "actors"),
    Metric("dropped_unrolls", "last", "unrolls that were older than", "unrolls"),
    Metric("lost_unrolls", "last", "unrolls that were lost with their actors", "unrolls"),
    Metric("frames_per_second/*", "mean", "frames of a batch that came from a node", "frames/s"),
    Metric("environment_restarts", "last", "processes of environments that died since the last checkpoint", "restarts"),
    Metric("seconds/act", "mean", "the student's network on every step", "seconds"),
    Metric("seconds/environment", "mean", "waiting for the environments", "seconds"),
    Metric("seconds/label", "mean", "the teachers", "seconds"),
    Metric("seconds/learn", "mean", "loss, gradient, optimiser", "seconds"),
    Metric("seconds/idle", "mean", "waiting for the actor", "seconds"),
    Metric("health/*", "last", "1 while the diagnosis stands, 0 otherwise", "0 or 1"),
)
_BY_NAME = {metric.name: metric for metric in METRICS}


def metric_of(name: str) -> Metric | None:
    """What a logged name is; None if no metric of this version is called so."""
    first, _, rest = name.partition("/")
    families = (f"{first}/*", f"{first}/{rest.partition('/')[0]}/*")
    return next((metric for known in (name, *families) if (metric := _BY_NAME.get(known))), None)


def summarise(updates: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """One line for the metrics of the updates since the line before, each as `METRICS` says, one that is not known as it was last.

    Names are those of the last update. A rate is not of one update: whoever writes lines adds it.
    """
    line = dict(updates[-1])
    for name, last in line.items():
        metric = metric_of(name)
        if metric and metric.kept in ("mean", "max") and last is not None:
            known = [value for update in updates if (value := update.get(name)) is not None]
            line[name] = float(np.mean(known) if metric.kept == "mean" else max(known))
    if "target" in line:
        explained = explained_variance(updates)
        line["explained_variance"] = explained if math.isfinite(explained) else None
    return line


def explained_variance(lines: Sequence[Mapping[str, Any]]) -> float:
    """Share of the variance of the targets in all of these lines that the critic explains: 1 - Var(v_s - V) / Var(v_s).

    A single unroll may hold hardly any variance, as where all environments run in step; a constant is the same in all lines.
    nan where a line lacks what it takes, and where targets vary by no more than the rounding of float32.
    """
    names = ("baseline_loss", "value_error", "target_square", "target")
    known = np.array([[line.get(name) for name in names] for line in lines], dtype=float)  # None is nan
    half_square_error, error, square, target = known.mean(0)
    variance = square - target**2
    return float(1 - (2 * half_square_error - error**2) / variance) if variance > ROUNDING * square else math.nan


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl with rising frames.

    - The last line, if it is torn (a run was killed, or is writing at this moment), is left out.
    - Where frames fall back or repeat, a run was resumed from an earlier checkpoint: what was logged from there on replaces what
      had been logged.
    - Any other line that is not a JSON object of numbers with `frames` is damage that no run does: FileError, with its number.

    Raises FileError if the file is missing or cannot be read.
    """
    if not os.path.lexists(path):
        raise FileError(f"{path} is missing; {path.parent} is not a complete run directory, leave it out or run it again")
    texts = read_bytes(path, remedy="leave the run out, or fix permissions").split(b"\n")
    lines: list[dict[str, Any]] = []
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            continue
        try:
            line = _parse(text)
        except MALFORMED as error:
            if not any(later.strip() for later in texts[number:]):
                break
            raise FileError(f"line {number} of {path} is not a JSON object with 'frames' ({error}); remove or repair it") from error
        while lines and lines[-1]["frames"] >= line["frames"]:
            lines.pop()
        lines.append(line)
    return lines


def last_metrics(path: Path) -> dict[str, Any]:
    """The last whole line of a metrics.jsonl, {} if there is none yet, or none that can be read, since displays go on whatever
    happens to a file; reads its end only, since they ask often."""
    try:
        if not path.is_file():
            return {}
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            tail = TAIL
            while True:
                file.seek(max(0, size - tail))
                for text in reversed(file.read().split(b"\n")):
                    try:
                        return _parse(text)
                    except MALFORMED:  # torn at its end, or where the tail begins
                        continue
                if tail >= size:
                    return {}
                tail *= 8
    except OSError:
        return {}


MALFORMED = (ValueError, RecursionError)


def _parse(text: bytes) -> dict[str, Any]:
    line = typed(json.loads(text), dict, "it")
    if typed(line.get("frames"), int, "'frames'") < 0:
        raise ValueError(f"'frames' is {line['frames']}, below 0")
    for name, value in line.items():
        if not (value is None or (type(value) in (int, float) and not LARGEST <= abs(value) < math.inf)):
            raise ValueError(f"{shown(name)} is {shown(value)}, no number")
    return line


class Clock:
    """Where an update's time goes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, phase: str, function: Callable[P, R], *args: P.args, **keywords: P.kwargs) -> R:
        """Call a function and book its time on a phase."""
        started = time.perf_counter()
        result = function(*args, **keywords)
        self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - started
        return result

    def metrics(self) -> dict[str, float | None]:
        return {f"seconds/{phase}": seconds for phase, seconds in self.seconds.items()}
