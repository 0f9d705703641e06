"""Adapters of actions: maps by number, and continuous actions in even steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from kickstarting.spaces import Scaled
from kickstarting.teachers import Kind, Label, Teacher, adapt
from kickstarting.types import Inputs, State

SPACE = spaces.Dict({})
T, B = 2, 3
BOX = Scaled(np.full(2, -1, np.float32), np.ones(2, np.float32), as_is=False)


class Fixed:
    """Says one and the same, and remembers the last action that it was told."""

    ref, observation_space, device = "fixed", SPACE, "cpu"

    def __init__(self, action_space: spaces.Space, policy: Any, kind: Kind = Kind.PARAMETERS) -> None:
        self.action_space, self._policy, self._kind = action_space, torch.tensor(policy), kind
        self.told = torch.zeros(0)

    def initial_state(self, batch: int) -> State:
        return ()

    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        self.told = inputs.last_actions[0, 0]
        return Label(self._policy.expand(T, B, *self._policy.shape), self._kind), state


def said(teacher: Teacher, last: Any = 0, first: bool = False) -> Label:
    actions = torch.tensor(last).expand(T, B, *np.shape(last))
    label, _ = teacher.label(Inputs({}, actions, torch.zeros(T, B), torch.full((T, B), first)), ())
    return label


def mapped(policy: list[float], text: str, student: int, kind: Kind = Kind.PROBABILITIES) -> Label:
    given = policy if kind == Kind.PROBABILITIES else np.log(policy).tolist()
    return said(adapt(Fixed(spaces.Discrete(len(policy)), given, kind), [text], SPACE, spaces.Discrete(student)))


@pytest.mark.parametrize("kind", [Kind.PROBABILITIES, Kind.PARAMETERS])
@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("actions(2,0,1)", [0.5, 0.2, 0.3]),
        ("actions(0,1,2,-)", [0.2, 0.3, 0.5, 0.0]),
        ("actions(0/1,2)", [0.5, 0.5]),
        ("actions(2,2,0)", [0.25 / 0.7, 0.25 / 0.7, 0.2 / 0.7]),
        ("actions(0,1)", [0.4, 0.6]),
        ("actions(0/1,1/2)", [(0.2 + 0.15) / 1.0, 0.65]),
    ],
)
def test_probabilities_follow_the_map(text: str, policy: list[float], kind: Kind) -> None:
    label = mapped([0.2, 0.3, 0.5], text, len(policy), kind)
    p = label.policy.softmax(-1) if label.kind == Kind.PARAMETERS else label.policy
    torch.testing.assert_close(p[0, 0], torch.tensor(policy))
    assert label.known is None or label.known.all()


def test_a_teacher_has_no_opinion_where_the_map_leaves_it_none() -> None:
    label = mapped([0.0, 0.0, 1.0], "actions(0/1,1)", 2)
    assert label.known is not None
    assert not label.known.any()
    assert label.policy.isfinite().all()
    chosen = said(adapt(Fixed(spaces.Discrete(3), 2, Kind.ACTIONS), ["actions(2,0)"], SPACE, spaces.Discrete(2)))
    assert chosen.policy.eq(0).all()
    lost = said(adapt(Fixed(spaces.Discrete(3), 1, Kind.ACTIONS), ["actions(2,0)"], SPACE, spaces.Discrete(2)))
    assert lost.known is not None
    assert not lost.known.any()


def test_a_teacher_is_told_the_last_action_in_its_own_numbers() -> None:
    inner = Fixed(spaces.Discrete(3), [0.0] * 3)
    teacher = adapt(inner, ["actions(2,0/1,-)"], SPACE, spaces.Discrete(3))
    for last, told in ((0, 2), (1, 0), (2, -1), (-1, -1)):
        said(teacher, last)
        assert inner.told == told


def test_a_map_that_does_not_fit_is_refused() -> None:
    three = spaces.Discrete(3)
    with pytest.raises(ValueError, match="names actions that teacher fixed does not have, or none; it has 0 to 2"):
        adapt(Fixed(three, [0.0] * 3), ["actions(0,3)"], SPACE, spaces.Discrete(2))
    with pytest.raises(ValueError, match=r"acts in \{'discrete': 2\}, the student in \{'discrete': 4\}"):
        adapt(Fixed(three, [0.0] * 3), ["actions(0,1)"], SPACE, spaces.Discrete(4))
    with pytest.raises(ValueError, match="actions needs discrete actions"):
        adapt(Fixed(BOX, [0.0] * 4), ["actions(0,1)"], SPACE, spaces.Discrete(2))
    adapt(Fixed(three, [0.0] * 3), ["mask", "actions(0,1)"], SPACE, spaces.Discrete(4))


def test_values_in_even_steps_have_a_mean_and_a_deviation() -> None:
    p = torch.tensor([[0.1, 0.2, 0.7], [0.5, 0.0, 0.5]])
    theirs = spaces.MultiDiscrete([3, 3])
    label = said(adapt(Fixed(theirs, p.log().flatten().tolist()), ["bins(3)"], SPACE, BOX), [0.4, -1.0])
    mean, log_std = label.policy[0, 0].chunk(2)
    torch.testing.assert_close(mean, torch.tensor([0.6, 0.0]))
    torch.testing.assert_close(log_std.exp(), torch.tensor([math.sqrt(0.8 - 0.36), 1.0]))
    chosen = said(adapt(Fixed(theirs, [2, 0], Kind.ACTIONS), ["bins(3)"], SPACE, BOX), [0.0, 0.0])
    assert chosen.policy[0, 0].tolist() == [1.0, -1.0]


def test_a_teacher_in_even_steps_is_told_the_nearest() -> None:
    inner = Fixed(spaces.MultiDiscrete([5, 5]), [0.0] * 10)
    teacher = adapt(inner, ["bins(5)"], SPACE, BOX)
    said(teacher, [0.4, -7.0])
    assert inner.told.tolist() == [3, 0]
    said(teacher, [0.0, 0.0], first=True)
    assert inner.told.tolist() == [-1, -1]


def test_a_normal_in_even_steps_is_its_mass_around_each() -> None:
    student = spaces.MultiDiscrete([5, 5])
    inner = Fixed(BOX, [0.25, -3.0, math.log(0.5), -math.inf])
    label = said(adapt(inner, ["bins(5)"], SPACE, student), [4, 0])
    p = label.policy[0, 0].softmax(-1) if len(label.policy[0, 0]) == 5 else label.policy[0, 0].unflatten(0, (2, 5)).softmax(-1)
    normal = torch.distributions.Normal(0.25, 0.5)
    edges = torch.tensor([-0.75, -0.25, 0.25, 0.75])
    cdf = torch.cat([torch.zeros(1), normal.cdf(edges), torch.ones(1)])
    torch.testing.assert_close(p[0], cdf.diff())
    torch.testing.assert_close(p[1], torch.tensor([1.0, 0, 0, 0, 0]))
    assert inner.told.tolist() == [1.0, -1.0]
    single = Fixed(Scaled(np.full(1, -1, np.float32), np.ones(1, np.float32), as_is=False), [[0.9]], Kind.ACTIONS)
    single._policy = torch.tensor([0.9])
    assert said(adapt(single, ["bins(3)"], SPACE, spaces.Discrete(3)), 0).policy.eq(2).all()


def test_bins_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="3 values for each of its dimensions"):
        adapt(Fixed(spaces.MultiDiscrete([3, 4]), [0.0] * 7), ["bins(3)"], SPACE, BOX)
    with pytest.raises(ValueError, match=r"give --teacher-adapters bins\(NUMBER\)"):
        adapt(Fixed(spaces.MultiDiscrete([3, 4]), [0.0] * 7), [], SPACE, BOX)
