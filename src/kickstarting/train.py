"""The loop: act, label, learn. A generator, so that what happens around it belongs to its consumer."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from kickstarting.cluster.events import Said, nobody
from kickstarting.config import Config
from kickstarting.faults import Fault
from kickstarting.hyperparameters import HyperparameterSchedules, Scheduled
from kickstarting.learner import Learner
from kickstarting.networks.spec import NetworkSpec
from kickstarting.replicas import Replicas
from kickstarting.runs.checkpoint import Snapshot
from kickstarting.runs.saving import Saving
from kickstarting.scores import ScoreTracker
from kickstarting.space_json import check_units
from kickstarting.teachers.check import measure_teachers
from kickstarting.types import Trajectory


@dataclass(frozen=True)
class Update:
    """One turn of the loop: one unroll, and all gradient steps on it (`epochs` times `minibatches`)."""

    frames: int
    """Simulator frames so far."""
    metrics: dict[str, float | None]
    snapshot: Snapshot | None = None
    """At a checkpoint, all that training needs to go on; its tensors are the learner's own, so save or copy them at once."""
    trajectory: Trajectory | None = None
    """What was learned from, labelled; only for a consumer that asked for it."""


def train(
    config: Config,
    snapshot: Snapshot | None = None,
    teacher_scores: Mapping[str, Mapping[str, Any]] | None = None,
    scheduled: Scheduled | None = None,
    *,
    saving: Callable[[int, int], bool] | None = None,
    with_trajectories: bool = False,
    said: Said = nobody,
) -> Generator[Update, None, None]:
    """Train the student of a configuration, from the start or from a snapshot of the same configuration.

    teacher_scores: as `measure_teachers` gives them; measured here if lambda follows scores and none are given.
    scheduled: what the configuration says unless given, as a population gives what it evolved.
    saving: when to save besides at the end, as `Saving` decides; at the configuration's distance unless given.
    with_trajectories: each update carries its trajectory, as for who records histories.
    said: told at once what happens on the cluster, if the actors are there.

    Every checkpoint is a seam: the environments restart with seeds derived from (seed, checkpoint number), in the
    interrupted and in the uninterrupted run alike, which makes resuming exact for any environment.

    Raises ValueError before any work if suite, network, teachers or schedules do not fit; TrainingError if the loss diverges;
    Fault, with a snapshot of the last update, if an environment or a teacher fails.
    """
    config = config.as_usual(snapshot.record["spec"]["options"] if snapshot else None)
    learning, timeout = config.learning, config.machine.environment_timeout
    with closing(Replicas(config, said)) as replicas:
        suite, learner, teachers, tasks = replicas.own.suite, replicas.own.learner, replicas.own.teachers, replicas.own.tasks
        window = {"window": config.run.score_window, "frames": config.run.score_frames}
        scores = ScoreTracker(suite, **window, warm_up=learning.envs_per_task)
        scheduled = scheduled or Scheduled.of(config)
        if teacher_scores is None and any(alpha.uses_progress for alpha in scheduled.alphas):
            teacher_scores = measure_teachers(teachers, suite, tasks, config.seed, timeout=timeout)
        schedules = HyperparameterSchedules(scheduled, teachers, suite, tasks, teacher_scores)
        frames_per_update = learning.unroll_length * config.envs_per_update * sum(task.action_repeat for task in suite.tasks)
        saving = saving or Saving(config.checkpoint_frames, config.run.frames_at(config.total_frames))
        frames, seam = restore(snapshot, replicas, scores, schedules) if snapshot else (0, 0)

        while frames < config.total_frames:
            replicas.begin(frames, seam)
            seam += 1
            state = None
            while not state:
                hyperparameters, lambdas = schedules.at(frames, scores.task_scores())
                try:
                    turn = replicas.update(hyperparameters, lambdas, with_trajectories)
                except Fault as fault:
                    fault.snapshot = take_snapshot(seam, frames, learner, scores, schedules, replicas.own.spec)
                    raise
                frames += frames_per_update
                scores.add(turn.episodes, frames)
                metrics = turn.losses | scores.metrics() | schedules.metrics(hyperparameters, lambdas) | turn.metrics
                if frames >= config.total_frames or saving(frames - frames_per_update, frames):
                    state = take_snapshot(seam, frames, learner, scores, schedules, replicas.own.spec)
                yield Update(frames, metrics, state, turn.trajectory)
            replicas.end()


def take_snapshot(
    number: int, frames: int, learner: Learner, scores: ScoreTracker, schedules: HyperparameterSchedules, spec: NetworkSpec
) -> Snapshot:
    """All that training needs to go on from here; its tensors are the learner's own."""
    record = {
        "frames": frames,
        "learner_steps": learner.learner_steps,
        "scores": scores.state(),
        "schedules": schedules.state(),
        "task_scores": {
            task.name: None if np.isnan(score) else float(score)
            for task, score in zip(scores.suite.tasks, scores.task_scores(), strict=True)
        },
        "spec": spec.to_json(),
    }
    return Snapshot(number, record, dict(learner.network.state_dict()), learner.optimiser_tensors())


def restore(snapshot: Snapshot, replicas: Replicas, scores: ScoreTracker, schedules: HyperparameterSchedules) -> tuple[int, int]:
    """Put a snapshot back; returns frames and the number of the next stretch between seams."""
    check_units(snapshot.record["spec"]["action_space"], replicas.own.spaces.action_space)
    replicas.load(snapshot)
    scores.load(snapshot.record["scores"])
    if "schedules" in snapshot.record:  # earlier checkpoints lack it
        schedules.load(snapshot.record["schedules"])
    return snapshot.record["frames"], snapshot.number
