"""Evaluation: a fixed number of whole episodes of every task with frozen weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from kickstarting.algo.losses import mask_logits
from kickstarting.envs import MultiTaskEnv
from kickstarting.networks import Network
from kickstarting.suites import Suite, load_suite
from kickstarting.teachers import check_spaces, load_policy
from kickstarting.types import Inputs, Output


@dataclass(frozen=True)
class TaskResult:
    """Mean over the episodes of one task."""

    task: str
    episodes: int
    mean_return: float
    success: float
    score: float
    length: float


@torch.no_grad()
def evaluate(
    network: Network,
    suite: Suite,
    *,
    episodes: int,
    seed: int,
    greedy: bool = False,
    envs_per_task: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> list[TaskResult]:
    """Run `episodes` episodes of each task (rounded up to a multiple of the environments) and average.

    Every environment contributes the same number of episodes, its first ones, so that short episodes do not count more.
    progress: called with episodes done and wanted.
    """
    envs_per_task = min(envs_per_task, episodes)
    each = -(-episodes // envs_per_task)
    env = MultiTaskEnv(suite.tasks, envs_per_task, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    B = env.num_envs
    counts, total, length = np.zeros(B, int), np.zeros(B), np.zeros(B)
    sums = np.zeros((3, B))  # return, success, length over finished episodes
    step = env.reset()
    state = network.initial_state(B)
    none = torch.full((B, *env.distribution.action_shape), env.distribution.no_action, dtype=env.distribution.action_dtype)
    actions = none
    try:
        while counts.min() < each:
            is_first = torch.from_numpy(step.is_first)
            inputs = Inputs(
                {name: torch.from_numpy(x) for name, x in step.observations.items()},
                torch.where(is_first.view(-1, *[1] * (none.ndim - 1)), none, actions),
                torch.where(is_first, 0.0, torch.from_numpy(step.rewards)),
                is_first,
            )
            output, state = network(inputs[None], state)
            logits = mask_logits(output.logits[0], env.action_mask)
            actions = env.distribution.mode(logits) if greedy else env.distribution.sample(logits, generator)
            step = env.step(actions.numpy())
            total += step.rewards
            length += step.valid
            done = (step.terminated | step.truncated) & (counts < each)
            sums[:, done] += np.stack([total, step.rewards > 0, length])[:, done]
            counts += done
            ended = step.terminated | step.truncated
            total[ended] = length[ended] = 0
            if progress and done.any():
                progress(int(counts.sum()), each * B)
    finally:
        env.close()
    results = []
    for i, task in enumerate(suite.tasks):
        mean_return, success, mean_length = sums[:, env.task_of_column == i].sum(1) / (each * envs_per_task)
        score = task.score(success if task.metric == "success" else mean_return)
        results.append(TaskResult(task.name, each * envs_per_task, float(mean_return), float(success), float(score), float(mean_length)))
    return results


def evaluate_ref(ref: str, suite_name: str, **options) -> list[TaskResult]:
    """Evaluate a run directory, zoo:NAME, or `random` on a suite by name; options as for `evaluate`.

    Raises ValueError if the policy reads or acts in other spaces than the suite has.
    """
    suite = load_suite(suite_name)
    env = MultiTaskEnv(suite.tasks, 1, seed=0)
    env.close()
    if ref == "random":
        return evaluate(_Uniform(env.distribution.size), suite, **options)
    policy = load_policy(ref)
    check_spaces(policy, env)
    return evaluate(policy.network, suite, **options)


class _Uniform:
    """The uniformly random policy, as a network."""

    def __init__(self, size: int) -> None:
        self.size = size

    def initial_state(self, batch: int) -> tuple[()]:
        return ()

    def __call__(self, inputs: Inputs, state: tuple) -> tuple[Output, tuple]:
        shape = inputs.is_first.shape
        return Output(torch.zeros(*shape, self.size), torch.zeros(shape)), state
