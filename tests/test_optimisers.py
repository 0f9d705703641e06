"""RMSProp as TensorFlow 1 computes it, against its definition written out, how far Adam jumps, and how far a wide layer moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kickstarting.optimisers import RMSpropTF, make_optimiser, set_rate


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_rmsprop_is_tensorflows(momentum: float) -> None:
    decay, epsilon, rate = 0.99, 0.1, 0.01
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=5), rng.normal(size=(20, 5))
    weights, mean_square, buffer = start.copy(), np.ones(5), np.zeros(5)
    for g in gradients:
        mean_square = decay * mean_square + (1 - decay) * g**2
        buffer = momentum * buffer + rate * g / np.sqrt(mean_square + epsilon)
        weights = weights - buffer
    parameter = torch.tensor(start, requires_grad=True)
    optimiser = RMSpropTF([parameter], lr=rate, decay=decay, epsilon=epsilon, momentum=momentum)
    for g in gradients:
        parameter.grad = torch.tensor(g)
        optimiser.step()
    np.testing.assert_allclose(parameter.detach().numpy(), weights, rtol=1e-12)


def test_it_differs_from_torchs_rmsprop_where_the_papers_epsilon_matters() -> None:
    steps = []
    for make in (lambda p: RMSpropTF(p, lr=0.01, epsilon=0.1), lambda p: torch.optim.RMSprop(p, lr=0.01, eps=0.1)):
        parameter = torch.zeros(1, requires_grad=True)
        parameter.grad = torch.full((1,), 0.01)
        make([parameter]).step()
        steps.append(parameter.item())
    assert abs(steps[0] - steps[1]) > 1e-4


def test_a_parameter_without_gradient_stays() -> None:
    still, moved = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    moved.grad = torch.ones(2)
    RMSpropTF([still, moved], lr=0.1).step()
    assert torch.equal(still, torch.ones(2))
    assert not torch.equal(moved, torch.ones(2))


@pytest.mark.parametrize(("name", "key", "epsilon"), [("adam", "eps", 1e-5), ("rmsprop", "epsilon", 0.1)])
def test_optimisers_by_name(name: str, key: str, epsilon: float) -> None:
    parameter = torch.ones(1, requires_grad=True)
    assert make_optimiser(name, [parameter]).param_groups[0][key] == epsilon
    assert make_optimiser(name, [parameter], 1e-3).param_groups[0][key] == 1e-3


@pytest.mark.parametrize(("beta2", "steps"), [(0.999, 3.16), (0.99, 1.0)])
def test_after_a_long_calm_adam_moves_a_weight_by_so_many_learning_rates(beta2: float, steps: float) -> None:
    """A solved task's gradients are nearly 0; then one episode fails."""
    parameter, rate = torch.zeros(1, requires_grad=True), 0.01
    optimiser = make_optimiser("adam", [parameter], epsilon=1e-12, beta2=beta2)
    optimiser.param_groups[0]["lr"] = rate
    places = []
    for gradient in [1e-9] * 5000 + [1.0]:
        parameter.grad = torch.full((1,), gradient)
        optimiser.step()
        places.append(parameter.item())
    assert (places[-2] - places[-1]) / rate == pytest.approx(steps, rel=0.02)


def test_an_unknown_optimiser_is_named_with_its_neighbour() -> None:
    with pytest.raises(ValueError, match="did you mean rmsprop"):
        make_optimiser("rmsprob", [torch.ones(1, requires_grad=True)])


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_a_unit_of_many_inputs_moves_no_further_than_one_of_the_base_width(name: str) -> None:
    """Its first step, with gradients of one sign: the sum of what all its weights do, beside the rate times the base width."""
    sums = {}
    for inputs in (16, 64, 256):
        layer, convolution = torch.nn.Linear(inputs, 3), torch.nn.Conv2d(inputs // 4, 3, 2)
        before = [p.detach().clone() for p in (layer.weight, convolution.weight, layer.bias)]
        optimiser = make_optimiser(name, [*layer.parameters(), *convolution.parameters()], epsilon=1e-12, base_width=64)
        set_rate(optimiser, 0.01)
        for parameter in (*layer.parameters(), *convolution.parameters()):
            parameter.grad = torch.ones_like(parameter)
        optimiser.step()
        after = (p.detach() for p in (layer.weight, convolution.weight, layer.bias))
        moved = [float((a - b)[0].sum()) for a, b in zip(before, after, strict=True)]
        assert moved[0] == pytest.approx(moved[1], rel=1e-4)
        sums[inputs] = moved[0]
        assert moved[2] == pytest.approx(0.01, rel=1e-4)
    assert sums == pytest.approx({16: 0.16, 64: 0.64, 256: 0.64}, rel=1e-4)


def test_without_a_base_width_all_weights_take_the_rate() -> None:
    wide = torch.zeros(2, 1000, requires_grad=True)
    optimiser = make_optimiser("adam", [wide], epsilon=1e-12)
    set_rate(optimiser, 0.01)
    wide.grad = torch.ones_like(wide)
    optimiser.step()
    torch.testing.assert_close(wide.detach(), torch.full((2, 1000), -0.01))
