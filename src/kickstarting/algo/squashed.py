"""A normal behind a tanh, whose actions never leave their bounds (Haarnoja et al. 2018, arXiv:1812.05905, appendix C)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from kickstarting.algo.distributions import LOG_STD, DiagonalGaussian
from kickstarting.algo.moments import CLOSEST, expectation

LIMIT = 1.0 - 1e-6
"""Of actions, in float32: the bound itself is tanh of infinity."""


class SquashedGaussian(DiagonalGaussian):
    """tanh of D independent normals; parameters [..., 2 D] are means and log standard deviations of the normals, actions float32
    [..., D] in (-1, 1).

    What does not depend on the student, the entropy of a teacher or the slope of tanh at its actions, is in every number, so that
    these are nats of actions. A target of `of_actions` keeps a distance from the bounds, since none is at a finite place.
    """

    @torch.no_grad()
    def sample(self, logits: Tensor, noise: Tensor) -> Tensor:
        return super().sample(logits, noise).tanh().clamp(-LIMIT, LIMIT)

    def mode(self, logits: Tensor) -> Tensor:
        """The median, as is the custom: the most likely action of a wide normal would be a bound."""
        return super().mode(logits).tanh().clamp(-LIMIT, LIMIT)

    def log_prob(self, logits: Tensor, actions: Tensor) -> Tensor:
        unsquashed = actions.detach().clamp(-LIMIT, LIMIT).atanh()
        return super().log_prob(logits, unsquashed) - _log_slope(unsquashed).sum(-1)

    def entropy(self, logits: Tensor) -> Tensor:
        mean, log_std = self._split(logits)
        return super().entropy(logits) + expectation(_log_slope, mean, log_std.exp()).sum(-1)

    def cross_entropy(self, teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        mean, log_std = teacher_logits.detach().chunk(2, -1)
        std = log_std.clamp(*LOG_STD).exp().masked_fill(log_std == -math.inf, 0.0)
        return super().cross_entropy(teacher_logits, student_logits) + expectation(_log_slope, mean, std).sum(-1)

    def of_actions(self, actions: Tensor, smoothing: float) -> Tensor:
        return super().of_actions(actions.clamp(-CLOSEST, CLOSEST).atanh(), smoothing)


def _log_slope(x: Tensor) -> Tensor:
    """log tanh'(x) = log(1 - tanh(x)^2), also where tanh(x) rounds to 1."""
    return 2.0 * (math.log(2.0) - x - F.softplus(-2.0 * x))
