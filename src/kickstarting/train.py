"""The single-process loop: act, label, learn. A generator, so that what happens around it belongs to its consumer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from kickstarting.actor import Actor, Unrolls
from kickstarting.config import Config
from kickstarting.envs import EnvironmentFault, MultiTaskEnv, TaskSpaces, describe
from kickstarting.hyperparameters import HyperparameterSchedules, Scheduled
from kickstarting.learner import Learner
from kickstarting.machine import resolve_device, use_machine
from kickstarting.networks.spec import NetworkSpec
from kickstarting.overlapped import OverlappedActor
from kickstarting.runs.checkpoint import Snapshot, load_weights
from kickstarting.runs.metrics import Clock
from kickstarting.runs.saving import Saving
from kickstarting.scores import ScoreTracker
from kickstarting.spaces import check_units
from kickstarting.suites import Suite, load_suite
from kickstarting.teachers import ActingTeachers, Teachers, build_teachers
from kickstarting.teachers.check import measure_teachers
from kickstarting.trust import trust
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
) -> Iterator[Update]:
    """Train the student of a configuration, from the start or from a snapshot of the same configuration.

    teacher_scores: as `measure_teachers` gives them; measured here if lambda follows scores and none are given.
    scheduled: what the configuration says unless given, as a population gives what it evolved.
    saving: when to save besides at the end, as `Saving` decides; at the configuration's distance unless given.
    with_trajectories: each update carries its trajectory, as for who records histories.

    Every checkpoint is a seam: the environments restart with seeds derived from (seed, checkpoint number), in the
    interrupted and in the uninterrupted run alike, which makes resuming exact for any environment.

    Raises ValueError before any work if suite, network, teachers or schedules do not fit; TrainingError if the loss diverges;
    EnvironmentFault, with a snapshot of the last update, if an environment fails.
    """
    learning, machine = config.learning, config.machine
    suite, spaces, spec, learner = build(config)
    tasks = spaces.task_of_column(learning.envs_per_task, machine.env_groups)
    teachers = build_teachers(config.teaching.references, [t.name for t in suite.tasks], spaces, tasks, learner.device)
    scores = ScoreTracker(suite, window=config.run.score_window, warm_up=learning.envs_per_task)
    scheduled = scheduled or Scheduled.of(config)
    if teacher_scores is None and any(alpha.uses_progress for alpha in scheduled.alphas):
        teacher_scores = measure_teachers(teachers, suite, tasks, config.seed, timeout=machine.environment_timeout)
    schedules = HyperparameterSchedules(scheduled, teachers, suite, tasks, teacher_scores)
    frames_per_update = learning.unroll_length * learning.envs_per_task * sum(task.action_repeat for task in suite.tasks)
    saving = saving or Saving(config.checkpoint_frames, config.run.frames_at(config.total_frames))
    if snapshot:
        check_units(snapshot.record["spec"]["action_space"], spaces.action_space)
    frames, seam = restore(snapshot, learner, scores, schedules) if snapshot else (0, 0)

    while frames < config.total_frames:
        with (
            closing(make_env(config, suite, seam)) as env,
            closing(make_actor(config, suite, env, learner, teachers, frames, seam)) as actor,
        ):
            teachers.forget()
            seam += 1
            state = None
            while not state:
                clock = Clock()
                hyperparameters, lambdas = schedules.at(frames, scores.task_scores())
                try:
                    trajectory = actor.unroll()
                except EnvironmentFault as fault:
                    fault.snapshot = take_snapshot(seam, frames, learner, scores, schedules, spec)
                    raise
                trajectory = clock("label", teachers.label, trajectory, lambdas)
                losses = clock("learn", learner.learn, trajectory, hyperparameters)
                actor.load(learner.network.state_dict())
                scores.add(actor.drain_episodes())
                frames += frames_per_update
                metrics = {name: value.item() for name, value in losses.items()} | scores.metrics()
                metrics |= schedules.metrics(hyperparameters, lambdas) | actor.metrics() | clock.metrics()
                if frames >= config.total_frames or saving(frames - frames_per_update, frames):
                    state = take_snapshot(seam, frames, learner, scores, schedules, spec)
                yield Update(frames, metrics, state, trajectory if with_trajectories else None)


def build(config: Config) -> tuple[Suite, TaskSpaces, NetworkSpec, Learner]:
    """The suite, its spaces, and a freshly initialised student; the same for the same seed."""
    config.check()
    trust(config.trusted_modules)
    machine, how = config.machine, config.learning.learner
    device = resolve_device(machine.device)
    use_machine(machine.threads_each(), machine.precision, device)
    suite = load_suite(config.suite)
    spaces = describe(suite.tasks, timeout=machine.environment_timeout)
    spec = NetworkSpec(config.network, config.parsed_network_options(), spaces.observation_space, spaces.action_space)
    torch.manual_seed(config.seed)
    learning = replace(how, minibatches=min(how.minibatches, config.learning.envs_per_task))
    learner = Learner(spec.build(spaces.distribution), spaces.distribution, learning, device, len(suite.tasks))
    return suite, spaces, spec, learner


def make_env(config: Config, suite: Suite, seam: int) -> MultiTaskEnv:
    """The environments between two checkpoints."""
    groups = config.machine.env_groups
    return MultiTaskEnv(
        suite.tasks,
        config.learning.envs_per_task,
        seed=_seed(config, seam),
        num_threads=config.machine.environment_threads or max(1, (os.cpu_count() or 1) // (len(suite.tasks) * groups)),
        groups=groups,
        timeout=config.machine.environment_timeout,
    )


def make_actor(
    config: Config, suite: Suite, env: MultiTaskEnv, learner: Learner, teachers: Teachers, frames: int, seam: int
) -> Unrolls:
    """Who acts between two checkpoints: the student, and teachers if `teacher_acts` is not 0 throughout."""
    seed, acting, probability = _seed(config, seam), None, config.parsed("teacher_acts")
    if probability.highest > 0:
        per_step = float(np.mean([task.action_repeat for task in suite.tasks]))
        acting = ActingTeachers(teachers, env, probability, frames=frames, frames_per_step=per_step, seed=seed)
    kind = OverlappedActor if config.machine.overlap else Actor
    return kind(env, learner.network, config.learning.unroll_length, seed=seed, device=learner.device, teachers=acting)


def _seed(config: Config, seam: int) -> int:
    return int(np.random.SeedSequence((config.seed, seam)).generate_state(1)[0])


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


def restore(snapshot: Snapshot, learner: Learner, scores: ScoreTracker, schedules: HyperparameterSchedules) -> tuple[int, int]:
    """Put a snapshot back; returns frames and the number of the next stretch between seams."""
    load_weights(learner.network, snapshot, f"checkpoint {snapshot.number}")
    learner.load_optimiser_tensors(snapshot.optimiser)
    learner.learner_steps = snapshot.record["learner_steps"]
    scores.load(snapshot.record["scores"])
    if "schedules" in snapshot.record:  # earlier checkpoints lack it
        schedules.load(snapshot.record["schedules"])
    return snapshot.record["frames"], snapshot.number
