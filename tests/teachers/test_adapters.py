"""Adapters between a student's environments and a teacher that was made for others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from kickstarting.envs.actions import Actions
from kickstarting.space_json import describe_space, read_space
from kickstarting.teachers import Kind, Label, Teacher, adapt
from kickstarting.teachers.adapters import check_spaces, parse_adapters
from kickstarting.types import Inputs, State

SPACE = spaces.Dict({"state": spaces.Box(-np.inf, np.inf, (2,), np.float32)})
T, B = 3, 4


class Fixed:
    """Says one and the same, and remembers what it was asked."""

    ref, observation_space, device = "fixed", SPACE, "cpu"

    def __init__(self, actions: int, policy: Any, kind: Kind = Kind.PARAMETERS) -> None:
        self.action_space: spaces.Space = spaces.Discrete(actions)
        self._label, self.heard = (torch.tensor(policy), kind), []

    def initial_state(self, batch: int) -> State:
        return (torch.zeros(batch, 1),)

    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        self.heard.append(inputs)
        policy, kind = self._label
        return Label(policy.expand(T, B, *policy.shape), kind), (state[0] + 1,)


def inputs(last_action: int) -> Inputs:
    zeros = torch.zeros(T, B)
    return Inputs({"state": torch.zeros(T, B, 2)}, torch.full((T, B), last_action), zeros, zeros.bool())


def masked(teacher: Fixed, actions: int) -> Teacher:
    return adapt(teacher, ["mask"], SPACE, spaces.Discrete(actions))


def said(teacher: Teacher, last_action: int = 0) -> torch.Tensor:
    label, _ = teacher.label(inputs(last_action), teacher.initial_state(B))
    policy = label.policy[0, 0]
    return policy.softmax(-1) if label.kind == Kind.PARAMETERS else policy


@pytest.mark.parametrize("kind", [Kind.PARAMETERS, Kind.PROBABILITIES])
def test_mask_gives_unknown_actions_no_probability(kind: Kind) -> None:
    p = [0.2, 0.3, 0.5]
    policy = np.log(p).tolist() if kind == Kind.PARAMETERS else p
    torch.testing.assert_close(said(masked(Fixed(3, policy, kind), 5)), torch.tensor([*p, 0.0, 0.0]))
    torch.testing.assert_close(said(masked(Fixed(3, policy, kind), 2)), torch.tensor([0.4, 0.6]))
    torch.testing.assert_close(said(masked(Fixed(3, policy, kind), 3)), torch.tensor(p))


def test_mask_has_no_opinion_where_the_student_lacks_the_action() -> None:
    label, state = masked(Fixed(5, 4, Kind.ACTIONS), 3).label(inputs(0), (torch.zeros(B, 1),))
    assert label.known is not None
    assert not label.known.any()
    assert (label.policy < 3).all()
    assert state[0].eq(1).all()
    known, _ = masked(Fixed(5, 2, Kind.ACTIONS), 3).label(inputs(0), (torch.zeros(B, 1),))
    assert known.known is not None
    assert known.known.all()


def test_a_masked_teacher_is_not_told_of_actions_that_it_does_not_know() -> None:
    inner = Fixed(3, [0.0, 0.0, 0.0])
    teacher = masked(inner, 5)
    for last_action, heard in ((2, 2), (4, -1), (-1, -1)):
        said(teacher, last_action)
        assert inner.heard[-1].last_actions.eq(heard).all()


def test_other_spaces_are_refused_with_both_sides_and_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"acts in .*3.*, the student in .*5.*give --teacher-adapters mask"):
        check_spaces(Fixed(3, [0.0] * 3), SPACE, spaces.Discrete(5))
    other = spaces.Dict({"state": spaces.Box(-1, 1, (9,), np.float32)})
    with pytest.raises(ValueError, match=r"reads 'state' as .*2.*, the student's environments have .*9"):
        adapt(Fixed(3, [0.0] * 3), ["identity"], other, spaces.Discrete(3))
    with pytest.raises(ValueError, match="no such observation"):
        adapt(Fixed(3, [0.0] * 3), [], spaces.Dict({}), spaces.Discrete(3))
    with pytest.raises(ValueError, match="mask needs discrete actions"):
        adapt(Fixed(3, [0.0] * 3), ["mask"], SPACE, spaces.Box(-1, 1, (2,), np.float32))


def test_an_unknown_adapter_names_the_nearest() -> None:
    assert parse_adapters("identity+mask") == ("identity", "mask")
    assert parse_adapters("") == ()
    with pytest.raises(ValueError, match="did you mean mask"):
        parse_adapters("masks")


def test_a_box_policy_of_version_0_1_fits_only_where_units_are_the_same() -> None:
    old, new = Fixed(2, [0.0] * 4), Fixed(2, [0.0] * 4)
    old.action_space = read_space({"shape": [2], "dtype": "float32"})
    scaled, as_is = (Actions(spaces.Box(-bound, bound, (2,), np.float32)).space for bound in (2.0, 1.0))
    new.action_space = read_space(describe_space(scaled))
    check_spaces(old, SPACE, as_is)
    check_spaces(new, SPACE, as_is)
    check_spaces(new, SPACE, scaled)
    with pytest.raises(ValueError, match=r"version 0.1.*scaled to the environment's bounds"):
        check_spaces(old, SPACE, scaled)
