"""The fast LSTM against its plain form, torch's own, and the meaning of a reset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kickstarting.networks.lstm import LSTM, lstm_unroll, lstm_unroll_plain

T, B, H = 6, 4, 5
EXACT: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-10}


def inputs(T: int = T, B: int = B, H: int = H, seed: int = 0) -> tuple[list[Tensor], Tensor]:
    """projected, weight, h, c (float64 leaves) and reset, which is at the first step, in the middle, and nowhere."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(T, B, 4 * H), (4 * H, H), (B, H), (B, H)]
    tensors = [torch.randn(*s, generator=generator, dtype=torch.float64).requires_grad_() for s in shapes]
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[0, 0] = reset[T // 2, 0] = reset[T // 2, 1] = reset[-1, 2] = True
    return tensors, reset


def test_values_and_gradients_equal_the_plain_form() -> None:
    tensors, reset = inputs()
    fast, plain = lstm_unroll(*tensors, reset=reset), lstm_unroll_plain(*tensors, reset=reset)
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(x.shape, generator=generator, dtype=x.dtype) for x in plain]
    for x, y in zip(fast, plain, strict=True):
        torch.testing.assert_close(x, y, **EXACT)
    gradients = [torch.autograd.grad(result, tensors, weights) for result in (fast, plain)]
    for x, y in zip(*gradients, strict=True):
        torch.testing.assert_close(x, y, **EXACT)


def test_bfloat16_products_are_near_and_everything_else_float32() -> None:
    tensors, reset = inputs()
    low = [x.detach().float().requires_grad_() for x in tensors]
    with torch.autocast("cpu", torch.bfloat16):
        fast = lstm_unroll(low[0].bfloat16(), *low[1:], reset=reset)
    plain = lstm_unroll_plain(*tensors, reset=reset)
    gradients = [
        torch.autograd.grad(torch.stack([x.square().sum() for x in r]).sum(), t) for r, t in ((fast, low), (plain, tensors))
    ]
    for x, y in zip((*fast, *gradients[0]), (*plain, *gradients[1]), strict=True):
        assert x.dtype == torch.float32
        assert 0 < (x - y).abs().max() < 0.03 * y.abs().max()


def test_gradcheck() -> None:
    tensors, reset = inputs(T=3, B=3, H=2)
    assert torch.autograd.gradcheck(lambda *x: lstm_unroll(*x, reset=reset), tensors)


@pytest.mark.parametrize("leaf", range(4), ids=["projected", "weight", "h", "c"])
def test_one_leaf_alone_receives_its_gradient(leaf: int) -> None:
    tensors, reset = inputs()
    tensors = [x.detach().requires_grad_(i == leaf) for i, x in enumerate(tensors)]
    sums = [unroll(*tensors, reset=reset)[0].sum() for unroll in (lstm_unroll, lstm_unroll_plain)]
    fast, plain = (torch.autograd.grad(x, tensors[leaf])[0] for x in sums)
    torch.testing.assert_close(fast, plain, **EXACT)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients_the_values_are_the_same(mode: type) -> None:
    tensors, reset = inputs()
    with mode():
        results = lstm_unroll(*tensors, reset=reset)
    for x, y in zip(results, lstm_unroll_plain(*tensors, reset=reset), strict=True):
        assert not x.requires_grad
        torch.testing.assert_close(x.clone(), y.detach(), **EXACT)


@pytest.mark.parametrize("grad", [True, False])
def test_inputs_are_left_alone(grad: bool) -> None:
    tensors, reset = inputs()
    before = [x.detach().clone() for x in tensors]
    with torch.set_grad_enabled(grad):
        outputs, h, c = lstm_unroll(*tensors, reset=reset)
    assert all(torch.equal(x, y) for x, y in zip(tensors, before, strict=True))
    assert len({x.data_ptr() for x in (*tensors, outputs[-1], h, c)}) == 7  # and no result aliases another


def test_equals_torchs_lstm_without_resets() -> None:
    ours, theirs = LSTM(3, H).double(), nn.LSTM(3, H).double()
    order = torch.cat([torch.arange(4 * H).chunk(4)[gate] for gate in (0, 1, 3, 2)])  # theirs is i, f, g, o
    with torch.no_grad():
        theirs.get_parameter("weight_ih_l0").copy_(ours.input.weight[order])
        theirs.get_parameter("weight_hh_l0").copy_(ours.weight[order])
        theirs.get_parameter("bias_ih_l0").copy_(ours.input.bias[order])
        theirs.get_parameter("bias_hh_l0").zero_()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(T, B, 3, generator=generator, dtype=torch.float64)
    h, c = torch.randn(2, B, H, generator=generator, dtype=torch.float64)
    outputs, (last_h, last_c) = ours(x, (h, c), torch.zeros(T, B, dtype=torch.bool))
    expected, (expected_h, expected_c) = theirs(x, (h[None], c[None]))
    torch.testing.assert_close(outputs, expected, **EXACT)
    torch.testing.assert_close((last_h, last_c), (expected_h[0], expected_c[0]), **EXACT)


def test_forget_bias_is_1_and_the_other_biases_0() -> None:
    bias = LSTM(3, H).input.bias.detach()
    assert bias.tolist() == [0.0] * H + [1.0] * H + [0.0] * 2 * H


@pytest.mark.parametrize("unroll", [lstm_unroll, lstm_unroll_plain])
def test_a_reset_in_mid_unroll_is_a_fresh_start(unroll: Callable[..., tuple[Tensor, Tensor, Tensor]]) -> None:
    (projected, weight, h, c), _ = inputs()
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[3, 1] = True
    outputs, last_h, last_c = unroll(projected, weight, h, c, reset)
    zeros = torch.zeros(1, H, dtype=torch.float64)
    fresh = unroll(projected[3:, [1]], weight, zeros, zeros, reset[3:, [1]] & False)
    torch.testing.assert_close((outputs[3:, [1]], last_h[[1]], last_c[[1]]), tuple(fresh), **EXACT)
    (gradient,) = torch.autograd.grad(outputs[3:].sum(), h)
    assert gradient[0].any()
    assert not gradient[1].any()


def test_one_unroll_equals_many_of_one_step() -> None:
    lstm, generator = LSTM(3, H).double(), torch.Generator().manual_seed(0)
    x = torch.randn(T, B, 3, generator=generator, dtype=torch.float64)
    _, reset = inputs()
    outputs, last = lstm(x, lstm.initial_state(B), reset)
    state, steps = lstm.initial_state(B), []
    for t in range(T):
        y, state = lstm(x[t : t + 1], state, reset[t : t + 1])
        steps.append(y)
    torch.testing.assert_close(outputs, torch.cat(steps), **EXACT)
    torch.testing.assert_close(tuple(last), tuple(state), **EXACT)
