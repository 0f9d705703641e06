"""What a configuration makes: suite, spaces and student, and the environments and the actor between two checkpoints."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from kickstarting.actor import Actor, Unrolls
from kickstarting.config import Config
from kickstarting.envs import MultiTaskEnv, TaskSpaces, describe
from kickstarting.learner import Learner
from kickstarting.machine import cores, resolve_device, use_fitting_products, use_machine
from kickstarting.networks.agent import Agent
from kickstarting.networks.heads import initialise_to_be_taught
from kickstarting.networks.spec import NetworkSpec
from kickstarting.overlapped import OverlappedActor
from kickstarting.spaces import without
from kickstarting.suites import Suite, load_suite
from kickstarting.teachers import ActingTeachers, Teachers
from kickstarting.trust import trust


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
    learning = how.usual(spaces.distribution)
    minibatches = min(learning.minibatches or 1, config.envs_learned)
    network = spec.build(spaces.distribution)
    if isinstance(network, Agent) and network.core and config.teaching.heard(config.total_frames):
        initialise_to_be_taught(network.policy)
    learner = Learner(network, spaces.distribution, replace(learning, minibatches=minibatches), device, len(suite.tasks))
    columns = len(suite.tasks) * config.envs_learned // minibatches
    use_fitting_products(network, columns * (config.learning.unroll_length + 1))
    return suite, spaces, spec, learner


def make_env(config: Config, suite: Suite, seam: int, rank: int = 0, restart: int = 0) -> MultiTaskEnv:
    """The environments of one share between two checkpoints. rank: which of the config's shares; restart: how often it was begun
    anew there."""
    groups, own = config.machine.env_groups, cores() // config.machine.num_learners
    return MultiTaskEnv(
        suite.tasks,
        config.envs_each,
        seed=seed_of(config, seam, rank, restart),
        num_threads=config.machine.environment_threads or max(1, own // (len(suite.tasks) * groups)),
        groups=groups,
        timeout=config.machine.environment_timeout,
    )


def make_actor(
    config: Config, suite: Suite, env: MultiTaskEnv, learner: Learner, teachers: Teachers | None, frames: int, seed: int
) -> Unrolls:
    """Who acts between two checkpoints: the student, and teachers if `teacher_acts` is not 0 throughout."""
    acting, probability = None, config.parsed("teacher_acts")
    if probability.highest > 0:
        assert teachers is not None
        per_step = float(np.mean([task.action_repeat for task in suite.tasks])) * config.shares
        acting = ActingTeachers(teachers, env, probability, frames=frames, frames_per_step=per_step, seed=seed)
    kind = OverlappedActor if config.machine.overlap else Actor
    who: dict[str, Any] = {"teachers": acting, "distribution": learner.distribution}
    return kind(env, learner.network, config.learning.unroll_length, seed=seed, device=learner.device, **who)


def seed_of(config: Config, seam: int, rank: int, restart: int = 0) -> int:
    """Of all that is random in one share between two checkpoints."""
    return int(np.random.SeedSequence((config.seed, seam, rank, *(restart,) * bool(restart))).generate_state(1)[0])
