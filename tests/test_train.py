"""Training as a whole: reproducible, resumable bit for bit, and what teachers change and do not change."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from kickstarting import Config, Update, evaluate, load_teacher, train
from kickstarting.evaluate import TaskResult
from kickstarting.learner import LearnerConfig
from kickstarting.networks import Network
from kickstarting.runs.checkpoint import Snapshot, latest_checkpoint, load_checkpoint
from kickstarting.runs.configuration import read_config
from kickstarting.runs.metrics import read_metrics
from kickstarting.runs.run import resume, run
from kickstarting.settings import flat
from kickstarting.suites import Suite
from kickstarting.teachers import AsNetwork
from known import known, network_of
from resuming import kill_when, without_times

Weights = dict[str, torch.Tensor]


def copied(snapshot: Snapshot) -> Snapshot:
    """A snapshot's tensors are the learner's own."""
    network, optimiser = ({k: x.clone() for k, x in tensors.items()} for tensors in (snapshot.network, snapshot.optimiser))
    return replace(snapshot, network=network, optimiser=optimiser)


def consume(updates: Iterable[Update]) -> tuple[list[Update], Weights]:
    """All updates, and the last weights."""
    seen = [replace(u, snapshot=copied(u.snapshot)) if u.snapshot else u for u in updates]
    assert seen[-1].snapshot is not None
    return seen, seen[-1].snapshot.network


def same(a: Weights, b: Weights) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def alone(tiny) -> tuple[list[Update], Weights]:
    """A run without a teacher."""
    return consume(train(tiny()))


def test_same_seed_same_weights(tiny, alone):
    updates, weights = consume(train(tiny()))
    assert [u.frames for u in updates] == list(range(32, 257, 32))
    assert same(weights, alone[1])
    assert not same(weights, consume(train(tiny(seed=1)))[1])


def without_weight(tiny, teacher: str, changes: dict[str, Any]) -> Weights:
    """Of a run whose teacher is no better than random on any task."""
    scores = {teacher: {"tasks": {"object": 0.5, "obstacles": -3.0}}}
    updates, weights = consume(train(tiny(teachers=(teacher,), **changes), teacher_scores=scores))
    assert all(u.metrics[f"lambda/{teacher}"] == 0 for u in updates)
    return weights


@pytest.mark.parametrize("changes", [{"schedule": "constant:0"}, {"teacher_shares": (0.0,)}])
def test_a_teacher_without_weight_changes_nothing(tiny, alone, make_policy, changes):
    """Bit for bit: lambda = 0 is V-trace alone."""
    assert same(without_weight(tiny, make_policy(), changes), alone[1])


@pytest.mark.parametrize("changes", [{"schedule": "progress:1"}, {"schedule": "evidence:1"}])
def test_a_teacher_that_turns_out_no_good_changes_how_the_student_begins_and_no_more(
    tiny, alone, make_policy, changes, monkeypatch: pytest.MonkeyPatch
):
    assert not same(without_weight(tiny, make_policy(), changes), alone[1])
    monkeypatch.setattr("kickstarting.assembly.initialise_to_be_taught", lambda policy: None)
    assert same(without_weight(tiny, make_policy(), changes), alone[1])


def test_a_teacher_with_weight_changes_the_weights(tiny, alone, make_policy):
    assert not same(consume(train(tiny(teachers=(make_policy(),), schedule="constant:1e-3")))[1], alone[1])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"overlap": True},
        {"env_groups": 2, "precision": "bfloat16"},
        {"teacher_acts": "linear:1:0:80%"},
        {"teacher_acts": "0.5", "overlap": True, "env_groups": 2},
        {"learner": LearnerConfig()},
    ],
)
def test_resumed_equals_uninterrupted(tiny, make_policy, changes):
    config = tiny(teachers=(make_policy(),), schedule="linear:1:0:60%", checkpoint_every="96", seed=3, **changes)
    updates, weights = consume(train(config))
    seams = [i for i, u in enumerate(updates) if u.snapshot]
    assert [updates[i].frames for i in seams] == [96, 192, 256]
    for i in seams[:-1]:
        rest, resumed = consume(train(config, updates[i].snapshot))
        assert same(resumed, weights)
        assert [u.frames for u in rest] == [u.frames for u in updates[i + 1 :]]
        for found, expected in zip(rest, updates[i + 1 :], strict=True):
            assert without_times(found.metrics) == without_times(expected.metrics)


def test_overlapped_acting_is_one_update_behind_and_corrected(tiny, alone):
    """The policy that acts is the learner's at each seam and one update old from then on: rho is 1 at lag 0 alone."""
    config = tiny(overlap=True, checkpoint_every="96")
    updates, weights = consume(train(config))
    assert [u.metrics["lag"] for u in updates] == [0, 1, 1, 0, 1, 1, 0, 1]
    for update in updates:
        assert (abs(known(update.metrics["rho"]) - 1.0) < 1e-5) == (update.metrics["lag"] == 0)
    assert same(weights, consume(train(config))[1])
    assert not same(weights, alone[1])


def test_the_weights_stay_float32_under_bfloat16(tiny, alone):
    _, weights = consume(train(tiny(precision="bfloat16")))
    assert {x.dtype for x in weights.values()} == {torch.float32}
    assert not same(weights, alone[1])


def test_a_killed_run_resumes_and_ends_with_the_same_bytes(tiny, make_policy, tmp_path):
    """SIGKILL after the first checkpoint, in a process of its own."""
    teacher = make_policy()
    config = tiny(teachers=(teacher,), schedule="linear:1:0:50%", checkpoint_every="160", total_frames=960, learner=LearnerConfig())
    run(config, tmp_path / "whole")
    killed = tmp_path / "killed"
    kill_when(config_arguments(config, killed), lambda: (killed / "checkpoints" / "00000001").exists())
    assert not (killed / "finished.json").exists()
    with (killed / "metrics.jsonl").open("a") as file:
        file.write('{"frames": 1, "torn')  # what a kill may leave
    assert read_config(killed / "config.json") == replace(config.on_this_machine(), name="kickstarted")

    resume(killed)
    whole, resumed = (latest_checkpoint(tmp_path / name) for name in ("whole", "killed"))
    assert whole.name == resumed.name
    for name in ("network.safetensors", "optimiser.safetensors"):
        assert (whole / name).read_bytes() == (resumed / name).read_bytes()
    assert load_checkpoint(whole).record == load_checkpoint(resumed).record
    lines = [[without_times(line) for line in read_metrics(tmp_path / name / "metrics.jsonl")] for name in ("whole", "killed")]
    assert [line["frames"] for line in lines[1]] == list(range(32, 961, 32))
    assert lines[0] == lines[1]
    assert lines[1][0][f"lambda/{teacher}"] > 0
    with pytest.raises(ValueError, match="nothing to resume"):
        resume(killed)


def test_evidence_resumes_where_it_was(tiny, make_policy):
    """Whoever has a score here is as good as the teacher, so lambda falls before and after the seam."""
    teacher = make_policy()
    scores = {teacher: {"tasks": {"object": -100.0, "obstacles": -100.0}, "no_better_than_random": []}}
    config = tiny(teachers=(teacher,), schedule="evidence:1:200:2000", checkpoint_every="96", score_window=1, total_frames=320)
    updates, weights = consume(train(config, teacher_scores=scores))
    (middle,) = (u for u in updates if u.frames == 192)
    rest, resumed = consume(train(config, middle.snapshot, scores))
    assert same(resumed, weights)
    lambdas = [known(u.metrics[f"lambda/{teacher}"]) for u in updates]
    assert [u.metrics[f"lambda/{teacher}"] for u in rest] == lambdas[-len(rest) :]
    assert lambdas[0] > lambdas[-len(rest)] > lambdas[-1]


def test_a_snapshot_of_other_tasks_is_refused(tiny, suite, alone, tmp_path):
    path = tmp_path / "edited.toml"
    path.write_text(Path(suite).read_text().replace('name = "obstacles"', 'name = "hurdles"'))
    with pytest.raises(ValueError, match="scores of object, obstacles, suite two has hurdles, object"):
        next(train(tiny(suite=str(path)), alone[0][-1].snapshot))


def config_arguments(config: Config, out: Path) -> list[str]:
    """The command line of a configuration made by `tiny`."""
    arguments = [config.suite, "--out", out, "--network", config.network, "--frames", config.total_frames]
    for option in config.network_options:
        arguments += ["--network-option", option]
    for teacher in config.teaching.teachers:
        arguments += ["--teacher", teacher]
    arguments += ["--accept-weak-teachers"] if config.teaching.accept_weak_teachers else []
    for name in ("schedule", "checkpoint_every", "envs_per_task", "unroll_length", "learning_rate", "torch_threads", "precision"):
        arguments += [f"--{name.replace('_', '-')}", flat(config)[name]]
    return [sys.executable, "-m", "kickstarting", "train", *map(str, arguments)]


def test_a_run_says_where_its_teacher_is_no_better_than_random(tiny, make_policy, tmp_path, capsys):
    teacher = make_policy()
    for schedule, heard in (("evidence:1", "not listened to there"), ("linear:1:0:50%", "listened to all the same")):
        run(tiny(teachers=(teacher,), schedule=schedule, total_frames=32), tmp_path / heard)
        said = " ".join(capsys.readouterr().out.split())
        assert f"is no better than random on object, obstacles: {heard}" in said
        measured = json.loads((tmp_path / heard / "teacher_scores.json").read_text())[teacher]
        assert measured["no_better_than_random"] == ["object", "obstacles"]


def test_a_teacher_that_knows_nothing_is_refused_unless_accepted(tiny, make_policy, tmp_path):
    weak = tiny(teachers=(make_policy(),), accept_weak_teachers=False, total_frames=32)
    with pytest.raises(ValueError, match=r"no better than random .*\(object, obstacles\).*--accept-weak-teachers"):
        run(weak, tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()


def test_random_is_measured_in_a_part_of_a_suite_with_fewer_actions(tiny, make_policy, tmp_path, suite, monkeypatch):
    """Only the task with 3 of the suite's 7 actions lacks its random score."""
    path = tmp_path / "part.toml"
    own = 'name = "object"\nrandom = 0.1\nreference = 0.9'
    bare = Path(suite).read_text().replace("random = 0.1\n", "").replace("reference = 0.9\n", "")
    path.write_text(bare.replace('name = "object"', own))
    measured = []

    def recording(network: Network, part: Suite, **options: Any) -> list[TaskResult]:
        results = evaluate(network, part, **options)
        measured.append((isinstance(network, AsNetwork), [r.task for r in results], options["num_actions"]))
        return results

    for module in ("kickstarting.evaluate", "kickstarting.teachers.check"):
        monkeypatch.setattr(sys.modules[module], "evaluate", recording)
    consume(train(tiny(suite=str(path), teachers=(make_policy(),), schedule="evidence:1", total_frames=32)))
    assert measured == [(False, ["obstacles"], 7), (True, ["object", "obstacles"], 7)]


@pytest.mark.parametrize("schedule", ["evidence:1", "linear:1:0:50%"])
def test_a_teacher_of_a_task_with_fewer_actions_alone_is_measured(tiny, make_policy, tmp_path, schedule):
    """The policy has the suite's 7 actions, its only task 3."""
    teacher = f"obstacles={make_policy()}"
    run(tiny(teachers=(teacher,), schedule=schedule, total_frames=32), tmp_path / "run")
    (measured,) = json.loads((tmp_path / "run" / "teacher_scores.json").read_text()).values()
    assert list(measured["tasks"]) == ["obstacles"]


def test_evidence_needs_no_reference_scores(tiny, make_policy, tmp_path, suite, monkeypatch):
    """The random policy is measured then, and scores are the metric itself: a teacher that succeeds in half of the episodes is
    listened to where random does in a fifth, and not where random is as good."""
    path = tmp_path / "bare.toml"
    path.write_text(Path(suite).read_text().replace("random = 0.1\n", "").replace("reference = 0.9\n", ""))
    teacher = make_policy()

    def better_on_one_task(network: Network, part: Suite, **options: Any) -> list[TaskResult]:
        results = evaluate(network, part, **options)
        assert all(r.score == r.success for r in results)
        successes = {"object": 0.5 if isinstance(network, AsNetwork) else 0.2, "obstacles": 0.5}
        return [replace(r, score=successes[r.task], score_error=0.05) for r in results]

    for module in ("kickstarting.evaluate", "kickstarting.teachers.check"):
        monkeypatch.setattr(sys.modules[module], "evaluate", better_on_one_task)
    updates, _ = consume(train(tiny(suite=str(path), teachers=(teacher,), schedule="evidence:1", total_frames=32)))
    assert updates[0].metrics[f"lambda/{teacher}"] == 0.5  # the mean of 1 and 0


def test_a_teacher_without_weight_is_not_run(tiny, make_policy, monkeypatch):
    """Its network is called once an update while lambda > 0, and never after; the other teacher's share is 0 throughout."""
    calls: dict[str, int] = {}

    def counting(ref: str, device: str):
        teacher = load_teacher(ref, device)
        network_of(teacher).register_forward_hook(lambda *_: calls.update({ref: calls.get(ref, 0) + 1}))
        return teacher

    monkeypatch.setattr("kickstarting.teachers.build.load_teacher", counting)
    heard, ignored = make_policy(), make_policy()
    config = tiny(teachers=(heard, ignored), teacher_shares=(1.0, 0.0), schedule="linear:1:0:50%")
    updates, _ = consume(train(config))
    assert sum(known(u.metrics[f"lambda/{heard}"]) > 0 for u in updates) == 4
    assert calls == {heard: 4}
    assert [("distillation_loss" in u.metrics) for u in updates] == [True] * 4 + [False] * 4


@pytest.mark.parametrize("options", [{"hidden": 8, "lstm": 0}, {"hidden": 12, "lstm": 6, "channels": (3, 5, 5)}])
def test_a_student_learns_what_a_teacher_of_another_architecture_wants(tiny, make_policy, options):
    """A teacher that always goes ahead: its cross-entropy falls from that of a uniform student."""
    teacher = make_policy(network="large", options=options, favourite=2)
    config = tiny(teachers=(teacher,), schedule="constant:5", learning_rate="2e-2", total_frames=480)
    losses = [known(u.metrics["distillation_loss"]) for u in train(config)]
    assert losses[0] == pytest.approx((math.log(7) + math.log(3)) / 2, abs=0.2)
    assert losses[-1] < 0.5 * losses[0]


def test_a_consumer_may_ask_for_the_trajectories(tiny, make_policy):
    """They are what was learned from, labels and all; without asking there are none, and nothing else changes."""
    config = tiny(teachers=(make_policy(),), schedule="constant:1", total_frames=64)
    asked, plain = list(train(config, with_trajectories=True)), list(train(config))
    assert all(update.trajectory is None for update in plain)
    for update, other in zip(asked, plain, strict=True):
        assert update.trajectory is not None
        assert update.trajectory.labels is not None
        assert update.trajectory.actions.shape == (config.learning.unroll_length, 4)
        assert update.metrics["loss"] == other.metrics["loss"]


def test_a_snapshot_goes_on_with_the_network_that_it_began_with() -> None:
    """Also where the configuration does not say what was usual for it: on a robot, and for a network from before that."""
    settings = {"network": "small", "envs_per_task": 4, "minibatches": 2, "unroll_length": 16, "checkpoint_every": "1024"}
    config = Config.of("Pendulum-v1", total_frames=2048, precision="float32", torch_threads=1, **settings)
    for begun in (config, config.changed(network_options=("normalise_observations=False", "state_independent_std=False"))):
        updates = [replace(u, snapshot=copied(u.snapshot)) if u.snapshot else u for u in train(begun)]
        middle = next(u.snapshot for u in updates if u.snapshot)
        rest = list(train(config, middle))
        assert rest[-1].metrics["loss"] == updates[-1].metrics["loss"]
