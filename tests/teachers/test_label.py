"""Teachers side by side label as each would alone, whoever is active."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from kickstarting.algo.distributions import Categorical
from kickstarting.networks import build_network
from kickstarting.networks.recurrent import SideBySide
from kickstarting.teachers import Teacher, Teachers
from kickstarting.types import Inputs, Output, State, Trajectory

T, B, ACTIONS = 4, 10, 3
SPACE = spaces.Dict({"state": spaces.Box(-np.inf, np.inf, (5,), np.float32)})
COLUMNS = [[0, 1], [7, 2], [4, 5], [8, 9, 3], [6, 0], [1, 5]]
LSTMS = [8, 8, 8, 8, 4, None]
"""The first three fit side by side; others have another number of columns, another LSTM, or another network."""


class Foreign:
    """A network of no kind that the package knows; its state counts the steps since it was forgotten."""

    def initial_state(self, batch: int) -> State:
        return (torch.zeros(batch, 1),)

    def __call__(self, inputs: Inputs, state: State) -> tuple[Output, State]:
        counts = state[0] + torch.arange(1.0, len(inputs.is_first) + 1)[:, None, None]
        return Output(counts.expand(-1, -1, ACTIONS), counts[..., 0]), (counts[-1],)


@pytest.fixture
def networks() -> list[Any]:
    torch.manual_seed(0)
    made = [Foreign() if size is None else build_network("small", SPACE, Categorical(ACTIONS), {"lstm": size}) for size in LSTMS]
    for network in made[:-1]:
        torch.nn.init.normal_(network.requires_grad_(False).policy.weight)
    return made


def teacher(network: Any, columns: list[int]) -> Teacher:
    policy: Any = SimpleNamespace(ref="", network=network, distribution=Categorical(ACTIONS))
    return Teacher(policy, np.array(columns), B)


def trajectory(seed: int) -> Trajectory:
    rng = torch.Generator().manual_seed(seed)
    observations = {"state": torch.randn(T + 1, B, 5, generator=rng)}
    actions = torch.randint(ACTIONS, (T + 1, B), generator=rng)
    is_first = torch.rand(T + 1, B, generator=rng) < 0.2
    inputs = Inputs(observations, actions, torch.randn(T + 1, B, generator=rng), is_first)
    return Trajectory(inputs, actions[:-1], *(torch.zeros(T, B) for _ in range(5)), initial_state=())


def test_labels_equal_those_of_each_teacher_alone(networks: list[Any]) -> None:
    """Through unrolls in which teachers fall silent, so that they forget, and return."""
    together = Teachers([teacher(*x) for x in zip(networks, COLUMNS, strict=True)], B)
    alone = [Teachers([teacher(*x)], B) for x in zip(networks, COLUMNS, strict=True)]
    silent = [[], [], [1], [1], [], [0, 2, 5], [0, 1, 2], []]
    for seed, quiet in enumerate(silent):
        weights = [np.full(B, 0.0 if i in quiet else 0.5 + i) for i in range(len(networks))]
        labelled = together.label(trajectory(seed), weights)
        assert labelled.teacher_logits is not None
        assert labelled.teacher_values is not None
        assert labelled.teacher_weights is not None
        assert labelled.teacher_logits.shape == (2, T, B, ACTIONS)
        for single, member, weight in zip(alone, together.teachers, weights, strict=True):
            expected = single.label(trajectory(seed), [weight])
            slots, columns = member.slots, member.columns
            assert (labelled.teacher_weights[slots, columns] == weight[0]).all()
            if expected.teacher_logits is not None and expected.teacher_values is not None:
                for ours, theirs in (
                    (labelled.teacher_logits, expected.teacher_logits),
                    (labelled.teacher_values, expected.teacher_values),
                ):
                    torch.testing.assert_close(ours[slots, :, columns], theirs[0][:, columns].transpose(0, 1), rtol=1e-5, atol=1e-5)
            else:
                assert not labelled.teacher_logits[slots, :, columns].any()
    together.forget()
    again = together.label(trajectory(0), [np.ones(B)] * len(networks)).teacher_logits
    first = Teachers([teacher(*x) for x in zip(networks, COLUMNS, strict=True)], B).label(
        trajectory(0), [np.ones(B)] * len(networks)
    )
    torch.testing.assert_close(again, first.teacher_logits)


def test_teachers_of_one_size_are_run_as_one(networks: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr("kickstarting.teachers.label.run_network", lambda *x: calls.append(x[0]) or x[0](*x[1:]))
    teachers = Teachers([teacher(*x) for x in zip(networks, COLUMNS, strict=True)], B)
    teachers.label(trajectory(0), [np.ones(B)] * len(networks))
    assert [x.networks for x in calls if isinstance(x, SideBySide)] == [networks[:3]]
    assert all(sum(x is network for x in calls) == 1 for network in networks[3:])
    assert len(calls) == 4


def test_one_policy_under_several_patterns_is_one_batch(networks: list[Any]) -> None:
    """Two patterns of unequal width, a foreign network as well as an own one; each keeps its own state."""
    for network in (networks[0], networks[-1]):
        calls: list[int] = []

        def counted(inputs: Inputs, state: State, network: Any = network, calls: list[int] = calls) -> tuple[Output, State]:
            calls.append(inputs.is_first.shape[1])
            return network(inputs, state)

        methods = {"initial_state": staticmethod(network.initial_state), "__call__": staticmethod(counted)}
        shared: Any = SimpleNamespace(ref="", network=type("Counted", (), methods)(), distribution=Categorical(ACTIONS))
        two = [Teacher(shared, np.array(columns), B) for columns in ([0, 1, 5], [7, 2])]
        alone = [teacher(network, columns) for columns in ([0, 1, 5], [7, 2])]
        together = Teachers(two, B)
        for seed in range(3):
            calls.clear()
            unroll = trajectory(seed)
            labelled = together.label(unroll, [np.ones(B), np.ones(B)])
            assert calls == [5]
            assert labelled.teacher_logits is not None
            for one in alone:
                expected = one.output(unroll).logits
                torch.testing.assert_close(labelled.teacher_logits[0][:, one.columns], expected)
