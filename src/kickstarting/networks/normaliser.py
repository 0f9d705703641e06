"""A running mean and variance of an observation, as part of a network: saved, exported and frozen with its weights."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from kickstarting.ranks import Ranks

EPSILON = 1e-8
CLIP = 10.0
"""Standard deviations: an observation that hardly varied at first may leap later."""


class Normaliser(nn.Module):
    """x to (x - mean) / sqrt(variance + EPSILON) in +-CLIP, element by element, of all that was ever observed.

    The learner updates it once on each unroll (`update`), and nobody else does: in an actor, a teacher or an export it is as it was
    saved. A network of your own normalises observation `reads` by having this module, and by calling it.
    """

    count: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, reads: str, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.reads = reads
        # In float64, or a mean over millions of numbers would stand still
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(shape, dtype=torch.float64))

    def forward(self, x: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        scale = (self.variance + EPSILON).rsqrt().float()
        return ((x.float() - self.mean.float()) * scale).clamp(-CLIP, CLIP)

    @torch.no_grad()
    def update(self, x: Float[Tensor, "T B *shape"], valid: Bool[Tensor, "T B"], ranks: Ranks) -> None:
        """Take in the valid observations of all ranks, each with its own columns; equal to the bit in all of them.

        Mean and sum of squares of two sets of observations are joined as Chan et al. 1979 do, which loses no precision to a mean
        that is large beside its deviation.
        """
        seen = x[valid].double()
        count = torch.full((1,), float(len(seen)), dtype=torch.float64, device=x.device)
        total, count = ranks.sum(torch.cat([(seen - self.mean).sum(0).flatten(), count])).double().tensor_split([-1])
        if not count:
            return
        shift = (total / count).view_as(self.mean)
        squares = ranks.sum((seen - (self.mean + shift)).square().sum(0)).double()
        old, new = self.count.clone(), self.count + count[0]
        self.variance.copy_((self.variance * old + squares + shift.square() * old * count[0] / new) / new)
        self.mean.add_(shift * count[0] / new)
        self.count.copy_(new)
