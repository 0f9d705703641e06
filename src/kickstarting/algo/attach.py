"""A term more for a loss that somebody else's code computes and differentiates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def attach_loss(x: Tensor, term: Tensor) -> Tensor:
    """x, with a scalar attached: whoever calls `backward` on a loss in which the result occurs also gets the gradient of the term.

    So a trainer's own update minimises loss + term, with its own clipping and its own optimiser, though it never sees the term.
    x: any tensor that the loss is made of and that requires a gradient, even one with weight 0. The gradient that x receives
    through the result stays as it is. The loss must be differentiated as it is: where it is divided first, as for an
    accumulation of gradients, the term must be divided, too.
    """
    return _Attached.apply(x, term)  # type: ignore[no-any-return]


class _Attached(torch.autograd.Function):
    """The identity of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, term: Tensor) -> Tensor:
        ctx.save_for_backward(term)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (term,) = ctx.saved_tensors
        return gradients[0], torch.ones_like(term)
