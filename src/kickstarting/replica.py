"""Who acts and learns: a replica of the student with its share of every task's environments, or all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from kickstarting.actor import Actor, Episode, Unrolls
from kickstarting.config import Config
from kickstarting.envs import MultiTaskEnv, TaskSpaces, describe
from kickstarting.learner import Hyperparameters, Learner
from kickstarting.machine import cores, resolve_device, use_machine
from kickstarting.networks.spec import NetworkSpec
from kickstarting.overlapped import OverlappedActor
from kickstarting.runs.checkpoint import Snapshot, load_weights
from kickstarting.runs.metrics import Clock
from kickstarting.spaces import without
from kickstarting.suites import Suite, load_suite
from kickstarting.teachers import ActingTeachers, Teachers, build_teachers
from kickstarting.trust import trust
from kickstarting.types import Trajectory


@dataclass(frozen=True)
class Outcome:
    """What one turn of the loop came to in one replica."""

    losses: dict[str, float]
    episodes: list[Episode]
    """Those that ended."""
    metrics: dict[str, float | None]
    """Where the time went, and how old the policy was."""
    trajectory: Trajectory | None
    """What was learned from, labelled; if it was asked for."""


class Replica:
    """One unroll, labelled, and all gradient steps on it, again and again.

    rank: which of the config's learners this is. Each has an equal share of every task's environments, in columns of the same
    order, and seeds of its own.
    """

    def __init__(self, config: Config, rank: int = 0) -> None:
        self._config, self._rank = config, rank
        self.suite, self.spaces, self.spec, self.learner = build(config)
        self.tasks = self.spaces.task_of_column(config.envs_each, config.machine.env_groups)
        names, teaching = [task.name for task in self.suite.tasks], config.teaching
        self.teachers = build_teachers(
            teaching.references, names, self.spaces, self.tasks, self.learner.device, teaching.teacher_optional
        )
        self._env: MultiTaskEnv | None = None
        self._actor: Unrolls | None = None

    def load(self, snapshot: Snapshot) -> None:
        """Weights and optimiser of a checkpoint."""
        load_weights(self.learner.network, snapshot, f"checkpoint {snapshot.number}")
        self.learner.load_optimiser_tensors(snapshot.optimiser)
        self.learner.learner_steps = snapshot.record["learner_steps"]

    def begin(self, frames: int, seam: int) -> None:
        """Open the environments of a stretch between two checkpoints. frames: where the run stands."""
        config = self._config
        self._env = make_env(config, self.suite, seam, self._rank)
        seed = _seed(config, seam, self._rank)
        self._actor = make_actor(config, self.suite, self._env, self.learner, self.teachers, frames, seed)
        self.teachers.forget()

    def update(self, hyperparameters: Hyperparameters, lambdas: Sequence[np.ndarray], with_trajectory: bool = False) -> Outcome:
        """lambdas: of each teacher, [B], of this replica's columns, which are alike in all."""
        clock, actor = Clock(), self._actor
        assert actor is not None
        trajectory = actor.unroll()
        trajectory = clock("label", self.teachers.label, trajectory, lambdas)
        losses = clock("learn", self.learner.learn, trajectory, hyperparameters)
        actor.load(self.learner.network.state_dict())
        metrics = actor.metrics() | self.teachers.metrics() | clock.metrics()
        means = {name: value.item() for name, value in losses.items()}
        return Outcome(means, actor.drain_episodes(), metrics, trajectory if with_trajectory else None)

    def end(self) -> None:
        """Close the environments."""
        actor, env, self._actor, self._env = self._actor, self._env, None, None
        try:
            if actor is not None:
                actor.close()
        finally:
            if env is not None:
                env.close()


def build(config: Config) -> tuple[Suite, TaskSpaces, NetworkSpec, Learner]:
    """The suite, its spaces, and a freshly initialised student; the same for the same seed."""
    config.check()
    trust(config.trusted_modules)
    machine, how = config.machine, config.learning.learner
    device = resolve_device(machine.device)
    use_machine(machine.threads_each(), machine.precision, device)
    suite = load_suite(config.suite)
    spaces = describe(suite.tasks, timeout=machine.environment_timeout)
    if config.learning.squash_actions:
        spaces = spaces.squashed()
    read = without(spaces.observation_space, (*suite.privileged, *config.teaching.privileged))
    spec = NetworkSpec(config.network, config.parsed_network_options(), read, spaces.action_space)
    torch.manual_seed(config.seed)
    learning = replace(how, minibatches=min(how.minibatches, config.envs_each))
    learner = Learner(spec.build(spaces.distribution), spaces.distribution, learning, device, len(suite.tasks))
    return suite, spaces, spec, learner


def make_env(config: Config, suite: Suite, seam: int, rank: int = 0) -> MultiTaskEnv:
    """The environments of one replica between two checkpoints."""
    groups, own = config.machine.env_groups, cores() // config.machine.num_learners
    return MultiTaskEnv(
        suite.tasks,
        config.envs_each,
        seed=_seed(config, seam, rank),
        num_threads=config.machine.environment_threads or max(1, own // (len(suite.tasks) * groups)),
        groups=groups,
        timeout=config.machine.environment_timeout,
    )


def make_actor(
    config: Config, suite: Suite, env: MultiTaskEnv, learner: Learner, teachers: Teachers, frames: int, seed: int
) -> Unrolls:
    """Who acts between two checkpoints: the student, and teachers if `teacher_acts` is not 0 throughout."""
    acting, probability = None, config.parsed("teacher_acts")
    if probability.highest > 0:
        per_step = float(np.mean([task.action_repeat for task in suite.tasks])) * config.machine.num_learners
        acting = ActingTeachers(teachers, env, probability, frames=frames, frames_per_step=per_step, seed=seed)
    kind = OverlappedActor if config.machine.overlap else Actor
    who: dict[str, Any] = {"teachers": acting, "distribution": learner.distribution}
    return kind(env, learner.network, config.learning.unroll_length, seed=seed, device=learner.device, **who)


def _seed(config: Config, seam: int, rank: int) -> int:
    return int(np.random.SeedSequence((config.seed, seam, rank)).generate_state(1)[0])
