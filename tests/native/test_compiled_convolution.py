"""The convolution of grids against torch's, compiled and not."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kickstarting.native.kernels import kernels
from kickstarting.networks import convolution
from kickstarting.networks.convolution import GridConv

COMPILED = pytest.mark.skipif(kernels() is None, reason="no compiled loop for this processor, or no compiler at the installation")


@pytest.fixture(params=[pytest.param(True, marks=COMPILED), False], ids=["compiled", "plain"])
def compiled(request, monkeypatch: pytest.MonkeyPatch) -> bool:
    if not request.param:
        monkeypatch.setattr(convolution, "kernels", lambda: None)
    return request.param


def expected(conv: GridConv, x: Tensor) -> Tensor:
    planes = F.conv2d(x.permute(0, 3, 1, 2).double(), conv.weight.double(), padding=conv.padding)
    assert conv.bias is not None
    return F.relu(planes + conv.bias.double()[:, None, None]).permute(0, 2, 3, 1)


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(("N", "H", "W", "C", "panels"), [(1, 3, 3, 32, 1), (5, 7, 7, 32, 2), (40, 5, 4, 64, 1), (3, 11, 9, 32, 3)])
def test_values_and_gradients_are_those_of_a_convolution(
    compiled, padding: int, N: int, H: int, W: int, C: int, panels: int
) -> None:
    torch.manual_seed(0)
    conv, x = GridConv(C, 32 * panels, padding), torch.randn(N, H, W, C, requires_grad=True)
    assert (conv._compiled_loop(x) is not None) == compiled
    y, right = conv(x), expected(conv, x)
    torch.testing.assert_close(y, right.float(), rtol=1e-5, atol=2e-6)
    leaves = [x, *conv.parameters()]
    weights = torch.randn(right.shape, dtype=torch.float64)
    found = torch.autograd.grad((y * weights.float()).sum(), leaves)
    for got, exact in zip(found, torch.autograd.grad((right * weights).sum(), leaves), strict=True):
        torch.testing.assert_close(got, exact, rtol=1e-4, atol=1e-5 * float(exact.abs().max()))


@pytest.mark.parametrize("C", [1, 3, 21])
def test_an_input_without_a_gradient_may_have_any_number_of_channels(compiled, C: int) -> None:
    conv, x = GridConv(C, 32), torch.rand(4, 7, 7, C)
    assert (conv._compiled_loop(x) is not None) == compiled
    y = conv(x.flip(1).flip(1).transpose(1, 2).contiguous().transpose(1, 2))
    torch.testing.assert_close(y, expected(conv, x).float(), rtol=1e-5, atol=2e-6)
    y.square().sum().backward()
    (exact,) = torch.autograd.grad(expected(conv, x).square().sum(), conv.weight)
    torch.testing.assert_close(conv.weight.grad, exact, rtol=1e-4, atol=1e-5 * float(exact.abs().max()))


def test_what_the_loop_cannot_do_is_done_by_torch() -> None:
    for conv, x in (
        (GridConv(5, 32), torch.rand(2, 5, 5, 5, requires_grad=True)),
        (GridConv(32, 7), torch.rand(2, 5, 5, 32)),
        (GridConv(32, 32).double(), torch.rand(2, 5, 5, 32).double()),
    ):
        assert conv._compiled_loop(x) is None
        torch.testing.assert_close(conv(x).double(), expected(conv, x), rtol=1e-5, atol=2e-6)
    with torch.autocast("cpu", torch.bfloat16):
        assert GridConv(32, 32)(torch.rand(2, 5, 5, 32)).dtype == torch.bfloat16


def test_no_number_stays_none(compiled) -> None:
    x = torch.rand(2, 5, 5, 32)
    x[0, 0, 0, 0] = float("nan")
    y = GridConv(32, 32)(x)
    assert y[0, 0, 0].isnan().all()
    assert not y[1].isnan().any()


@pytest.mark.parametrize("learns_plainly", [False, True])
def test_acting_sees_every_change_of_the_weights(compiled, learns_plainly: bool) -> None:
    """Even if the loop cannot be learned with, since the gradient of its input would not fit."""
    conv, x = GridConv(3, 32), torch.rand(2, 5, 5, 3)
    optimiser = torch.optim.Adam(conv.parameters(), lr=0.1, fused=True)

    def act(conv: GridConv = conv) -> Tensor:
        with torch.no_grad():
            return conv(x)

    first = act()
    (-conv(x.clone().requires_grad_(learns_plainly)).sum()).backward()  # so that not all of it becomes 0
    optimiser.step()
    second = act()
    assert not torch.allclose(first, second)
    torch.testing.assert_close(second, conv(x).detach())
    other = copy.deepcopy(conv)
    with torch.no_grad():
        other.weight.mul_(2)
    assert not torch.allclose(act(other), second)
    assert torch.equal(second, act())
