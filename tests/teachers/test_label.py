"""Teachers side by side label as each would alone, whoever is active."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from kickstarting.algo.distributions import Categorical, DiagonalGaussian, MultiCategorical
from kickstarting.algo.schedules import Constant
from kickstarting.hyperparameters import HyperparameterSchedules, Scheduled
from kickstarting.networks import build_network
from kickstarting.networks.recurrent import SideBySide
from kickstarting.suites import Suite, Task
from kickstarting.teachers import Assignment, Kind, Label, NetworkTeacher, Teachers
from kickstarting.teachers.label import parameters_of
from kickstarting.types import Inputs, Labels, Output, State, Trajectory

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
    made: list[Any] = [
        Foreign() if size is None else build_network("small", SPACE, Categorical(ACTIONS), {"lstm": size}) for size in LSTMS
    ]
    for network in made[:-1]:
        torch.nn.init.normal_(network.requires_grad_(False).policy.weight)
    return made


def assignment(teacher: Any, columns: list[int]) -> Assignment:
    return Assignment(teacher, torch.tensor(columns))


def taught(network: Any, columns: list[int]) -> Assignment:
    return assignment(NetworkTeacher(network, SPACE, spaces.Discrete(ACTIONS)), columns)


def teachers_of(*assignments: Assignment) -> Teachers:
    return Teachers(assignments, B, Categorical(ACTIONS), spaces.Discrete(ACTIONS))


def labels_of(trajectory: Trajectory) -> Labels:
    assert trajectory.labels is not None
    return trajectory.labels


def trajectory(seed: int) -> Trajectory:
    rng = torch.Generator().manual_seed(seed)
    observations = {"state": torch.randn(T + 1, B, 5, generator=rng)}
    actions = torch.randint(ACTIONS, (T + 1, B), generator=rng)
    is_first = torch.rand(T + 1, B, generator=rng) < 0.2
    inputs = Inputs(observations, actions, torch.randn(T + 1, B, generator=rng), is_first)
    return Trajectory(inputs, actions[:-1], *(torch.zeros(T, B) for _ in range(5)), initial_state=())


def test_labels_equal_those_of_each_teacher_alone(networks: list[Any]) -> None:
    """Through unrolls in which teachers fall silent, so that they forget, and return."""
    together = teachers_of(*(taught(*x) for x in zip(networks, COLUMNS, strict=True)))
    alone = [teachers_of(taught(*x)) for x in zip(networks, COLUMNS, strict=True)]
    silent = [[], [], [1], [1], [], [0, 2, 5], [0, 1, 2], []]
    for seed, quiet in enumerate(silent):
        lambdas = [np.full(B, 0.0 if i in quiet else 0.5 + i) for i in range(len(networks))]
        labels = labels_of(together.label(trajectory(seed), lambdas))
        assert labels.policy.shape == (2, T, B, ACTIONS)
        assert labels.weights.shape == (2, T, B)
        assert labels.values is not None
        for single, member, own in zip(alone, together.assignments, lambdas, strict=True):
            expected = single.label(trajectory(seed), [own]).labels
            slots, columns = member.slots, member.columns
            assert (labels.weights[slots, :, columns] == own[0]).all()
            if expected is None:
                assert not labels.policy[slots, :, columns].any()
                continue
            assert expected.values is not None
            for ours, theirs in ((labels.policy, expected.policy), (labels.values, expected.values)):
                torch.testing.assert_close(ours[slots, :, columns], theirs[0][:, columns].transpose(0, 1), rtol=1e-5, atol=1e-5)
    together.forget()
    again = labels_of(together.label(trajectory(0), [np.ones(B)] * len(networks)))
    fresh = teachers_of(*(taught(*x) for x in zip(networks, COLUMNS, strict=True)))
    first = labels_of(fresh.label(trajectory(0), [np.ones(B)] * len(networks)))
    torch.testing.assert_close(again.policy, first.policy)


def test_teachers_of_one_size_are_run_as_one(networks: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr("kickstarting.teachers.network.run_network", lambda *x: calls.append(x[0]) or x[0](*x[1:]))
    teachers = teachers_of(*(taught(*x) for x in zip(networks, COLUMNS, strict=True)))
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
        shared = NetworkTeacher(type("Counted", (), methods)(), SPACE, spaces.Discrete(ACTIONS))
        together = teachers_of(*(assignment(shared, columns) for columns in ([0, 1, 5], [7, 2])))
        alone = [teachers_of(taught(network, columns)) for columns in ([0, 1, 5], [7, 2])]
        for seed in range(3):
            calls.clear()
            unroll = trajectory(seed)
            labels = labels_of(together.label(unroll, [np.ones(B), np.ones(B)]))
            assert calls == [5]
            for one in alone:
                expected, columns = labels_of(one.label(unroll, [np.ones(B)])), one.assignments[0].columns
                torch.testing.assert_close(labels.policy[0][:, columns], expected.policy[0][:, columns])


class Says:
    """A teacher that says one and the same about every input."""

    ref, observation_space, device = "says", SPACE, "cpu"

    def __init__(self, label: Label, action_space: spaces.Space | None = None) -> None:
        self.action_space = action_space or spaces.Discrete(ACTIONS)
        self._label = label
        self.heard: list[Inputs] = []

    def initial_state(self, batch: int) -> State:
        return ()

    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        self.heard.append(inputs)
        shape = inputs.is_first.shape
        whole: dict[str, Any] = {
            n: x if x is None or n == "kind" else x.expand(*shape, *x.shape) for n, x in self._label._asdict().items()
        }
        return Label(**whole), state


def test_all_kinds_of_labels_of_one_policy_are_one_label() -> None:
    """Logits, their probabilities, and actions with a smoothing that makes the same policy."""
    probabilities = torch.tensor([0.1, 0.8, 0.1])
    kinds = {
        Kind.PARAMETERS: probabilities.log() + 3.0,
        Kind.PROBABILITIES: probabilities,
        Kind.ACTIONS: torch.tensor(1),
    }
    for kind, policy in kinds.items():
        parameters = parameters_of(Label(policy, kind), Categorical(ACTIONS), spaces.Discrete(ACTIONS), smoothing=0.3)
        torch.testing.assert_close(parameters.softmax(-1), probabilities)


def test_of_each_component_of_several_actions_the_kinds_agree() -> None:
    distribution = MultiCategorical((2, 3))
    label = Label(torch.tensor([1, 2]), Kind.ACTIONS)
    parameters = parameters_of(label, distribution, spaces.MultiDiscrete([2, 3]), smoothing=0.0)
    assert distribution.mode(parameters).tolist() == [1, 2]
    of_probabilities = parameters_of(
        Label(torch.tensor([0.0, 1.0, 0.0, 0.0, 1.0]), Kind.PROBABILITIES), distribution, spaces.Discrete(1)
    )
    torch.testing.assert_close(parameters, of_probabilities)
    student = torch.randn(5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(distribution.cross_entropy(parameters, student), -distribution.log_prob(student, label.policy))


def test_a_continuous_action_is_a_target_clipped_into_its_bounds() -> None:
    """The cross-entropy is exactly -log pi(target), its gradient too."""
    distribution, space = DiagonalGaussian(2), spaces.Box(-1.0, 1.0, (2,), np.float32)
    parameters = parameters_of(Label(torch.tensor([0.3, 7.0]), Kind.ACTIONS), distribution, space)
    student = torch.tensor([0.5, -0.2, -1.0, 0.3], requires_grad=True)
    target = torch.tensor([0.3, 1.0])
    crossed, expected = distribution.cross_entropy(parameters, student), -distribution.log_prob(student, target)
    torch.testing.assert_close(crossed, expected)
    gradients = [torch.autograd.grad(x, student)[0] for x in (crossed, expected)]
    torch.testing.assert_close(*gradients)
    with pytest.raises(ValueError, match="no probabilities"):
        parameters_of(Label(target, Kind.PROBABILITIES), distribution, space)


def test_no_opinion_and_no_critic_have_no_weight() -> None:
    known = torch.tensor(False)
    logits = torch.tensor([1.0, 2.0, 3.0])
    sure = Says(Label(logits, values=torch.tensor(4.0)))
    lost, blind = Says(Label(logits, values=torch.tensor(5.0), known=known)), Says(Label(logits))
    teachers = teachers_of(*(assignment(teacher, [0, 1]) for teacher in (sure, lost, blind)))
    labels = labels_of(teachers.label(trajectory(0), [np.full(B, 0.5)] * 3))
    assert labels.value_weights is not None
    assert labels.values is not None
    assert labels.weights[:, :, 0].tolist() == [[0.5] * T, [0.0] * T, [0.5] * T]
    assert labels.value_weights[:, :, 1].tolist() == [[0.5] * T, [0.0] * T, [0.0] * T]
    assert labels.values[0, :, 0].tolist() == [4.0] * T


def test_a_single_column_is_labelled_and_has_a_mean_lambda() -> None:
    """One environment: indices of one element stay arrays."""
    teachers = Teachers(
        [assignment(Says(Label(torch.tensor([1.0, 2.0, 3.0]))), [0])], 1, Categorical(ACTIONS), spaces.Discrete(ACTIONS)
    )
    labels = labels_of(teachers.label(trajectory(0).columns(slice(0, 1)), [np.array([0.5])]))
    assert labels.weights.tolist() == [[[0.5]] * T]
    scheduled = Scheduled((Constant(0.5),), (1.0,), {})
    suite = Suite("one", (Task("one", "unused", action_repeat=1),))
    schedules = HyperparameterSchedules(scheduled, teachers, suite, np.array([0]))
    hyperparameters, lambdas = schedules.at(0, np.array([np.nan]))
    assert schedules.metrics(hyperparameters, lambdas)["lambda/says"] == 0.5
