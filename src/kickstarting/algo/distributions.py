"""Policies over actions, as functions of a network's output.

Each distribution reads parameters [..., size] (the "logits" of the rest of the code) and actions [...] or [..., D].
All results have the leading shape [...]. Gradients reach the parameters; actions and the teacher receive none.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

IMPOSSIBLE = -1e9
"""Logit of an action that is never taken. Finite, so that 0 * log 0 stays 0."""
LEAST_LOG_PROB = -20.0
"""Of an action that a teacher never takes, for a student that must not take it: finite, too."""


@runtime_checkable
class Distribution(Protocol):
    """What a policy over an action space can do."""

    size: int
    """Number of parameters that a network must give."""
    action_shape: tuple[int, ...]
    action_dtype: torch.dtype
    encoding_size: int
    """Width of an action as a network's input."""
    no_action: float
    """What stands for "no last action" at the first observation of an episode; encoded as zeros."""

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """What chance decides of so many actions, on the generator's device: [*shape, N]."""
        ...

    def sample(self, logits: Tensor, noise: Tensor) -> Tensor: ...
    def mode(self, logits: Tensor) -> Tensor: ...
    def log_prob(self, logits: Tensor, actions: Tensor) -> Tensor: ...
    def entropy(self, logits: Tensor) -> Tensor: ...
    def cross_entropy(self, teacher_logits: Tensor, student_logits: Tensor) -> Tensor: ...
    def kl(self, teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        """KL(teacher || student) in nats; of a teacher that is certain of a continuous action, as if it had the least deviation."""
        ...

    def reverse_kl(self, teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        """KL(student || teacher), likewise. What a teacher never does counts as very improbable."""
        ...

    def encode(self, actions: Tensor) -> Tensor: ...
    def of_probabilities(self, probabilities: Tensor) -> Tensor:
        """Parameters of the policy with these probabilities. Raises ValueError where a policy has none."""
        ...

    def of_actions(self, actions: Tensor, smoothing: float) -> Tensor:
        """Parameters of a teacher of which only its actions are known: its cross-entropy to a student is -log pi(action), for
        discrete actions with a share `smoothing` of the probability spread evenly."""
        ...


def is_continuous(distribution: Distribution) -> bool:
    """Whether actions are numbers of a range, and not chosen from some."""
    return distribution.action_dtype.is_floating_point


class Categorical:
    """One of `size` actions; logits [..., size], actions int64 [...]."""

    action_shape: tuple[int, ...] = ()
    action_dtype = torch.int64
    no_action = -1.0

    def __init__(self, size: int) -> None:
        self.size = self.encoding_size = size

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.empty(*shape, self.size, device=generator.device).exponential_(generator=generator).log_()

    @torch.no_grad()
    def sample(self, logits: Tensor, noise: Tensor) -> Tensor:
        return (logits - noise).argmax(-1)  # of logits + Gumbel noise: one pass and no normalisation

    def mode(self, logits: Tensor) -> Tensor:
        return logits.argmax(-1)

    def log_prob(self, logits: Tensor, actions: Tensor) -> Tensor:
        return F.log_softmax(logits, -1).gather(-1, actions[..., None])[..., 0]

    def entropy(self, logits: Tensor) -> Tensor:
        log_probs = F.log_softmax(logits, -1)
        return -(log_probs.exp() * log_probs).sum(-1)

    def cross_entropy(self, teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        return -(F.softmax(teacher_logits.detach(), -1) * F.log_softmax(student_logits, -1)).sum(-1)

    def kl(self, teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        log_probs = F.log_softmax(teacher_logits.detach(), -1)
        return (log_probs.exp() * (log_probs - F.log_softmax(student_logits, -1))).sum(-1)

    def reverse_kl(self, teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        log_probs, theirs = F.log_softmax(student_logits, -1), F.log_softmax(teacher_logits.detach(), -1)
        return (log_probs.exp() * (log_probs - theirs.clamp(min=LEAST_LOG_PROB))).sum(-1)

    def encode(self, actions: Tensor) -> Tensor:
        return (actions[..., None] == torch.arange(self.size, device=actions.device)).float()

    def of_probabilities(self, probabilities: Tensor) -> Tensor:
        return probabilities.log().clamp(min=IMPOSSIBLE)

    def of_actions(self, actions: Tensor, smoothing: float) -> Tensor:
        return self.of_probabilities((1.0 - smoothing) * self.encode(actions) + smoothing / self.size)


class MultiCategorical:
    """D independent choices among nvec[d] actions; logits [..., sum(nvec)], actions int64 [..., D]."""

    action_dtype = torch.int64
    no_action = -1.0

    def __init__(self, nvec: tuple[int, ...]) -> None:
        self.parts = [Categorical(n) for n in nvec]
        self.nvec = list(nvec)
        self.size = self.encoding_size = sum(nvec)
        self.action_shape = (len(nvec),)

    def _parts(self, *tensors: Tensor) -> zip:
        """Each part with its own slice of every parameter tensor."""
        return zip(self.parts, *(t.split(self.nvec, -1) for t in tensors), strict=True)

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return Categorical(self.size).noise(shape, generator)

    def sample(self, logits: Tensor, noise: Tensor) -> Tensor:
        return torch.stack([part.sample(x, y) for part, x, y in self._parts(logits, noise)], -1)

    def mode(self, logits: Tensor) -> Tensor:
        return torch.stack([part.mode(x) for part, x in self._parts(logits)], -1)

    def log_prob(self, logits: Tensor, actions: Tensor) -> Tensor:
        parts = zip(self._parts(logits), actions.unbind(-1), strict=True)
        return torch.stack([part.log_prob(x, a) for (part, x), a in parts]).sum(0)

    def entropy(self, logits: Tensor) -> Tensor:
        return torch.stack([part.entropy(x) for part, x in self._parts(logits)]).sum(0)

    def cross_entropy(self, teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        return torch.stack([part.cross_entropy(x, y) for part, x, y in self._parts(teacher_logits, student_logits)]).sum(0)

    def kl(self, teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        return torch.stack([part.kl(x, y) for part, x, y in self._parts(teacher_logits, student_logits)]).sum(0)

    def reverse_kl(self, teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        return torch.stack([part.reverse_kl(x, y) for part, x, y in self._parts(teacher_logits, student_logits)]).sum(0)

    def encode(self, actions: Tensor) -> Tensor:
        return torch.cat([part.encode(a) for part, a in zip(self.parts, actions.unbind(-1), strict=True)], -1)

    def of_probabilities(self, probabilities: Tensor) -> Tensor:
        return torch.cat([part.of_probabilities(x) for part, x in self._parts(probabilities)], -1)

    def of_actions(self, actions: Tensor, smoothing: float) -> Tensor:
        parts = zip(self.parts, actions.unbind(-1), strict=True)
        return torch.cat([part.of_actions(a, smoothing) for part, a in parts], -1)


LOG_STD = (-5.0, 2.0)
"""Bounds of the log standard deviation of a normal."""


class DiagonalGaussian:
    """D independent normals; parameters [..., 2 D] are means and log standard deviations, actions float32 [..., D].

    Log standard deviations are clamped to LOG_STD; -inf in a teacher means that it is certain, and its cross-entropy is
    -log pi(mean). Actions are not squashed: the environment adapter clips them.
    """

    action_dtype = torch.float32
    no_action = 0.0

    def __init__(self, dimensions: int) -> None:
        self.size = 2 * dimensions
        self.encoding_size = dimensions
        self.action_shape = (dimensions,)

    def _split(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = logits.chunk(2, -1)
        return mean, log_std.clamp(*LOG_STD)

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.empty(*shape, *self.action_shape, device=generator.device).normal_(generator=generator)

    @torch.no_grad()
    def sample(self, logits: Tensor, noise: Tensor) -> Tensor:
        mean, log_std = self._split(logits)
        return mean + log_std.exp() * noise

    def mode(self, logits: Tensor) -> Tensor:
        return self._split(logits)[0]

    def log_prob(self, logits: Tensor, actions: Tensor) -> Tensor:
        mean, log_std = self._split(logits)
        return (-0.5 * ((actions.detach() - mean) / log_std.exp()).square() - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self, logits: Tensor) -> Tensor:
        return (self._split(logits)[1] + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)

    def cross_entropy(self, teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        teacher_mean, teacher_log_std = self._split(teacher_logits.detach())
        is_point = teacher_logits.detach().chunk(2, -1)[1] == -math.inf
        teacher_log_std = teacher_log_std.masked_fill(is_point, -math.inf)
        mean, log_std = self._split(student_logits)
        square = ((2 * teacher_log_std).exp() + (teacher_mean - mean).square()) / (2 * log_std).exp()
        return (0.5 * square + log_std + 0.5 * math.log(2 * math.pi)).sum(-1)

    def kl(self, teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        return self._kl(teacher_logits.detach(), student_logits)

    def reverse_kl(self, teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        return self._kl(student_logits, teacher_logits.detach())

    def _kl(self, logits: Tensor, other_logits: Tensor) -> Tensor:
        (mean, log_std), (other_mean, other_log_std) = self._split(logits), self._split(other_logits)
        square = ((2 * log_std).exp() + (mean - other_mean).square()) / (2 * other_log_std).exp()
        return (0.5 * (square - 1) + other_log_std - log_std).sum(-1)

    def encode(self, actions: Tensor) -> Tensor:
        return actions

    def of_probabilities(self, probabilities: Tensor) -> Tensor:
        raise ValueError("continuous actions have no probabilities; give means and log standard deviations, or actions")

    def of_actions(self, actions: Tensor, smoothing: float) -> Tensor:
        return torch.cat([actions, torch.full_like(actions, -math.inf)], -1)
