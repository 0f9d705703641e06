"""Who acts and learns: a replica of the student with its share of every task's environments, or all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kickstarting.actor import Episode, Unrolls
from kickstarting.assembly import build, make_actor, make_env, seed_of
from kickstarting.cluster.events import Said, nobody
from kickstarting.cluster.fleet import Fleet
from kickstarting.cluster.stretch import Stretch
from kickstarting.config import Config
from kickstarting.envs import MultiTaskEnv
from kickstarting.learner import Hyperparameters
from kickstarting.runs.checkpoint import Snapshot, load_weights
from kickstarting.runs.metrics import Clock
from kickstarting.teachers import build_teachers
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
    """One batch, labelled, and all gradient steps on it, again and again.

    rank: which of the config's learners this is. Each has an equal share of every task's environments, in columns of the same
    order, and seeds of its own. said: told what happens on the cluster, if the actors are there.
    """

    def __init__(self, config: Config, rank: int = 0, said: Said = nobody) -> None:
        self._config, self._rank = config, rank
        self.suite, self.spaces, self.spec, self.learner = build(config)
        self.tasks = self.spaces.task_of_column(config.envs_each, config.machine.env_groups)
        """Of each column of one actor."""
        names, teaching = [task.name for task in self.suite.tasks], config.teaching
        self.teachers = build_teachers(
            teaching.references, names, self.spaces, self.tasks, self.learner.device, teaching.teacher_optional
        )
        self._env: MultiTaskEnv | None = None
        self._actor: Unrolls | None = None
        self._fleet = Fleet(config, self.suite, self.spaces, rank, said) if config.remote.actors else None
        self._labels = self._fleet.labels(self.teachers) if self._fleet else self.teachers

    def load(self, snapshot: Snapshot) -> None:
        """Weights and optimiser of a checkpoint."""
        load_weights(self.learner.network, snapshot, f"checkpoint {snapshot.number}")
        self.learner.load_optimiser_tensors(snapshot.optimiser)
        self.learner.learner_steps = snapshot.record["learner_steps"]

    def begin(self, frames: int, seam: int) -> None:
        """Open the environments of a stretch between two checkpoints. frames: where the run stands."""
        self._labels.forget()
        if self._fleet:
            self._actor = Stretch(self._fleet, frames, seam, self.learner)
            return
        config, seed = self._config, seed_of(self._config, seam, self._rank)
        self._env = make_env(config, self.suite, seam, self._rank)
        self._actor = make_actor(config, self.suite, self._env, self.learner, self.teachers, frames, seed)

    def update(self, hyperparameters: Hyperparameters, lambdas: Sequence[np.ndarray], with_trajectory: bool = False) -> Outcome:
        """lambdas: of each teacher, [B], of one actor's columns, which are alike in all."""
        clock, actor = Clock(), self._actor
        assert actor is not None
        trajectory = actor.unroll()
        trajectory = clock("label", self._labels.label, trajectory, lambdas)
        losses = clock("learn", self.learner.learn, trajectory, hyperparameters)
        actor.load(self.learner.network.state_dict())
        metrics = actor.metrics() | self._labels.metrics() | clock.metrics()
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

    def close(self) -> None:
        """End what is left running."""
        try:
            self.end()
        finally:
            if self._fleet:
                self._fleet.close()
