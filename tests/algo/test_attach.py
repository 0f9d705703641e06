"""A term attached to a tensor of somebody else's loss."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kickstarting import attach_loss


def network() -> tuple[nn.Sequential, torch.Tensor]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)), torch.randn(5, 4)


@pytest.mark.parametrize("weight", [1.0, 0.0])
def test_the_gradient_is_that_of_the_sum(weight: float) -> None:
    """Also where the loss gives the tensor weight 0, and with every parameter that only the term reads."""
    layers, x = network()
    beside = torch.zeros(3, requires_grad=True)
    parameters = [*layers.parameters(), beside]

    def term(output: torch.Tensor) -> torch.Tensor:
        return (output.square().sum(-1) * beside.exp().sum()).mean()

    def loss(output: torch.Tensor) -> torch.Tensor:
        return weight * output.sin().mean()

    expected = torch.autograd.grad(loss(layers(x)) + term(layers(x)), parameters)
    output = layers(x)
    attached = attach_loss(output, term(output))
    assert attached.equal(output)
    seen = loss(attached)
    assert seen.item() == pytest.approx(loss(layers(x)).item())
    for found, wanted in zip(torch.autograd.grad(seen, parameters), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_nothing_is_attached_where_no_loss_is_differentiated() -> None:
    layers, x = network()
    output = layers(x)
    attach_loss(output, output.sum())
    output.sum().backward()
    torch.testing.assert_close(layers[2].bias.grad, torch.full((3,), 5.0))  # of the sum alone
