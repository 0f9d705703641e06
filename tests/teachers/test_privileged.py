"""Observations that teachers read and the student's network does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from kickstarting import Config, load_suite, load_teacher
from kickstarting.assembly import build
from kickstarting.runs.checkpoint import save_checkpoint
from kickstarting.runs.configuration import config_from_json
from kickstarting.teachers import Teacher
from kickstarting.train import train
from kickstarting.types import Inputs


def blank(teacher: Teacher) -> Inputs:
    parts = teacher.observation_space.items()
    observations = {name: torch.as_tensor(space.sample() * 0).expand(3, 2, *(space.shape or ())) for name, space in parts}
    return Inputs(observations, torch.full((3, 2), -1), torch.zeros(3, 2), torch.zeros(3, 2).bool())


def test_a_student_learns_from_who_reads_more_than_it_does(tiny, make_policy, tmp_path: Path) -> None:
    """The teacher reads the mission; what is made of the student's checkpoint does not, and acts where there is none."""
    teacher = make_policy()
    assert set(load_teacher(teacher).observation_space) == {"direction", "image", "mission"}
    config = tiny(teachers=(teacher,), privileged=("mission",), total_frames=64, schedule="constant:1")
    assert config_from_json(json.loads(json.dumps(config.to_json()))).teaching.privileged == ("mission",)
    *_, last = train(config)
    assert last.metrics["distillation_loss"]
    assert last.snapshot is not None
    save_checkpoint(tmp_path / "checkpoints", last.snapshot)
    student = load_teacher(str(tmp_path))
    assert set(student.observation_space) == {"direction", "image"}
    inputs = blank(student)
    assert "mission" not in inputs.observations
    student.label(inputs, student.initial_state(2))


def test_what_the_network_does_not_read_changes_nothing_that_it_says(tiny) -> None:
    *_, plain, learner = build(tiny(privileged=("mission",)))
    assert "language" not in dict(learner.network.named_children())
    assert set(plain.observation_space) == {"direction", "image"}
    assert sum(1 for _ in train(tiny(privileged=("mission",), total_frames=64))) == 2


def test_a_suite_says_what_is_privileged(tiny, suite: str, tmp_path: Path) -> None:
    path = tmp_path / "told.toml"
    path.write_text('privileged = ["mission"]\n' + Path(suite).read_text())
    assert load_suite(str(path)).privileged == ("mission",)
    assert load_suite(f"{path}:object").privileged == ("mission",)
    _, spaces, spec, _ = build(tiny(suite=str(path), privileged=("direction",)))
    assert set(spaces.observation_space) == {"direction", "image", "mission"}
    assert set(spec.observation_space) == {"image"}
    path.write_text("privileged = 3\n" + Path(suite).read_text())
    with pytest.raises(ValueError, match="privileged is 3"):
        load_suite(str(path))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("missions",), "'missions' is not there; did you mean mission"),
        (("mission", "image", "direction"), "are privileged; leave the student one"),
    ],
)
def test_names_that_cannot_be_privileged_are_refused(tiny, names: tuple[str, ...], message: str) -> None:
    config: Config = tiny(privileged=names)
    with pytest.raises(ValueError, match=message):
        build(config)
