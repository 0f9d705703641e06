"""Evaluation: a fixed number of whole episodes of every task with frozen weights."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from kickstarting.actor import Actor, Episode
from kickstarting.algo.distributions import Distribution
from kickstarting.envs import TIMEOUT, MultiTaskEnv, describe
from kickstarting.networks import Network
from kickstarting.suites import Suite, load_suite
from kickstarting.teachers import AsNetwork, adapt, load_teacher
from kickstarting.teachers.adapters import parse_adapters
from kickstarting.types import Inputs, Output, Trajectory

UNROLL_LENGTH = 16
EPISODE_LIMIT = 30_000
"""Agent steps after which an episode is taken for one that never ends; Atari's have 27,000 at most."""


@dataclass(frozen=True)
class TaskResult:
    """Mean over the episodes of one task."""

    task: str
    episodes: int
    mean_return: float
    success: float
    score: float
    score_error: float
    """Its standard error."""
    length: float
    cut: int = 0
    """How many of the episodes had not ended at the limit, and count with what they had."""
    return_deviation: float = 0.0
    """Standard deviation of the episodes' returns."""


def evaluate(
    network: Network,
    suite: Suite,
    *,
    episodes: int,
    seed: int,
    greedy: bool = False,
    envs_per_task: int = 16,
    num_actions: int = 0,
    distribution: Distribution | None = None,
    episode_limit: int = EPISODE_LIMIT,
    timeout: float = TIMEOUT,
    progress: Callable[[int, int], None] | None = None,
    seen: Callable[[Trajectory], None] | None = None,
    settling: int = 0,
) -> list[TaskResult]:
    """Run `episodes` episodes of each task (rounded up to a multiple of the environments) and average.

    Every environment contributes the same number of episodes, its first ones, so that short episodes do not count more.
    num_actions: of the network, where the suite is a part of a larger one. distribution: as for `Actor`. progress: called with
    episodes done and wanted. seen: called with every unroll. settling: episodes of each environment that come before and do not
    count.

    episode_limit: agent steps at which an episode is cut; it counts with what it has, and is the last of its environment, which
    cannot be told to start anew. timeout: seconds for an answer of an environment. Raises EnvironmentFault.
    """
    envs_per_task = min(envs_per_task, episodes)
    each = settling - (-episodes // envs_per_task)
    env = MultiTaskEnv(suite.tasks, envs_per_task, seed=seed, num_actions=num_actions, timeout=timeout)
    kept: list[list[Episode]] = [[] for _ in range(env.num_envs)]
    cut: set[int] = set()
    with closing(env):
        kind = _RandomActor if isinstance(network, _Uniform) else _EvaluatingActor
        options: dict[str, Any] = {"device": _device_of(network), "distribution": distribution}
        actor = kind(env, network, UNROLL_LENGTH, seed=seed, greedy=greedy, **options)
        while waiting := [column for column, ended in enumerate(kept) if len(ended) < each and column not in cut]:
            unroll = actor.unroll()
            if seen:
                seen(unroll)
            for episode in actor.drain_episodes():
                kept[episode.column] = [*kept[episode.column], episode][:each]
            for column in waiting:
                if len(kept[column]) < each and (episode := actor.unended(column)).length >= episode_limit:
                    kept[column].append(episode)
                    cut.add(column)
            if progress:
                progress(sum(map(len, kept)), each * env.num_envs)
    results = []
    for i, task in enumerate(suite.tasks):
        columns = np.flatnonzero(env.task_of_column == i).tolist()
        ended = [episode for column in columns for episode in kept[column][min(settling, len(kept[column]) - 1) :]]
        mean_return, success, length = np.mean([(e.episode_return, e.success, e.length) for e in ended], axis=0)
        metrics = [task.metric_of(e.episode_return, e.success) for e in ended]
        score, error = task.score(float(np.mean(metrics))), task.score_error(metrics)
        means = float(mean_return), float(success), score, error, float(length)
        spread = {"cut": len(cut.intersection(columns)), "return_deviation": float(np.std([e.episode_return for e in ended]))}
        results.append(TaskResult(task.name, len(ended), *means, **spread))
    return results


def evaluate_random(suite: Suite, size: int, **options) -> list[TaskResult]:
    """What the uniformly random policy brings. size: of the policy's distribution; options as for `evaluate`."""
    return evaluate(_Uniform(size), suite, **options)


def evaluate_ref(ref: str, suite_name: str, adapters: str = "", **options) -> list[TaskResult]:
    """Evaluate a teacher's reference, or `random`, on a suite by name, behind adapters; options as for `evaluate`.

    Raises ValueError if the policy reads or acts in other spaces than the suite has.
    """
    suite = load_suite(suite_name)
    known = describe(suite.tasks, timeout=options.get("timeout", TIMEOUT))
    if ref == "random":
        return evaluate_random(suite, known.distribution.size, **options)
    teacher = load_teacher(ref)
    known = known.as_of(teacher.action_space)
    teacher = adapt(teacher, parse_adapters(adapters), known.observation_space, known.action_space)
    network = AsNetwork(teacher, known.distribution, known.action_space)
    return evaluate(network, suite, distribution=known.distribution, **options)


def _device_of(network: Any) -> str:
    if isinstance(network, torch.nn.Module):
        return next(network.parameters()).device.type
    return getattr(network, "device", "cpu")


class _EvaluatingActor(Actor):
    def unended(self, column: int) -> Episode:
        """The episode under way, with what it has: no success."""
        task, so_far, length = int(self.env.task_of_column[column]), float(self._returns[column]), int(self._lengths[column])
        return Episode(task, column, so_far, length, success=False)


class _RandomActor(_EvaluatingActor):
    """Acts uniformly, whatever the network says. Where a dimension has no bounds, by a standard normal, or with one, at an
    exponential distance from it, as Gymnasium samples such spaces."""

    def _choose(self, logits: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
        space = self.env.action_space
        if not isinstance(space, spaces.Box):
            even = self.env.distribution.noise((len(logits),), self._generator)  # even if the others take what is likeliest
            return self.env.distribution.sample(logits, even)
        low, high = torch.from_numpy(space.low), torch.from_numpy(space.high)
        empty = torch.empty(len(logits), *space.shape)
        uniform, normal, distance = empty.clone().uniform_(generator=self._generator), empty.clone(), empty.clone()
        normal.normal_(generator=self._generator)
        distance.exponential_(generator=self._generator)
        one_bound = torch.where(low.isfinite(), low + distance, torch.where(high.isfinite(), high - distance, normal))
        return torch.where(low.isfinite() & high.isfinite(), low + (high - low) * uniform, one_bound)


class _Uniform:
    """The uniformly random policy, as a network; whoever acts with it is a `_RandomActor`."""

    def __init__(self, size: int) -> None:
        self.size = size

    def initial_state(self, batch: int) -> tuple[()]:
        return ()

    def __call__(self, inputs: Inputs, state: tuple) -> tuple[Output, tuple]:
        shape = inputs.is_first.shape
        return Output(torch.zeros(*shape, self.size), torch.zeros(shape)), state
