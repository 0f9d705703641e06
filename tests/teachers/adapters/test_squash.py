"""Teachers whose actions are clipped teach students whose actions are squashed, and the other way round."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from kickstarting.algo.distributions import DiagonalGaussian
from kickstarting.algo.moments import CLOSEST
from kickstarting.algo.squashed import SquashedGaussian
from kickstarting.space_json import describe_space, read_space
from kickstarting.spaces import Scaled, make_distribution, squash
from kickstarting.teachers import Kind, Label, Teacher, adapt
from kickstarting.teachers.label import parameters_of
from kickstarting.types import Inputs, State
from known import drawn

NOTHING = spaces.Dict({})
T, B = 1, 2
BOX = Scaled(np.full(1, -1, np.float32), np.ones(1, np.float32), as_is=False)
UNKNOWN = Scaled(np.full(1, -np.inf, np.float32), np.full(1, np.inf, np.float32), as_is=False)
"""Of a teacher from elsewhere, which does not say its bounds."""
SQUASHED = squash(BOX)


class Fixed:
    ref, observation_space, device = "fixed", NOTHING, "cpu"

    def __init__(self, action_space: spaces.Space, policy: Any, kind: Kind = Kind.PARAMETERS) -> None:
        self.action_space, self._policy, self._kind = action_space, torch.tensor(policy), kind

    def initial_state(self, batch: int) -> State:
        return ()

    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        return Label(self._policy.expand(T, B, *self._policy.shape), self._kind), state


def said(teacher: Teacher, action_space: spaces.Space) -> torch.Tensor:
    fitted = adapt(teacher, (), NOTHING, action_space)
    assert describe_space(fitted.action_space) == describe_space(action_space)
    label, _ = fitted.label(Inputs({}, torch.zeros(T, B, 1), torch.zeros(T, B), torch.zeros(T, B, dtype=torch.bool)), ())
    return parameters_of(label, make_distribution(action_space), action_space)[0, 0]


@pytest.mark.parametrize("policy", [(0.3, -0.7), (-1.4, 0.2)])
def test_a_squashed_teachers_label_has_its_cross_entropy(policy: tuple[float, float]) -> None:
    """To a student whose actions are clipped: that of the teacher's own actions."""
    student, gaussian = torch.tensor([0.2, -0.4]), DiagonalGaussian(1)
    actions = drawn(SquashedGaussian(1), torch.tensor(policy).expand(100_000, 2), torch.Generator().manual_seed(0))
    surprise = -gaussian.log_prob(student, actions)
    label = said(Fixed(SQUASHED, policy), BOX)
    assert (surprise.mean() - gaussian.cross_entropy(label, student)).abs() < 5 * surprise.std() / 100_000**0.5 + 2e-3


@pytest.mark.parametrize("space", [BOX, UNKNOWN])
@pytest.mark.parametrize("policy", [(0.3, -0.7), (-1.4, 0.2)])
def test_a_clipped_teachers_label_has_its_cross_entropy(space: Scaled, policy: tuple[float, float]) -> None:
    """To a squashed student, but for the slope of its tanh: that of the actions, clipped a little earlier."""
    student, plain = torch.tensor([0.2, -0.4]), DiagonalGaussian(1)
    actions = drawn(plain, torch.tensor(policy).expand(100_000, 2), torch.Generator().manual_seed(0))
    before = actions.clamp(-CLOSEST, CLOSEST).atanh()
    surprise = -plain.log_prob(student, before)
    label = said(Fixed(space, policy), SQUASHED)
    assert (surprise.mean() - plain.cross_entropy(label, student)).abs() < 5 * surprise.std() / 100_000**0.5 + 0.02


def test_actions_alone_are_clipped_into_the_bounds() -> None:
    target = said(Fixed(UNKNOWN, [3.0], Kind.ACTIONS), SQUASHED)
    assert target.tolist() == pytest.approx([math.atanh(CLOSEST), -math.inf])
    assert said(Fixed(UNKNOWN, [3.0], Kind.ACTIONS), BOX).tolist() == [1.0, -math.inf]


def test_teachers_of_the_students_kind_are_untouched() -> None:
    for space in (BOX, SQUASHED):
        teacher = Fixed(space, [0.3, -0.7])
        assert adapt(teacher, (), NOTHING, space) is teacher


def test_bins_reach_a_squashed_student() -> None:
    """A teacher of 21 even steps that does one of them: the student hears that action, before the tanh."""
    policy = [-100.0] * 21
    policy[15] = 0.0
    fitted = adapt(Fixed(spaces.Discrete(21), policy), ["bins(21)"], NOTHING, SQUASHED)
    inputs = Inputs({}, torch.zeros(T, B, 1), torch.zeros(T, B), torch.zeros(T, B, dtype=torch.bool))
    label, _ = fitted.label(inputs, ())
    assert label.policy[0, 0, 0].item() == pytest.approx(math.atanh(0.5), abs=0.01)


def test_other_sizes_are_refused() -> None:
    other = Scaled(np.full(2, -1, np.float32), np.ones(2, np.float32), as_is=False)
    with pytest.raises(ValueError, match="they must share the action space"):
        adapt(Fixed(other, [0.0] * 4), (), NOTHING, SQUASHED)


def test_the_law_is_a_part_of_the_space() -> None:
    assert describe_space(read_space(describe_space(SQUASHED))) == describe_space(SQUASHED)
    assert isinstance(make_distribution(read_space(describe_space(SQUASHED))), SquashedGaussian)
    assert not isinstance(make_distribution(read_space(describe_space(BOX))), SquashedGaussian)


@pytest.mark.parametrize("space", [spaces.Discrete(3), UNKNOWN])
def test_only_bounded_actions_can_be_squashed(space: spaces.Space) -> None:
    with pytest.raises(ValueError, match="squash_actions is for continuous actions with two bounds each"):
        squash(space)
