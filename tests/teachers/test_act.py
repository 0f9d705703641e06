"""Teachers that act: which policy chose each episode, what is recorded of it, and what of it counts as the student's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from kickstarting import Config, train
from kickstarting.actor import Actor, Episode
from kickstarting.algo.losses import mask_logits
from kickstarting.algo.parsing import parse_schedule
from kickstarting.assembly import make_env
from kickstarting.networks import build_network
from kickstarting.scores import ScoreTracker
from kickstarting.suites import load_suite
from kickstarting.teachers import ActingTeachers, Teachers, build_teachers
from kickstarting.types import Trajectory
from known import known

UNROLLS, EACH = 6, 4
EXACT: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}  # a teacher's logits are spread a hundredfold
Acted = tuple[Actor, Teachers, list[Trajectory]]


@pytest.fixture
def act(tiny, suite) -> Callable[..., Acted]:
    """Some unrolls of an actor with teachers, four columns a task."""

    def unrolls(refs: Sequence[str], probability: str, *, seed: int = 0, groups: int = 1) -> Acted:
        env = make_env(tiny(envs_per_task=EACH, env_groups=groups), load_suite(suite), 0)
        torch.manual_seed(0)
        student = build_network("small", env.observation_space, env.distribution, {"hidden": 8, "lstm": 8})
        with torch.no_grad():
            student.policy.weight.mul_(100)
        teachers = build_teachers(refs, [task.name for task in load_suite(suite).tasks], env.spaces, env.task_of_column)
        schedule = parse_schedule(probability, total_frames=1000)
        acting = ActingTeachers(teachers, env, schedule, frames=0, frames_per_step=1.0, seed=seed)
        actor = Actor(env, student, 8, seed=seed, teachers=acting)
        seen = [actor.unroll() for _ in range(UNROLLS)]
        env.close()
        return actor, teachers, seen

    return unrolls


def log_probs(network, acted: Acted) -> torch.Tensor:
    """[UNROLLS * T, B] log pi(a_t | x_t) of a policy that reads everything, in one pass from a blank state."""
    actor, _, unrolls = acted
    state, found = network.initial_state(actor.env.num_envs), []
    for unroll in unrolls:
        with torch.no_grad():
            output, state = network(unroll.inputs[:-1], state)
        logits = mask_logits(output.logits, actor.env.action_mask)
        found.append(actor.env.distribution.log_prob(logits, unroll.actions))
    return torch.cat(found)


def whole(acted: Acted, name: str) -> torch.Tensor:
    return torch.cat([getattr(unroll, name) for unroll in acted[2]])


def episode_of(acted: Acted) -> torch.Tensor:
    """[UNROLLS * T, B] number of the episode, counted in each column; the last observation belongs to the old one."""
    return torch.cat([unroll.inputs.is_first[:-1] for unroll in acted[2]]).cumsum(0)


@pytest.mark.parametrize("groups", [1, 2])
def test_at_probability_1_teachers_act_everywhere_but_in_one_column_of_every_task(act, make_policy, groups):
    """And what is recorded are their probabilities, from states that follow their episodes."""
    acted = act([make_policy()], "1", groups=groups)
    actor, teachers, _ = acted
    students = [np.flatnonzero(actor.env.task_of_column == task)[0] for task in (0, 1)]
    taught = np.setdiff1d(np.arange(2 * EACH), students)
    recorded = whole(acted, "behaviour_log_probs")
    teacher, student = log_probs(teachers.assignments[0].teacher.network, acted), log_probs(actor.network, acted)
    torch.testing.assert_close(recorded[:, taught], teacher[:, taught], **EXACT)
    torch.testing.assert_close(recorded[:, students], student[:, students], **EXACT)
    assert (teacher - student).abs().median() > 0.1  # the two can be told apart
    assert actor.metrics()["teacher_acts"] == 1 - 1 / EACH


def test_the_students_state_follows_what_teachers_act(act, make_policy):
    """`initial_state` of every unroll is where one pass of the student over the unroll before ends."""
    actor, _, unrolls = act([make_policy()], "1")
    for before, after in pairwise(unrolls):
        with torch.no_grad():
            _, state = actor.network(before.inputs[:-1], before.initial_state)
        torch.testing.assert_close(after.initial_state, state, **EXACT)


def test_whole_episodes_are_drawn_with_the_probability_and_uniformly_among_teachers(act, make_policy):
    acted = act([make_policy(seed=1), make_policy(seed=2)], "0.5")
    actor, teachers, _ = acted
    policies = [actor.network, *(assignment.teacher.network for assignment in teachers.assignments)]
    recorded, episodes = whole(acted, "behaviour_log_probs"), episode_of(acted)
    wrong = torch.stack([(log_probs(policy, acted) - recorded).abs() for policy in policies])
    counts = np.zeros(3)
    for column in range(1, EACH):
        for episode in episodes[:, column].unique():
            errors = wrong[:, episodes[:, column] == episode, column].amax(-1)
            assert errors.min() < 1e-3  # one of them acted from the first step to the last
            counts[errors.argmin()] += 1
    assert counts.sum() >= 12
    assert counts[0] / counts.sum() == pytest.approx(0.5, abs=0.3)
    assert counts[1:].min() > 0


def test_columns_without_a_teacher_are_the_students(act, make_policy):
    acted = act([f"obstacles={make_policy()}"], "1")
    student = log_probs(acted[0].network, acted)[:, :EACH]
    torch.testing.assert_close(whole(acted, "behaviour_log_probs")[:, :EACH], student, **EXACT)
    assert acted[0].metrics()["teacher_acts"] == 0.5 * (1 - 1 / EACH)


def test_what_a_teacher_acted_agrees_with_its_label(act, make_policy):
    """The label of a transition is the policy that acted in it, so on a teacher's episodes mu is the label."""
    actor, teachers, unrolls = act([make_policy()], "1")
    for unroll in unrolls:
        labels = teachers.label(unroll, [np.ones(2 * EACH)]).labels.policy[0]
        labels = mask_logits(labels, actor.env.action_mask)
        expected = actor.env.distribution.log_prob(labels, unroll.actions)
        torch.testing.assert_close(unroll.behaviour_log_probs[:, 1:EACH], expected[:, 1:EACH], **EXACT)


def test_draws_are_seeded(act, make_policy):
    ref = make_policy()
    first, second, other = (act([ref], "0.5", seed=seed) for seed in (0, 0, 1))
    assert torch.equal(whole(first, "actions"), whole(second, "actions"))
    assert torch.equal(whole(first, "behaviour_log_probs"), whole(second, "behaviour_log_probs"))
    assert not torch.equal(whole(first, "actions"), whole(other, "actions"))


def test_only_the_students_episodes_count_in_its_score(act, make_policy, suite):
    actor, _, _ = act([make_policy()], "1")
    episodes = actor.drain_episodes()
    assert {episode.column for episode in episodes if not episode.by_teacher} == {0, EACH}
    assert {episode.column for episode in episodes if episode.by_teacher} == set(range(2 * EACH)) - {0, EACH}
    scores = ScoreTracker(load_suite(suite), window=100, warm_up=1)
    scores.add(episodes)
    own = [[(e.episode_return, e.success, 0) for e in episodes if e.column == column] for column in (0, EACH)]
    assert list(scores.state()["windows"].values()) == own
    assert scores.episodes == len(episodes)


def test_a_short_window_is_full_before_the_warm_up(suite):
    """One environment a task takes long to end as many episodes as there are environments."""
    scores = ScoreTracker(load_suite(suite), window=2, warm_up=16)
    episodes = [Episode(task, 0, 1.0, 5, True) for task in (0, 1)]
    scores.add(episodes)
    assert np.isnan(scores.task_scores()).all()
    scores.add(episodes)
    assert scores.task_scores().tolist() == [100.0, 100.0]


# In training


def weights(config: Config) -> dict[str, torch.Tensor]:
    return {k: x.clone() for k, x in known(list(train(config))[-1].snapshot).network.items()}


def test_a_probability_of_0_changes_nothing(tiny, make_policy):
    """Bit for bit, whether no teacher may act at all or the schedule is at 0 all the time."""
    config = tiny(teachers=(make_policy(),))
    plain = weights(config)
    for acts in ("0", "step:0:1:100%"):
        found = weights(config.changed(teacher_acts=acts))
        assert all(torch.equal(found[name], plain[name]) for name in plain)
    assert not all(torch.equal(x, plain[name]) for name, x in weights(config.changed(teacher_acts="1")).items())


@pytest.mark.parametrize("overlap", [False, True])
def test_the_schedule_counts_frames_and_holds_for_episodes_that_begin(tiny, make_policy, overlap):
    """Teachers may act in half of the columns. At half of the run, 4 of 8 updates, those in mid-episode go on, and the seam
    behind the fifth does not bring them back."""
    config = tiny(teachers=(make_policy(),), teacher_acts="step:1:0:50%", checkpoint_every="160", overlap=overlap)
    shares = [known(update.metrics["teacher_acts"]) for update in train(config)]
    assert shares[:4] == [0.5] * 4
    assert 0 < known(shares[4]) < 0.5
    assert shares[5:] == [0, 0, 0]
    assert "teacher_acts" not in next(iter(train(tiny()))).metrics


def test_vtrace_is_told_that_a_teacher_acted(tiny, make_policy):
    """A teacher that nearly always goes ahead and a student that is still uniform: pi / mu is 1/7 and 1/3, or 1."""
    config = tiny(teachers=(make_policy(favourite=2),), teacher_acts="1", schedule="constant:0", total_frames=32)
    ratio = next(iter(train(config))).metrics["rho"]
    assert ratio == pytest.approx(0.5 + 0.25 / 7 + 0.25 / 3, abs=0.05)


def test_distillation_on_the_teachers_trajectories(tiny, make_policy):
    """Without any reward: the cross-entropy to a teacher that always goes ahead falls."""
    changes = {"policy_cost": "0", "baseline_cost": "0", "learning_rate": "2e-2"}
    config = tiny(teachers=(make_policy(favourite=2),), teacher_acts="1", schedule="constant:5", total_frames=480, **changes)
    losses = [known(update.metrics["distillation_loss"]) for update in train(config)]
    assert known(losses[-1]) < 0.5 * known(losses[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher_acts": "0.5", "teachers": ()}, "no teacher to act; give --teacher"),
        ({"teacher_acts": "linear:0:1.5:50%"}, r"rises to 1\.5; it is a probability"),
        ({"teacher_acts": "linear:-1:0:50%"}, "falls below 0"),
        ({"teacher_acts": "progress:1"}, "only the teachers' weight can"),
        ({"teacher_acts": "0.1", "envs_per_task": 1}, "envs_per_task is 1.* give at least 2"),
        ({"teacher_acts": "often"}, "unknown schedule|not a number"),
    ],
)
def test_what_cannot_work_is_said(tiny, changes, message):
    with pytest.raises(ValueError, match=message):
        tiny(**{"teachers": ("unread",), **changes}).check()
