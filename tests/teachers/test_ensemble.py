"""Several teachers as one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from kickstarting.algo.distributions import Categorical
from kickstarting.spaces import Scaled
from kickstarting.teachers import Kind, Label, adapt, load_teacher
from kickstarting.teachers.ensemble import Ensemble
from kickstarting.teachers.origins import absolute, digest
from kickstarting.types import Inputs, State

SPACE = spaces.Dict({})
T, B = 2, 3


class Fixed:
    """Says one and the same; its state counts."""

    ref, observation_space, device = "fixed", SPACE, "cpu"

    def __init__(self, space: Any, policy: Any, kind: Kind = Kind.PROBABILITIES, value: float | None = None, known: bool = True):
        self.action_space: spaces.Space = space if isinstance(space, spaces.Space) else spaces.Discrete(space)
        self._policy, self._kind, self._value, self._known = torch.tensor(policy), kind, value, known

    def initial_state(self, batch: int) -> State:
        return (torch.zeros(batch),)

    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        values = None if self._value is None else torch.full((T, B), self._value)
        known = None if self._known else torch.zeros(T, B, dtype=torch.bool)
        return Label(self._policy.expand(T, B, *self._policy.shape), self._kind, values, known), (state[0] + 1,)


def said(*members: Any) -> Label:
    ensemble = Ensemble(members, "ensemble:a,b")
    zeros = torch.zeros(T, B)
    label, state = ensemble.label(Inputs({}, zeros.long(), zeros, zeros.bool()), ensemble.initial_state(B))
    assert len(state) == len(members)
    assert all(x.eq(1).all() for x in state)
    return label


def test_probabilities_are_averaged_whatever_the_kind() -> None:
    label = said(
        Fixed(2, [0.9, 0.1], value=1.0), Fixed(2, [math.log(0.3), math.log(0.7)], Kind.PARAMETERS), Fixed(2, [0.5, 0.5], value=4.0)
    )
    torch.testing.assert_close(label.policy[0, 0].softmax(-1), torch.tensor([1.7 / 3, 1.3 / 3]))
    assert label.values is not None
    assert label.values.eq(2.5).all()
    assert label.known is None


def test_who_has_no_opinion_is_left_out() -> None:
    label = said(Fixed(2, [0.9, 0.1], value=1.0), Fixed(2, [0.5, 0.5], value=9.0, known=False))
    torch.testing.assert_close(label.policy[0, 0].softmax(-1), torch.tensor([0.9, 0.1]))
    assert label.values is not None
    assert label.values.eq(1.0).all()
    nobody = said(*[Fixed(2, [0.5, 0.5], known=False)] * 2)
    assert nobody.known is not None
    assert not nobody.known.any()
    assert nobody.policy.isfinite().all()


def test_the_loss_of_the_mean_is_the_mean_of_the_losses() -> None:
    """Why two teachers of half the weight distil the same as their ensemble."""
    p, q, student = torch.tensor([0.9, 0.1]), torch.tensor([0.3, 0.7]), torch.tensor([0.2, -0.4])
    label = said(Fixed(2, p.tolist()), Fixed(2, q.tolist())).policy[0, 0]
    H = Categorical(2).cross_entropy
    torch.testing.assert_close(H(label, student), (H(p.log(), student) + H(q.log(), student)) / 2)


def test_continuous_actions_become_the_moments_of_the_mixture() -> None:
    box = Scaled(np.full(1, -1, np.float32), np.ones(1, np.float32), as_is=False)
    label = said(Fixed(box, [0.5, math.log(0.2)], Kind.PARAMETERS), Fixed(box, [-0.5], Kind.ACTIONS))
    mean, log_std = label.policy[0, 0]
    torch.testing.assert_close(mean, torch.tensor(0.0))
    torch.testing.assert_close(log_std.exp(), torch.tensor(math.sqrt(0.25 + 0.02)))


def test_parts_of_an_action_are_averaged_each() -> None:
    space = spaces.MultiDiscrete([2, 3])
    label = said(Fixed(space, [0.2, 0.8, 0.1, 0.1, 0.8]), Fixed(space, [0.6, 0.4, 0.3, 0.3, 0.4]))
    parts = [part.softmax(-1) for part in label.policy[0, 0].split([2, 3])]
    torch.testing.assert_close(torch.cat(parts), torch.tensor([0.4, 0.6, 0.2, 0.2, 0.6]))


def test_adapters_reach_every_member() -> None:
    ensemble = Ensemble([Fixed(2, [0.9, 0.1]), Fixed(3, [0.2, 0.2, 0.6])], "ensemble:a,b")
    with pytest.raises(ValueError, match=r"acts in .*3.*; an ensemble acts in one action space"):
        said(*ensemble.members)
    adapted = adapt(ensemble, ["mask"], SPACE, spaces.Discrete(4))
    zeros = torch.zeros(T, B)
    label, _ = adapted.label(Inputs({}, zeros.long(), zeros, zeros.bool()), adapted.initial_state(B))
    torch.testing.assert_close(label.policy[0, 0].softmax(-1), torch.tensor([0.55, 0.15, 0.3, 0.0]))


def test_a_reference_names_its_members(make_policy, tmp_path, monkeypatch) -> None:
    a, b = make_policy(), make_policy(seed=7)
    teacher = load_teacher(f"ensemble:{a},run:{b}")
    assert isinstance(teacher, Ensemble)
    assert [member.ref for member in teacher.members] == [a, f"run:{b}"]
    assert digest(f"ensemble:{a},{b}") != digest(f"ensemble:{a},{a}")
    with pytest.raises(ValueError, match="has 1 members; an ensemble is written ensemble:REF,REF"):
        load_teacher(f"ensemble:{a}")
    with pytest.raises(ValueError, match="has no option 'epsilon'"):
        load_teacher(f"ensemble:{a},{b}?epsilon=1")
    monkeypatch.chdir(tmp_path)
    assert absolute("ensemble:x,run:y,zoo:z") == f"ensemble:{tmp_path / 'x'},run:{tmp_path / 'y'},zoo:z"
