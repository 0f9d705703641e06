"""Python callables as teachers: what they may return, what is refused, and that nobody's file names them unasked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gymnasium import spaces
from programs import unroll

from kickstarting.config import Config
from kickstarting.runs.configuration import checked_config
from kickstarting.teachers.origins import digest, load_teacher, named_modules
from kickstarting.teachers.protocol import Kind, TeacherFault

MODULE = """
import numpy as np
from gymnasium import spaces

def action(observations):
    x = observations["observation"]
    return None if x[0] > 1 else int(x[1] > 0)

def same_in_rows(observations):
    x = observations["observation"]
    return np.where(x[:, 0] > 1, -1, x[:, 1] > 0)

def scores(observations):
    x = observations["observation"]
    return None if x[0] > 1 else {"logits": x[:3], "value": x[3]}

def target(observations):
    return observations["observation"][:2]

target.action_space = spaces.Box(-1, 1, (2,))

def vandal(observations):
    observations["observation"][:] = 0

class Counter:
    \"\"\"Its action is the number of steps since the episode began, modulo 3.\"\"\"
    action_space = spaces.Discrete(3)
    observation_space = spaces.Dict(observation=spaces.Box(-10, 10, (4,)))

    def initial_state(self, batch):
        return (np.zeros(batch, np.int64),)

    def __call__(self, observations, state):
        (steps,) = state
        return steps % 3, (steps + 1,)

number = 3
nonsense = {
    "text": "left", "list": [[1], [1, 2]], "far": 9, "half": 0.5, "unknown": {"q_values": [1, 2, 3]}, "few": {"logits": [1.0]},
    "nan": {"logits": [float("nan")] * 3}, "sum": {"probabilities": [0.5, 0.5, 0.5]}, "mean": {"mean": [1.0, 2.0, 3.0]},
    "object": object(),
}

class Says:
    def __getattr__(self, name):
        return lambda observations: nonsense[name]

says = Says()

def fails(observations):
    raise RuntimeError("I am\\nlost")
"""


@pytest.fixture
def bots(tmp_path: Path, monkeypatch) -> Callable[[str], Any]:
    """Loads a teacher of the module."""
    (tmp_path / "bots.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "bots", raising=False)
    return lambda name: load_teacher(f"script:bots:{name}")


def test_a_function_of_one_step_and_one_of_rows_say_the_same(bots) -> None:
    inputs = unroll(8, 3)
    x = inputs.observations["observation"]
    for name in ("action?actions=3", "same_in_rows?actions=3&per=batch"):
        label, state = bots(name).label(inputs, ())
        assert state == ()
        assert label.kind == Kind.ACTIONS
        assert torch.equal(label.known, x[..., 0] <= 1)
        assert not label.known.all()
        assert torch.equal(label.policy[label.known], (x[..., 1] > 0).long()[label.known])


def test_answers_by_name(bots) -> None:
    inputs = unroll(8, 3)
    x = inputs.observations["observation"]
    label, _ = bots("scores?actions=3").label(inputs, ())
    known = x[..., 0] <= 1
    assert torch.equal(label.known, known)
    assert torch.equal(label.policy[known], x[..., :3][known])
    assert torch.equal(label.values[known], x[..., 3][known])
    label, _ = bots("target?std=0.5").label(inputs, ())
    assert torch.equal(label.policy[..., :2], x[..., :2])
    torch.testing.assert_close(label.policy[..., 2:].exp(), torch.full((8, 3, 2), 0.5))


def test_one_that_remembers_begins_anew_with_every_episode(bots) -> None:
    teacher = bots("Counter")
    assert teacher.action_space == spaces.Discrete(3)
    state, steps = teacher.initial_state(3), torch.zeros(3, dtype=torch.long)
    for seed in (1, 2):
        inputs = unroll(7, 3, seed)
        label, state = teacher.label(inputs, state)
        for t in range(7):
            steps = steps.masked_fill(inputs.is_first[t], 0)
            assert torch.equal(label.policy[t], steps % 3)
            steps = steps + 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("says.text", "no array of numbers|actions"),
        ("says.list", "no array of numbers"),
        ("says.object", "no array of numbers"),
        ("says.far", r"its actions are not in Discrete\(3\)"),
        ("says.half", r"its actions are not in Discrete\(3\)"),
        ("says.unknown", "it answers 'q_values'; known: logits"),
        ("says.few", r"its logits has shape \[1\]"),
        ("says.nan", "its logits is not finite"),
        ("says.sum", "do not add up to 1; are they logits"),
        ("says.mean", r"it answers mean, but acts in Discrete\(3\)"),
        ("fails", "it raised RuntimeError: I am lost"),
        ("vandal", "read-only"),
    ],
)
def test_nonsense_is_one_clear_fault(bots, name, message) -> None:
    teacher = bots(f"{name}?actions=3")
    with pytest.raises(
        TeacherFault, match=rf"teacher script:bots:{name}\?actions=3: .*({message}).*; mend it, or leave it out"
    ) as error:
        teacher.label(unroll(), ())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("action", r"does not say how it acts; give it an action_space .* or \?actions=N"),
        ("actoin?actions=3", "bots has no 'actoin'; did you mean action"),
        ("number?actions=3", "is 3, which cannot be called"),
        ("action?actions=3&per=row", "per is 'row'"),
    ],
)
def test_what_cannot_be_a_teacher_is_refused(bots, name, message) -> None:
    with pytest.raises(ValueError, match=rf"script:bots:.*{message}"):
        bots(name)
    with pytest.raises(ValueError, match="there is no module 'botz' to import"):
        load_teacher("script:botz:action?actions=3")
    with pytest.raises(ValueError, match=r"write script:package.module:NAME"):
        load_teacher("script:bots")


def test_a_digest_is_of_the_module(bots, tmp_path) -> None:
    before = digest("script:bots:action?actions=3")
    assert before != digest("script:bots:action?actions=4")
    (tmp_path / "bots.py").write_text(MODULE + "# changed\n")
    assert digest("script:bots:action?actions=3") != before


def test_a_file_does_not_choose_what_is_imported(bots, monkeypatch) -> None:
    """Whoever writes the reference has named the module; a saved configuration has not."""
    monkeypatch.setattr("kickstarting.trust._trusted", set())
    config = Config.of("CartPole-v1", teachers=("a*=script:bots:action?actions=3", "zoo:grid-8-small"))
    assert config.named_modules == ["bots:action"]
    assert "bots" in config.trusted_modules
    data = json.loads(json.dumps(config.to_json()))
    with pytest.raises(ValueError, match=r"config\.json names bots:action, .* give --trust-module bots"):
        checked_config(data, Path("config.json"))
    monkeypatch.setattr("kickstarting.trust._trusted", {"bots"})
    assert checked_config(data, Path("config.json")).teaching.references[0].ref == "script:bots:action?actions=3"
    assert named_modules("zoo:x:y") == []
