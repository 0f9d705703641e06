"""The single-process loop: act, label, learn. A generator, so that what happens around it belongs to its consumer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from kickstarting.actor import Actor
from kickstarting.config import Config
from kickstarting.envs import MultiTaskEnv
from kickstarting.evaluate import teachers_alone
from kickstarting.hyperparameters import HyperparameterSchedules
from kickstarting.learner import Learner
from kickstarting.machine import resolve_device, use_machine
from kickstarting.networks.spec import NetworkSpec
from kickstarting.overlapped import OverlappedActor
from kickstarting.runs.checkpoint import Snapshot
from kickstarting.runs.metrics import Clock
from kickstarting.scores import ScoreTracker
from kickstarting.suites import Suite, load_suite
from kickstarting.teachers import ActingTeachers, Teachers, build_teachers, load_weights


@dataclass(frozen=True)
class Update:
    """One learner step."""

    frames: int
    """Simulator frames so far."""
    metrics: dict[str, float | None]
    snapshot: Snapshot | None = None
    """At a checkpoint, all that training needs to go on; its tensors are the learner's own, so save or copy them at once."""


def train(
    config: Config, snapshot: Snapshot | None = None, teacher_scores: Mapping[str, Mapping[str, Any]] | None = None
) -> Iterator[Update]:
    """Train the student of a configuration, from the start or from a snapshot of the same configuration.

    teacher_scores: as `teachers_alone` gives them; measured here if lambda follows scores and none are given.

    Every checkpoint is a seam: the environments restart with seeds derived from (seed, checkpoint number), in the
    interrupted and in the uninterrupted run alike, which makes resuming exact for any environment.

    Raises ValueError before any work if suite, network, teachers or schedules do not fit; TrainingError if the loss diverges.
    """
    suite, env, spec, learner = build(config)
    teachers = build_teachers(config.teachers, [t.name for t in suite.tasks], env, learner.device)
    scores = ScoreTracker(suite, window=config.score_window, warm_up=config.envs_per_task)
    env.close()  # it was made for its spaces
    if teacher_scores is None and any(alpha.uses_progress for alpha in config.teacher_schedules()):
        teacher_scores = teachers_alone(config)
    schedules = HyperparameterSchedules(config, teachers, suite, env.task_of_column, teacher_scores)
    frames_per_update = config.unroll_length * config.envs_per_task * sum(task.action_repeat for task in suite.tasks)
    frames, seam = restore(snapshot, learner, scores, schedules) if snapshot else (0, 0)

    while frames < config.total_frames:
        with (
            closing(make_env(config, suite, seam)) as env,
            closing(make_actor(config, suite, env, learner, teachers, frames, seam)) as actor,
        ):
            teachers.forget()
            seam += 1
            until = min(config.total_frames, seam * config.checkpoint_frames)
            while frames < until:
                clock = Clock()
                hyperparameters, lambdas = schedules.at(frames, scores.task_scores())
                trajectory = actor.unroll()
                trajectory = clock("label", teachers.label, trajectory, lambdas)
                losses = clock("learn", learner.learn, trajectory, hyperparameters)
                scores.add(actor.drain_episodes())
                frames += frames_per_update
                metrics = {name: value.item() for name, value in losses.items()} | scores.metrics()
                metrics |= schedules.metrics(hyperparameters, lambdas) | actor.metrics() | clock.metrics()
                ends = frames >= until
                yield Update(frames, metrics, take_snapshot(seam, frames, learner, scores, schedules, spec) if ends else None)


def build(config: Config) -> tuple[Suite, MultiTaskEnv, NetworkSpec, Learner]:
    """The suite, its environments, and a freshly initialised student; the same for the same seed."""
    config.check()
    device = resolve_device(config.device)
    use_machine(config.threads_each(), config.precision, device)
    suite = load_suite(config.suite)
    env = make_env(config, suite, 0)
    spec = NetworkSpec(config.network, config.parsed_network_options(), env.observation_space, env.action_space)
    torch.manual_seed(config.seed)
    learning = replace(config.learner, minibatches=min(config.learner.minibatches, config.envs_per_task))
    return suite, env, spec, Learner(spec.build(env.distribution), env.distribution, learning, device, len(suite.tasks))


def make_env(config: Config, suite: Suite, seam: int) -> MultiTaskEnv:
    """The environments between two checkpoints."""
    return MultiTaskEnv(
        suite.tasks,
        config.envs_per_task,
        seed=_seed(config, seam),
        num_threads=config.environment_threads or max(1, (os.cpu_count() or 1) // (len(suite.tasks) * config.env_groups)),
        groups=config.env_groups,
    )


def make_actor(
    config: Config, suite: Suite, env: MultiTaskEnv, learner: Learner, teachers: Teachers, frames: int, seam: int
) -> Actor | OverlappedActor:
    """Who acts between two checkpoints: the student, and teachers if `teacher_acts` is not 0 throughout."""
    seed, acting, probability = _seed(config, seam), None, config.parsed("teacher_acts")
    if max(probability.start, probability.end) > 0:
        per_step = float(np.mean([task.action_repeat for task in suite.tasks]))
        acting = ActingTeachers(teachers, env, probability, frames=frames, frames_per_step=per_step, seed=seed)
    kind = OverlappedActor if config.overlap else Actor
    return kind(env, learner.network, config.unroll_length, seed=seed, device=learner.device, teachers=acting)


def _seed(config: Config, seam: int) -> int:
    return int(np.random.SeedSequence((config.seed, seam)).generate_state(1)[0])


def take_snapshot(
    number: int, frames: int, learner: Learner, scores: ScoreTracker, schedules: HyperparameterSchedules, spec: NetworkSpec
) -> Snapshot:
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
