"""Settings have names of their own in all groups, and configurations are read whatever groups they were written in."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from kickstarting.config import Config
from kickstarting.learner import PAPER, LearnerConfig
from kickstarting.runs.configuration import config_from_json
from kickstarting.settings import GROUPS, changed, flat, types_of


def names_of(config: object) -> list[str]:
    assert dataclasses.is_dataclass(config)
    fields = dataclasses.fields(config)
    return [name for f in fields for name in (names_of(getattr(config, f.name)) if f.name in GROUPS else [f.name])]


def test_every_setting_has_a_name_of_its_own() -> None:
    names = names_of(Config())
    assert len(names) == len(set(names)) > 30
    assert set(names) == set(flat(Config())) == set(types_of(Config))


def test_settings_are_changed_by_name_in_whichever_group() -> None:
    config = Config.of("x", seed=3, device="cpu", policy_clip=0.5, schedule="constant:1", score_window=7)
    assert (config.suite, config.seed, config.machine.device) == ("x", 3, "cpu")
    assert (config.learning.learner.loss.policy_clip, config.teaching.schedule, config.run.score_window) == (0.5, "constant:1", 7)
    assert config.changed(device="auto", policy_clip=0.2, schedule="evidence:1", score_window=50, seed=0) == Config("x")
    assert changed(LearnerConfig(), {"discount": 0.5}).loss.discount == 0.5


def test_a_group_is_changed_as_a_whole_and_settings_in_it_too() -> None:
    learner = Config.of("x", learner=PAPER, discount=0.5).learning.learner
    assert dataclasses.replace(learner, loss=PAPER.loss) == PAPER
    assert dataclasses.replace(learner.loss, discount=PAPER.loss.discount) == PAPER.loss


def test_an_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no setting 'learnig_rate'; did you mean learning_rate"):
        Config.of("x", learnig_rate="1e-3")


def test_a_configuration_is_read_in_groups_and_without() -> None:
    config = Config.of("x", teachers=("a", "b*=zoo:c"), teacher_shares=(1.0, 2.0), teacher_adapters=("mask", ""), envs_per_task=3)
    grouped = json.loads(json.dumps(config.to_json()))
    ungrouped = {**flat(config), "teachers": ["a", "b*=zoo:c"]}
    for data in (grouped, json.loads(json.dumps(ungrouped))):
        read = config_from_json(data)
        assert read.teaching.references == config.teaching.references
        before = {} if "format" in data else {"network_options": ("normalise=False",)}  # as networks were then
        assert {**flat(read), "teachers": (), "name": ""} == {**flat(config), "teachers": (), **before}
    with pytest.raises(ValueError, match=r"no configuration that this version reads: there is no setting 'sede'"):
        config_from_json({**grouped, "sede": 3})
    with pytest.raises(ValueError, match="does not say how to learn"):
        config_from_json({"suite": "x"})


@pytest.mark.parametrize(
    ("task", "usual"),
    [
        ("CartPole-v1", {"entropy_cost": "0.01", "baseline_cost": "0.5", "epochs": 2, "minibatches": 4, "desired_kl": 0.0}),
        ("Pendulum-v1", {"entropy_cost": "1e-4", "baseline_cost": "10", "epochs": 8, "minibatches": 8, "desired_kl": 0.03}),
    ],
)
def test_what_is_usual_follows_the_actions_and_is_written_out(task: str, usual: dict[str, Any]) -> None:
    config = Config(task)
    assert config.parsed("entropy_cost").at(0) == float(usual["entropy_cost"])
    assert flat(config.on_this_machine()).items() >= usual.items()
    given = {"entropy_cost": "0.5", "baseline_cost": "0.7", "epochs": 3, "minibatches": 1, "desired_kl": 0.5}
    assert flat(config.changed(**given).on_this_machine()).items() >= given.items()


@pytest.mark.parametrize(("name", "task"), [("desired_kl", "Pendulum-v1"), ("base_width", "grid-8:two_rooms")])
def test_a_run_of_before_keeps_the_rate_that_its_schedule_says(name: str, task: str) -> None:
    data = Config(task).as_usual().changed(**{name: 0}).to_json()
    del data["learning"]["learner"][name]
    assert flat(config_from_json(data))[name] == 0


@pytest.mark.parametrize(("task", "rate", "width"), [("grid-8:two_rooms", 3e-3, 128), ("CartPole-v1", 1e-3, 0)])
def test_the_usual_learning_rate_follows_what_is_observed_and_is_written_out(task: str, rate: float, width: int) -> None:
    config = Config(task)
    schedule = config.parsed("learning_rate")
    assert (schedule.at(0), schedule.at(config.total_frames)) == pytest.approx((rate, rate / 10))
    assert config.on_this_machine().learning.learning_rate == f"linear:{rate:.0e}:{rate / 10:.0e}:100%".replace("e-0", "e-")
    assert config.changed(learning_rate="0.5").on_this_machine().learning.learning_rate == "0.5"
    assert config.on_this_machine().learning.learner.base_width == width
    assert config.changed(base_width=7).on_this_machine().learning.learner.base_width == 7


def test_a_run_on_stacked_images_says_that_it_has_no_lstm() -> None:
    config = Config("Breakout-v5", network_options=("hidden=64",))
    assert config.on_this_machine().network_options == ("lstm=0", "hidden=64")
    assert config.on_this_machine().on_this_machine().network_options == ("lstm=0", "hidden=64")
    with_lstm = config.changed(network_options=("lstm=32",)).on_this_machine()
    assert with_lstm.network_options == with_lstm.on_this_machine().network_options == ("normalise=False", "lstm=32")
    assert Config("CartPole-v1").on_this_machine().network_options == ()
    on_a_robot = Config("Pendulum-v1").on_this_machine()
    assert on_a_robot.network_options == ("normalise_observations=True", "state_independent_std=True", "initial_std=0.37")
    assert on_a_robot.on_this_machine() == on_a_robot
