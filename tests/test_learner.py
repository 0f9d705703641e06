"""The learner: minibatches are steps on every n-th column, nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from kickstarting.actor import Actor
from kickstarting.assembly import build, make_env
from kickstarting.learner import PAPER, Hyperparameters, Learner, LearnerConfig
from kickstarting.settings import changed
from kickstarting.suites import load_suite
from kickstarting.teachers import build_teachers
from kickstarting.types import Inputs, Labels, Trajectory


@pytest.fixture
def labelled(tiny, suite, make_policy) -> tuple[Learner, Trajectory]:
    """A fresh learner, and an unroll of 2 tasks x 2 columns, one of the tasks with a teacher."""
    config = tiny()
    _, _, _, learner = build(config)
    env = make_env(config, load_suite(suite), 0)
    teachers = build_teachers(
        [f"obj*={make_policy()}"], [task.name for task in load_suite(suite).tasks], env.spaces, env.task_of_column
    )
    trajectory = Actor(env, learner.network, 8, seed=0).unroll()
    env.close()
    return learner, teachers.label(trajectory, [np.full(4, 0.7)])


def learner_with(learner: Learner, minibatches: int) -> Learner:
    config = replace(PAPER, minibatches=minibatches)
    return Learner(copy.deepcopy(learner.network), learner.distribution, config)


def weights(learner: Learner) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in learner.network.parameters()])


def test_wide_weights_take_their_share_of_the_rate(labelled) -> None:
    learner, _ = labelled
    narrow = Learner(copy.deepcopy(learner.network), learner.distribution, replace(PAPER, base_width=8))
    learned = [p for p in narrow.network.parameters() if p.requires_grad]
    wanted = {p: min(1.0, 8 / p[0].numel()) if p.ndim > 1 else 1.0 for p in learned}
    assert {p: group["share"] for group in narrow.optimiser.param_groups for p in group["params"]} == wanted
    assert min(wanted.values()) < max(wanted.values()) == 1.0
    assert [group["share"] for group in learner_with(learner, 1).optimiser.param_groups] == [1.0]


def test_columns_take_the_same_columns_of_everything(labelled) -> None:
    trajectory = labelled[1]
    part = trajectory.columns(slice(1, None, 2))
    taken: Callable[[torch.Tensor, int], torch.Tensor] = lambda x, dimension: x.index_select(dimension, torch.tensor([1, 3]))  # noqa: E731
    dimension = {"initial_state": 0, "tasks": 0, "action_mask": 0}
    for field in fields(Trajectory):
        whole, mine = getattr(trajectory, field.name), getattr(part, field.name)
        where = dimension.get(field.name, 1)
        if whole is None:
            assert mine is None
        elif isinstance(whole, Inputs):
            torch.testing.assert_close(mine.is_first, taken(whole.is_first, 1))
            for name, x in whole.observations.items():
                torch.testing.assert_close(mine.observations[name], taken(x, 1))
        elif isinstance(whole, Labels):
            for name, x in vars(whole).items():
                assert torch.equal(getattr(mine, name), taken(x, 2))
        elif isinstance(whole, tuple):
            assert all(torch.equal(m, taken(w, where)) for m, w in zip(mine, whole, strict=True))
        else:
            assert torch.equal(mine, taken(whole, where)), field.name


def test_minibatches_are_steps_on_every_nth_column(labelled) -> None:
    fresh, trajectory = labelled
    hyperparameters = Hyperparameters(learning_rate=3e-3, entropy_cost=0.01)
    together, by_hand, whole = learner_with(fresh, 2), learner_with(fresh, 1), learner_with(fresh, 1)
    metrics = together.learn(trajectory, hyperparameters)
    losses = [by_hand.step(trajectory.columns(slice(i, None, 2)), hyperparameters)["loss"] for i in range(2)]
    whole.learn(trajectory, hyperparameters)
    assert torch.equal(weights(together), weights(by_hand))
    assert not torch.allclose(weights(together), weights(whole), atol=1e-4)
    assert together.learner_steps == 2
    torch.testing.assert_close(metrics["loss"], torch.stack(losses).mean())


def test_the_second_minibatch_is_off_policy_and_says_so(labelled) -> None:
    """After a large first step the behaviour policy is another one: rho leaves 1, as V-trace wants to know."""
    fresh, trajectory = labelled
    learner = learner_with(fresh, 1)
    hyperparameters = Hyperparameters(learning_rate=0.1, entropy_cost=0.0)
    first = learner.step(trajectory.columns(slice(0, None, 2)), hyperparameters)["rho"]
    second = learner.step(trajectory.columns(slice(1, None, 2)), hyperparameters)["rho"]
    torch.testing.assert_close(first, torch.ones(()), rtol=0, atol=1e-4)
    assert abs(second - 1) > 2e-3


def test_there_are_no_more_minibatches_than_environments_of_a_task(tiny) -> None:
    config = tiny(minibatches=3)
    _, _, _, learner = build(config)
    assert learner.config.minibatches == config.learning.envs_per_task == 2


def test_epochs_are_passes_over_the_same_minibatches(labelled) -> None:
    fresh, trajectory = labelled
    hyperparameters = Hyperparameters(learning_rate=3e-3, entropy_cost=0.01)
    make = lambda **changes: Learner(copy.deepcopy(fresh.network), fresh.distribution, replace(PAPER, **changes))  # noqa: E731
    together, by_hand = make(minibatches=2, epochs=2), make()
    metrics = together.learn(trajectory, hyperparameters)
    losses = [by_hand.step(trajectory.columns(slice(i, None, 2)), hyperparameters)["loss"] for i in (0, 1, 0, 1)]
    assert torch.equal(weights(together), weights(by_hand))
    torch.testing.assert_close(metrics["loss"], torch.stack(losses).mean())


def test_rewards_in_other_units_train_the_same_network(labelled) -> None:
    """With the defaults: every reward of one task times 1000, of the other divided by it, and the weights hardly differ; the
    paper's loss would follow the first task alone. Powers of two, so that the division is exact."""
    fresh, trajectory = labelled
    hyperparameters = Hyperparameters(learning_rate=3e-3, entropy_cost=0.01)
    rewards = torch.randn(trajectory.rewards.shape, generator=torch.Generator().manual_seed(0))
    units = torch.tensor([1024.0, 1 / 1024])[trajectory.tasks]
    trained, plain = [], []
    for x in (rewards, rewards * units):
        for config, kept in ((LearnerConfig(), trained), (PAPER, plain)):
            learner = Learner(copy.deepcopy(fresh.network), fresh.distribution, replace(config, minibatches=2), tasks=2)
            for _ in range(3):
                learner.learn(replace(trajectory, rewards=x), hyperparameters)
            kept.append(weights(learner))
    torch.testing.assert_close(*trained, rtol=0, atol=1e-4)
    assert (plain[0] - plain[1]).abs().max() > 1e-2


def test_scales_are_part_of_the_optimisers_state(labelled) -> None:
    fresh, trajectory = labelled
    hyperparameters = Hyperparameters(learning_rate=3e-3, entropy_cost=0.01)
    make = lambda: Learner(copy.deepcopy(fresh.network), fresh.distribution, replace(LearnerConfig(), minibatches=2), tasks=2)  # noqa: E731
    one, other = make(), make()
    one.learn(trajectory, hyperparameters)
    other.network.load_state_dict(one.network.state_dict())
    other.load_optimiser_tensors({name: x.clone() for name, x in one.optimiser_tensors().items()})
    one.learn(trajectory, hyperparameters)
    other.learn(trajectory, hyperparameters)
    assert torch.equal(weights(one), weights(other))


def with_desired_kl(learner: Learner, desired_kl: float) -> Learner:
    config = replace(LearnerConfig(), minibatches=2, desired_kl=desired_kl)
    return Learner(copy.deepcopy(learner.network), learner.distribution, config, tasks=2)


def test_the_rate_falls_by_what_the_policy_moved_too_far(labelled) -> None:
    """The definition: times the root of desired / seen, at most 1.5 times less or more at once, never above the schedule."""
    fresh, trajectory = labelled[0], replace(labelled[1], labels=None)
    learner, hyperparameters = with_desired_kl(fresh, 1e-3), Hyperparameters(learning_rate=3e-3, entropy_cost=0.01)
    factor = 1.0
    for _ in range(12):
        steps: list[torch.Tensor] = []
        by_hand = copy.deepcopy(learner)
        for part in [trajectory.columns(slice(i, None, 2)) for i in range(2)] * 2:
            steps.append(by_hand.step(part, hyperparameters)["approx_kl"])
            assert by_hand.optimiser.param_groups[0]["lr"] == pytest.approx(3e-3 * factor)
        metrics = learner.learn(trajectory, hyperparameters)
        assert torch.equal(weights(learner), weights(by_hand))
        assert metrics["learning_rate_factor"].item() == pytest.approx(factor)
        kl = torch.stack(steps[2:]).mean().item()
        factor = min(1.0, factor * min(1.5, max(1 / 1.5, (1e-3 / kl) ** 0.5)))
    assert factor < 0.9  # it had something to do


def test_a_rate_that_fell_comes_back_to_its_schedule(labelled) -> None:
    fresh, trajectory = labelled[0], replace(labelled[1], labels=None)
    learner = with_desired_kl(fresh, 0.01)
    learner.load_optimiser_tensors({"rate_factor": torch.tensor(0.1)})
    factors = [learner.learn(trajectory, Hyperparameters(learning_rate=1e-9))["learning_rate_factor"].item() for _ in range(8)]
    assert factors == pytest.approx([min(1.0, 0.1 * 1.5**i) for i in range(8)])


def test_a_policy_that_moves_less_learns_as_without_a_desired_kl(labelled) -> None:
    fresh, trajectory = labelled[0], replace(labelled[1], labels=None)
    with_, without = with_desired_kl(fresh, 1e6), with_desired_kl(fresh, 0.0)
    for learner in (with_, without):
        learner.learn(trajectory, Hyperparameters(learning_rate=3e-3))
        metrics = learner.learn(trajectory, Hyperparameters(learning_rate=3e-3))
        assert ("learning_rate_factor" in metrics) == ("rate_factor" in learner.optimiser_tensors()) == (learner is with_)
    assert torch.equal(weights(with_), weights(without))


def test_the_rates_factor_is_part_of_the_optimisers_state(labelled) -> None:
    fresh, trajectory = labelled[0], replace(labelled[1], labels=None)
    one, other = with_desired_kl(fresh, 1e-4), with_desired_kl(fresh, 1e-4)
    for _ in range(2):
        one.learn(trajectory, Hyperparameters())
    other.network.load_state_dict(one.network.state_dict())
    other.load_optimiser_tensors({name: x.clone() for name, x in one.optimiser_tensors().items()})
    metrics = [learner.learn(trajectory, Hyperparameters())["learning_rate_factor"] for learner in (one, other)]
    assert metrics[0] == metrics[1] < 1
    assert torch.equal(weights(one), weights(other))


def test_a_way_towards_a_teacher_is_granted_and_no_other(labelled) -> None:
    """The same steps, judged by hand: the divergence less what the cross-entropy fell from the first pass to the last."""
    fresh, trajectory = labelled
    learner, granted = with_desired_kl(fresh, 1e-5), 0
    for _ in range(8):
        before = learner.optimiser_tensors()["rate_factor"].item()
        by_hand = copy.deepcopy(learner)
        parts = [trajectory.columns(slice(i, None, 2)) for i in range(2)] * 2
        steps = [by_hand.step(part, Hyperparameters(learning_rate=3e-3)) for part in parts]
        kl, crossed = (
            torch.stack([step[name] for step in steps]).view(2, 2).mean(1) for name in ("approx_kl", "distillation_loss")
        )
        learner.learn(trajectory, Hyperparameters(learning_rate=3e-3))
        closer = max(0.0, (crossed[0] - crossed[1]).item())
        allowed = 1e-5 / max(kl[1].item() - closer, 1e-9)
        granted += closer > kl[1].item()
        expected = min(1.0, before * min(1.5, max(1 / 1.5, allowed**0.5)))
        assert learner.optimiser_tensors()["rate_factor"].item() == pytest.approx(expected)
    assert 0 < granted < 8  # a new student comes closer at first


def test_labels_without_weight_grant_nothing(labelled) -> None:
    fresh, trajectory = labelled
    silent = replace(trajectory, labels=replace(trajectory.labels, weights=torch.zeros_like(trajectory.labels.weights)))
    learner = with_desired_kl(fresh, 1e-5)
    factors = [learner.learn(silent, Hyperparameters(learning_rate=3e-3))["learning_rate_factor"].item() for _ in range(3)]
    assert factors[-1] < 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"desired_kl": -0.1}, "desired_kl is -0.1; it must be at least 0"),
        ({"minibatches": 0}, "minibatches is 0; it must be at least 1"),
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"policy_clip": -0.1}, r"policy_clip is -0.1; it must lie in \[0, 1\)"),
        ({"policy_clip": float("nan")}, "policy_clip is nan"),
        ({"vtrace_lambda": 1.5}, r"vtrace_lambda is 1.5; it must lie in \[0, 1\]"),
        ({"max_grad_norm": 0.0}, "max_grad_norm is 0.0; it must be above 0"),
    ],
)
def test_numbers_that_cannot_work_are_refused(tiny, changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        changed(tiny(), changes).check()
