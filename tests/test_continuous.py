"""A whole run on continuous actions: normalised, squashed, saved, resumed, exported, and as a teacher."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from kickstarting import Config, train
from kickstarting.algo.squashed import SquashedGaussian
from kickstarting.evaluate import evaluate_ref
from kickstarting.export import export
from kickstarting.learner import Hyperparameters, Learner, LearnerConfig
from kickstarting.networks.normaliser import Normaliser
from kickstarting.replica import build, make_actor, make_env
from kickstarting.runs.checkpoint import Snapshot, save_checkpoint
from kickstarting.spaces import Squashed
from kickstarting.teachers import build_teachers, load_teacher
from known import network_of


def config(**changes: Any) -> Config:
    """Four updates of 64 frames on a pendulum."""
    settings: dict[str, Any] = {
        "network": "mlp",
        "network_options": ("hidden=(8,)",),
        "total_frames": 256,
        "envs_per_task": 4,
        "unroll_length": 16,
        "minibatches": 2,
        "torch_threads": 1,
        "precision": "float32",
        "squash_actions": True,
        "accept_weak_teachers": True,
        "checkpoint_every": "50%",
    }
    return Config.of("Pendulum-v1", **{**settings, **changes})


def snapshots(of: Config, snapshot: Snapshot | None = None) -> list[Snapshot]:
    return [copy.deepcopy(update.snapshot) for update in train(of, snapshot) if update.snapshot]


@pytest.fixture(scope="module")
def run() -> list[Snapshot]:
    return snapshots(config())


@pytest.fixture(scope="module")
def directory(run: list[Snapshot], tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("run")
    save_checkpoint(out / "checkpoints", run[-1])
    return out


def test_statistics_are_saved_and_go_on(run: list[Snapshot]) -> None:
    """To the bit: the resumed run equals the uninterrupted one."""
    middle, end = run
    counts = [float(snapshot.network["normalisers.0.count"]) for snapshot in run]
    assert 128 * 0.9 <= counts[0] <= 128 < counts[1] <= 256
    (resumed,) = snapshots(config(), middle)
    assert resumed.record == end.record
    assert all(torch.equal(resumed.network[name], x) for name, x in end.network.items())


@pytest.mark.parametrize("changes", [{"overlap": True}, pytest.param({"learners": 2}, marks=pytest.mark.slow)])
def test_every_way_of_running_gathers_statistics(changes: dict[str, Any]) -> None:
    middle, end = snapshots(config(**changes))
    (resumed,) = snapshots(config(**changes), middle)
    assert all(torch.equal(resumed.network[name], x) for name, x in end.network.items())
    assert end.network["normalisers.0.count"] > 200


def test_the_policy_that_learns_is_the_one_that_acted() -> None:
    """At the first gradient step on an unroll pi/mu is 1, though the statistics change at every unroll."""
    own = config(epochs=1, minibatches=1)
    suite, spaces, _, learner = build(own)
    teachers = build_teachers([], ["x"], spaces, spaces.task_of_column(4))
    env = make_env(own, suite, 0)
    actor = make_actor(own, suite, env, learner, teachers, 0, seed=0)
    ratios = [float(learner.learn(actor.unroll(), Hyperparameters())["rho"]) for _ in range(4)]
    env.close()
    assert ratios == pytest.approx([1.0] * 4, abs=1e-2)  # in the very first unroll they begin
    assert ratios[1:] == pytest.approx([1.0] * 3, abs=1e-4)


def test_a_teachers_statistics_are_its_own(directory: Path) -> None:
    teacher = load_teacher(str(directory))
    before = {name: x.clone() for name, x in network_of(teacher).named_buffers()}
    assert before["normalisers.0.count"] > 0
    suite, spaces, _, learner = build(config())
    own = config()
    teachers = build_teachers([str(directory)], ["Pendulum-v1"], spaces, spaces.task_of_column(4))
    env = make_env(own, suite, 0)
    actor = make_actor(own, suite, env, learner, teachers, 0, seed=0)
    learner.learn(teachers.label(actor.unroll(), [torch.ones(4).numpy()]), Hyperparameters())
    env.close()
    taught = network_of(teachers.assignments[0].teacher)
    assert all(torch.equal(x, before[name]) for name, x in taught.named_buffers())
    assert not torch.equal(dict(learner.network.named_buffers())["normalisers.0.mean"], before["normalisers.0.mean"])


@pytest.mark.parametrize("squashed", [True, False])
def test_it_teaches_students_of_both_kinds(directory: Path, squashed: bool) -> None:
    own = config(squash_actions=squashed, teachers=(str(directory),), schedule="constant:1", total_frames=64)
    *_, last = train(own)
    assert last.metrics["distillation_loss"] is not None
    assert last.metrics["distillation_loss"] < 5


def test_it_is_evaluated_as_it_acted(directory: Path) -> None:
    teacher = load_teacher(str(directory))
    assert isinstance(teacher.action_space, Squashed)
    (result,) = evaluate_ref(str(directory), "Pendulum-v1", episodes=2, seed=0)
    assert result.length == 200


def test_what_is_exported_has_the_statistics(directory: Path, tmp_path: Path) -> None:
    export(str(directory), tmp_path / "out", suite_name="Pendulum-v1", episodes=1)
    teacher, again = network_of(load_teacher(str(directory))), network_of(load_teacher(str(tmp_path / "out")))
    assert all(torch.equal(x, again.state_dict()[name]) for name, x in teacher.state_dict().items())
    assert isinstance(again.distribution, SquashedGaussian)
    assert [module for module in again.modules() if isinstance(module, Normaliser)]


def test_a_learner_on_its_own_finds_the_normalisers_of_any_network() -> None:
    class Plain(torch.nn.Module):
        """A network of somebody's own."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.ModuleDict({"deep": Normaliser("state", (3,))})
            self.linear = torch.nn.Linear(3, 2)

    assert len(Learner(Plain(), SquashedGaussian(1), LearnerConfig())._normalisers) == 1


def test_discrete_actions_cannot_be_squashed() -> None:
    with pytest.raises(ValueError, match="squash_actions is for continuous actions"):
        next(train(config().changed(suite="CartPole-v1")))


def test_the_proximal_ratio_needs_its_clip() -> None:
    with pytest.raises(ValueError, match="proximal_distillation is weighed by policy_clip, which is 0"):
        config(proximal_distillation=True, policy_clip=0.0).check()
