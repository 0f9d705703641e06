"""One contract for every distribution, against torch.distributions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch import distributions as td

from kickstarting.algo.distributions import (
    IMPOSSIBLE,
    LEAST_LOG_PROB,
    LOG_STD,
    Categorical,
    DiagonalGaussian,
    Distribution,
    MultiCategorical,
)
from known import drawn


class Case(NamedTuple):
    distribution: Distribution
    reference: Callable[[Tensor], list[td.Distribution]]
    """Parameters to torch's independent factors; factor d is that of the action's component d."""
    mean: Callable[[Tensor], Tensor]
    """The expectation of an encoded action."""


def gaussian_factors(logits: Tensor) -> list[td.Distribution]:
    means, log_stds = logits.chunk(2, -1)
    return [td.Normal(m, s.exp()) for m, s in zip(means.unbind(-1), log_stds.unbind(-1), strict=True)]


CASES = {
    "categorical": Case(Categorical(5), lambda x: [td.Categorical(logits=x)], lambda x: x.softmax(-1)),
    "multi": Case(
        MultiCategorical((2, 3, 4)),
        lambda x: [td.Categorical(logits=part) for part in x.split([2, 3, 4], -1)],
        lambda x: torch.cat([part.softmax(-1) for part in x.split([2, 3, 4], -1)], -1),
    ),
    "gaussian": Case(DiagonalGaussian(3), gaussian_factors, lambda x: x.chunk(2, -1)[0]),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def parameters(case: Case, *shape: int, seed: int = 0) -> Tensor:
    """Within the Gaussian's clamp, which has a test of its own."""
    return torch.randn(*shape, case.distribution.size, dtype=torch.float64, generator=seeded(seed)).clamp(-1.9, 1.9)


def components(case: Case, actions: Tensor) -> tuple[Tensor, ...]:
    return actions.unbind(-1) if case.distribution.action_shape else (actions,)


def test_shapes_and_types(case: Case) -> None:
    distribution, logits = case.distribution, parameters(case, 4, 2)
    for actions in (drawn(distribution, logits.float()), distribution.mode(logits.float())):
        assert actions.shape == (4, 2, *distribution.action_shape)
        assert actions.dtype == distribution.action_dtype
        encoded = distribution.encode(actions)
        assert encoded.shape == (4, 2, distribution.encoding_size)
        assert encoded.dtype == torch.float32
        assert distribution.log_prob(logits, actions).shape == (4, 2)
    assert distribution.entropy(logits).shape == distribution.cross_entropy(logits, logits).shape == (4, 2)


def test_log_prob(case: Case) -> None:
    logits = parameters(case, 4, 2)
    actions = drawn(case.distribution, logits, seeded(1))
    factors = zip(case.reference(logits), components(case, actions), strict=True)
    torch.testing.assert_close(case.distribution.log_prob(logits, actions), sum(f.log_prob(a) for f, a in factors))


def test_entropy(case: Case) -> None:
    logits = parameters(case, 4, 2)
    torch.testing.assert_close(case.distribution.entropy(logits), sum(f.entropy() for f in case.reference(logits)))


def test_cross_entropy_is_kl_plus_entropy_of_the_teacher(case: Case) -> None:
    teacher, student = parameters(case, 4, 2, seed=1), parameters(case, 4, 2, seed=2)
    factors = zip(case.reference(teacher), case.reference(student), strict=True)
    expected = sum(td.kl_divergence(t, s) + t.entropy() for t, s in factors)
    torch.testing.assert_close(case.distribution.cross_entropy(teacher, student), expected)


def test_kl_is_torchs_in_both_directions(case: Case) -> None:
    teacher, student = parameters(case, 4, 2, seed=1), parameters(case, 4, 2, seed=2)
    factors = list(zip(case.reference(teacher), case.reference(student), strict=True))
    torch.testing.assert_close(case.distribution.kl(teacher, student), sum(td.kl_divergence(t, s) for t, s in factors))
    torch.testing.assert_close(case.distribution.reverse_kl(teacher, student), sum(td.kl_divergence(s, t) for t, s in factors))


def test_samples_follow_the_distribution(case: Case) -> None:
    n = 40_000
    logits = parameters(case, 3, seed=3)
    actions = drawn(case.distribution, logits.expand(n, 3, -1), seeded(4))
    encoded = case.distribution.encode(actions).double()
    standard_error = encoded.std(0) / n**0.5
    assert ((encoded.mean(0) - case.mean(logits)).abs() < 5 * standard_error).all()
    surprise = -case.distribution.log_prob(logits.expand(n, 3, -1), actions)  # its mean is the entropy
    assert ((surprise.mean(0) - case.distribution.entropy(logits)).abs() < 5 * surprise.std(0) / n**0.5).all()


def test_a_generator_decides_the_sample(case: Case) -> None:
    logits = parameters(case, 100)
    torch.manual_seed(0)
    first = drawn(case.distribution, logits, seeded(7))
    torch.manual_seed(1)
    assert torch.equal(first, drawn(case.distribution, logits, seeded(7)))
    assert not torch.equal(first, drawn(case.distribution, logits, seeded(8)))


def test_sampling_leaves_the_parameters_alone(case: Case) -> None:
    logits = parameters(case, 10)
    before = logits.clone()
    drawn(case.distribution, logits)
    assert torch.equal(logits, before)


def test_mode_is_most_likely(case: Case) -> None:
    logits = parameters(case, 2)
    samples = drawn(case.distribution, logits.expand(200, 2, -1), seeded(0))
    most = case.distribution.log_prob(logits, case.distribution.mode(logits))
    assert (case.distribution.log_prob(logits.expand(200, 2, -1), samples) <= most).all()


def test_no_action_is_encoded_as_zeros(case: Case) -> None:
    d = case.distribution
    none = torch.full((4, 2, *d.action_shape), d.no_action, dtype=d.action_dtype)
    assert torch.equal(d.encode(none), torch.zeros(4, 2, d.encoding_size))


def test_gradients_reach_the_parameters(case: Case) -> None:
    logits, teacher = parameters(case, 3).requires_grad_(), parameters(case, 3, seed=1)
    actions = drawn(case.distribution, logits.detach(), seeded(0))
    for function in (
        lambda x: case.distribution.log_prob(x, actions),
        case.distribution.entropy,
        lambda x: case.distribution.cross_entropy(teacher, x),
        lambda x: case.distribution.kl(teacher, x),
        lambda x: case.distribution.reverse_kl(teacher, x),
    ):
        assert torch.autograd.gradcheck(function, logits)


def test_the_teacher_receives_no_gradient(case: Case) -> None:
    logits, teacher = parameters(case, 3).requires_grad_(), parameters(case, 3, seed=1).requires_grad_()
    for distance in (case.distribution.cross_entropy, case.distribution.kl, case.distribution.reverse_kl):
        distance(teacher, logits).sum().backward()
    assert teacher.grad is None


def test_actions_receive_and_carry_no_gradient(case: Case) -> None:
    logits = parameters(case, 3).requires_grad_()
    actions = drawn(case.distribution, logits)
    assert not actions.requires_grad
    if actions.is_floating_point():
        actions.requires_grad_()
        case.distribution.log_prob(logits, actions).sum().backward()
        assert actions.grad is None


def test_categorical_actions_are_one_hot() -> None:
    encoded = MultiCategorical((2, 3)).encode(torch.tensor([[1, 0], [0, 2]]))
    assert encoded.tolist() == [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]


@pytest.mark.parametrize(("log_std", "clamped"), [(-9.0, -5.0), (7.0, 2.0)])
def test_gaussian_clamps_its_log_standard_deviation(log_std: float, clamped: float) -> None:
    wild, tame = torch.tensor([0.3, log_std]), torch.tensor([0.3, clamped])
    distribution, action, teacher = DiagonalGaussian(1), torch.tensor([0.7]), torch.tensor([0.5, 0.1])
    assert distribution.entropy(wild) == distribution.entropy(tame)
    assert distribution.log_prob(wild, action) == distribution.log_prob(tame, action)
    assert distribution.cross_entropy(teacher, wild) == distribution.cross_entropy(teacher, tame)
    assert torch.equal(drawn(distribution, wild, seeded(0)), drawn(distribution, tame, seeded(0)))


@pytest.mark.parametrize("distribution", [Categorical(3), MultiCategorical((3, 3))])
def test_what_a_teacher_never_does_is_finite_in_reverse(distribution: Categorical | MultiCategorical) -> None:
    """And what neither can do, as in a task with fewer actions, counts nothing."""
    parts = distribution.size // 3
    student = torch.tensor([0.0, 0.0, IMPOSSIBLE] * parts, requires_grad=True)
    never = torch.tensor([0.0, IMPOSSIBLE, IMPOSSIBLE] * parts)
    distance = distribution.reverse_kl(never, student)
    assert distance.item() == pytest.approx(parts * (0.5 * -LEAST_LOG_PROB - math.log(2)), abs=1e-4)
    distance.backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()
    assert distribution.kl(student, student).item() == 0


def test_a_point_has_finite_distances() -> None:
    point, student = torch.tensor([0.5, -math.inf]), torch.tensor([0.1, -0.3])
    gaussian, narrow = DiagonalGaussian(1), torch.tensor([0.5, LOG_STD[0]])
    assert gaussian.kl(point, student) == gaussian.kl(narrow, student)
    assert gaussian.reverse_kl(point, student).isfinite()
