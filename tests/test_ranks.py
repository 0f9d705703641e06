"""Learners that step as one: what they add up, and that it is the step of one learner on everything."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor

from kickstarting.actor import Actor
from kickstarting.assembly import build, make_env
from kickstarting.cluster.gloo import Gloo, free_port
from kickstarting.learner import Hyperparameters, Learner, LearnerConfig
from kickstarting.ranks import Ranks, ReplicaError, SharedMemory, weighted_mean
from kickstarting.suites import load_suite
from kickstarting.teachers import build_teachers
from kickstarting.types import Trajectory

X = TypeVar("X")


@pytest.fixture(params=["shared memory", "gloo"])
def together(request, tmp_path: Path) -> Callable[..., list]:
    """Call a function of (rank, ranks) as so many ranks at once; threads stand for the processes."""

    def call(size: int, function: Callable[[int, Ranks], X], room: int = 100_000) -> list[X]:
        file, barrier = tmp_path / "memory", Barrier(size, timeout=20)
        file.write_bytes(bytes(SharedMemory.bytes_for(size, room)))
        meeting = "127.0.0.1", free_port("127.0.0.1")

        def wait() -> None:
            barrier.wait()

        def one(rank: int) -> X:
            try:
                if request.param == "gloo":
                    return function(rank, Gloo(rank, size, meeting, "127.0.0.1", seconds=20.0))
                return function(rank, SharedMemory(rank, size, str(file), room, wait))
            except BaseException:
                barrier.abort()
                raise

        with ThreadPoolExecutor(size) as pool:
            return list(pool.map(one, range(size)))

    return call


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("shape", [(), (1,), (5, 7)])
def test_sums_are_the_same_everywhere(together, size: int, shape: tuple[int, ...]) -> None:
    terms = torch.randn(size, *shape, generator=torch.Generator().manual_seed(0))

    def ask(rank: int, ranks: Ranks) -> list[Tensor]:
        return [ranks.sum(terms[rank]), ranks.maximum(terms[rank]), ranks.sum(2 * terms[rank])]

    results = together(size, ask)
    for result in results:
        torch.testing.assert_close(result, [terms.sum(0), terms.amax(0), 2 * terms.sum(0)])
        assert all(torch.equal(x, y) for x, y in zip(result, results[0], strict=True))
        assert result[0].shape == shape


def test_a_mean_is_weighted(together) -> None:
    x, weights = torch.tensor([[1.0, 2.0], [5.0, 0.0]]), torch.tensor([3.0, 1.0])
    for means in together(2, lambda rank, ranks: weighted_mean(ranks, [x[rank], x[rank, 0]], weights[rank])):
        torch.testing.assert_close(means, [torch.tensor([2.0, 1.5]), torch.tensor(2.0)])


@pytest.fixture
def unroll(tiny, suite, make_policy) -> tuple[Learner, Trajectory]:
    """A learner with the defaults in all but minibatches, and a labelled unroll of 2 tasks x 4 columns, some of it not valid."""
    config = tiny(envs_per_task=4, learner=LearnerConfig(minibatches=1))
    _, _, _, learner = build(config)
    env = make_env(config, load_suite(suite), 0)
    names = [task.name for task in load_suite(suite).tasks]
    teachers = build_teachers([f"obj*={make_policy()}"], names, env.spaces, env.task_of_column)
    actor = Actor(env, learner.network, 16, seed=0)
    actor.unroll()
    trajectory = teachers.label(actor.unroll(), [np.full(8, 0.7)])
    env.close()
    return learner, trajectory


def test_ranks_step_as_one_learner_on_all_columns(together, unroll) -> None:
    learner, trajectory = unroll
    parts = [trajectory.columns(slice(0, None, 2)), trajectory.columns(slice(1, None, 2))]
    parts[1].valid[:9] = False  # the ranks have unequal numbers of valid transitions
    hyperparameters = Hyperparameters(learning_rate=1e-3)

    def fresh() -> Learner:
        return Learner(copy.deepcopy(learner.network), learner.distribution, learner.config, tasks=2)

    def step(rank: int, ranks: Ranks) -> tuple[Learner, dict[str, Tensor]]:
        own = fresh()
        own.join(ranks)
        return own, own.learn(parts[rank], hyperparameters)

    alone = fresh()
    expected = alone.learn(trajectory, hyperparameters)
    (first, metrics), (second, others) = together(2, step)
    for name, x in alone.network.state_dict().items():
        torch.testing.assert_close(first.network.state_dict()[name], x, rtol=0, atol=1e-6)
        assert torch.equal(first.network.state_dict()[name], second.network.state_dict()[name])
    for name, x in alone.scales.tensors().items():
        torch.testing.assert_close(first.scales.tensors()[name], x)
    assert list(metrics) == list(expected)
    for name, x in expected.items():
        torch.testing.assert_close(metrics[name], x, rtol=1e-4, atol=1e-6)
        assert torch.equal(metrics[name], others[name])


def test_unrolls_side_by_side_are_one_again(unroll) -> None:
    trajectory = unroll[1]
    again = Trajectory.side_by_side([trajectory.columns(slice(0, 3)), trajectory.columns(slice(3, None))])
    seen = []
    again.map(lambda x: seen.append(x) or x)
    trajectory.map(lambda x: torch.testing.assert_close(x, seen.pop(0)) or x)
    assert not seen


def test_a_rank_that_is_gone_is_missed_in_time() -> None:
    meeting = "127.0.0.1", free_port("127.0.0.1")

    def one(rank: int) -> float:
        ranks, began = Gloo(rank, 2, meeting, "127.0.0.1", seconds=2.0), time.monotonic()
        if rank == 0:
            with pytest.raises(ReplicaError, match="a learner is gone, or did not answer in time"):
                ranks.sum(torch.ones(3))
        else:
            time.sleep(2.5)
        return time.monotonic() - began

    with ThreadPoolExecutor(2) as pool:
        assert 1.0 < next(pool.map(one, range(2))) < 10.0
