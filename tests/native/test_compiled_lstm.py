"""The compiled LSTM against its plain form. Where none was compiled there is nothing to test, and nothing that depends on it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from kickstarting.native.kernels import kernels
from kickstarting.networks.lstm import LSTM, compiled_loop, lstm_unroll, lstm_unroll_plain

pytestmark = pytest.mark.skipif(kernels() is None, reason="no compiled loop for this processor, or no compiler at the installation")
NEAR: dict[str, Any] = {"rtol": 1e-5, "atol": 2e-6}


def inputs(T: int, B: int, H: int, size: float = 1.0, seed: int = 0) -> tuple[list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(T, B, 4 * H), (4 * H, H), (B, H), (B, H)]
    tensors = [torch.randn(*shape, generator=generator) for shape in shapes]
    tensors[0] *= size
    tensors[1] /= H**0.5
    reset = torch.rand(T, B, generator=generator) < 0.2
    return [x.requires_grad_() for x in tensors], reset


def gradients(results: tuple[Tensor, ...], leaves: list[Tensor]) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    return torch.autograd.grad(results, leaves, [torch.randn(x.shape, generator=generator).to(x) for x in results])


@pytest.mark.parametrize("T", [1, 7])
@pytest.mark.parametrize("B", [1, 5, 6, 7, 16, 31])  # tiles of all heights
@pytest.mark.parametrize("panels", [1, 2, 9])  # more rows than are multiplied at a time
def test_values_and_gradients_equal_the_plain_form(T: int, B: int, panels: int) -> None:
    loop = kernels()
    assert loop
    tensors, reset = inputs(T, B, panels * loop.panel)
    assert compiled_loop(tensors[1], tensors[3]) is loop
    fast, plain = lstm_unroll(*tensors, reset=reset), lstm_unroll_plain(*tensors, reset=reset)
    torch.testing.assert_close(fast, plain, **NEAR)
    exact = [x.detach().double().requires_grad_() for x in tensors]
    expected = gradients(lstm_unroll_plain(*exact, reset=reset), exact)
    for got, plainly, right in zip(gradients(fast, tensors), gradients(plain, tensors), expected, strict=True):
        assert (got - right).abs().max() <= 3 * (plainly - right).abs().max() + 1e-6  # as exact as float32 is


def test_large_and_wrong_numbers_end_as_they_do_in_the_plain_form() -> None:
    tensors, reset = inputs(4, 3, 32, size=100.0)
    with torch.no_grad():
        tensors[0][1, 0, :8] = torch.tensor([float("inf"), -float("inf"), float("nan"), 1e30, -1e30, 88.5, -104.0, 0.0])
        fast, plain = lstm_unroll(*tensors, reset=reset), lstm_unroll_plain(*tensors, reset=reset)
    torch.testing.assert_close(fast, plain, equal_nan=True, **NEAR)


def test_under_autocast_the_recurrence_stays_float32() -> None:
    tensors, reset = inputs(5, 4, 32)
    with torch.autocast("cpu", torch.bfloat16):
        low = lstm_unroll(tensors[0].bfloat16(), *tensors[1:], reset=reset)
    high = lstm_unroll_plain(tensors[0].bfloat16().float(), *tensors[1:], reset=reset)
    torch.testing.assert_close(low, high, **NEAR)
    for x, y in zip(gradients(low, tensors), gradients(high, tensors), strict=True):
        assert x.dtype == torch.float32
        assert (x - y).abs().max() < 0.02 * y.abs().max()


def test_inputs_are_left_alone_whatever_their_strides() -> None:
    tensors, reset = inputs(5, 4, 32)
    wide = [x.detach().repeat_interleave(2, -1)[..., ::2] for x in tensors]
    before = [x.clone() for x in wide]
    results = lstm_unroll(*wide, reset=reset.T.contiguous().T)
    torch.testing.assert_close(results, lstm_unroll_plain(*tensors, reset=reset), **NEAR)
    assert all(torch.equal(x, y) for x, y in zip(wide, before, strict=True))


def test_acting_sees_every_change_of_the_weights() -> None:
    """The packed weights are kept from step to step, and a fused optimiser changes weights without telling."""
    torch.manual_seed(0)
    lstm, x, reset = LSTM(3, 32), torch.randn(1, 2, 3), torch.zeros(1, 2, dtype=torch.bool)
    optimiser = torch.optim.Adam(lstm.parameters(), lr=0.1, fused=True)
    state = tuple(torch.randn(2, 32) for _ in range(2))

    def act(network: LSTM = lstm) -> Tensor:
        with torch.no_grad():
            return network(x, state, reset)[0]

    first = act()
    assert torch.equal(first, act())
    lstm(x, state, reset)[0].sum().backward()
    optimiser.step()
    second = act()
    assert not torch.allclose(first, second)
    torch.testing.assert_close(second, lstm(x, state, reset)[0].detach())
    other = copy.deepcopy(lstm)
    with torch.no_grad():
        other.weight.mul_(2)
    assert not torch.allclose(second, act(other))
    assert torch.equal(second, act())
