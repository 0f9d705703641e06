"""What teachers from elsewhere answer: arrays by name, and what these mean as a label.

logits          [..., A] of discrete actions; of several choices, those of each behind one another
probabilities   [..., A] likewise
mean, log_std   [..., D] of continuous actions; log_std may be one for all
actions         [...] of one choice, [..., D] of several, or of continuous ones: what it would do
value           [...] V(x_t) in units of discounted reward; optional
known           bool [...]: where it has an opinion; optional
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from kickstarting.spaces import Scaled, make_distribution
from kickstarting.teachers.protocol import Kind, Label

POLICIES = ("logits", "probabilities", "mean", "actions")
"""What may say what a teacher would do. Of several, the first counts."""
ANSWERS = (*POLICIES, "log_std", "value", "known")
SUM_ERROR = 1e-2
"""By which probabilities may miss 1, as in half precision."""


@dataclass(frozen=True)
class Reading:
    """How the answers of one teacher are read. Raises ValueError, when called, for what is no label."""

    action_space: gymnasium.Space
    """Of the student's units."""
    std: float | None = None
    """Standard deviation around continuous actions, or means without one, in the student's units; None takes them for exact."""
    bounds: tuple[float, float] | None = None
    """Between which continuous actions lie as the teacher says them; they become [-1, 1]."""

    def __call__(self, answers: Mapping[str, Tensor], leading: tuple[int, ...]) -> Label:
        """leading: T and B; arrays may have them as one dimension."""
        arrays = {name: _leading(name, x, leading) for name, x in answers.items() if name in ANSWERS and name != "log_std"}
        name = next((name for name in POLICIES if name in arrays), None)
        if name is None:
            raise ValueError(f"it answers {', '.join(answers) or 'nothing'}; of {', '.join(POLICIES)} one is needed")
        known = _one_each("known", arrays["known"], leading).bool() if "known" in arrays else None
        if known is not None:  # what it says elsewhere is nothing
            arrays = {
                what: x.masked_fill(~known.reshape(*leading, *[1] * (x.dim() - len(leading))), 0) for what, x in arrays.items()
            }
        values = _one_each("value", arrays["value"], leading).float() if "value" in arrays else None
        policy, kind = self._policy(name, arrays[name], answers.get("log_std"), leading, known)
        for what, x in ((name, policy), ("value", values)):
            if x is not None and not x.isfinite().all():
                raise ValueError(f"its {what} is not finite")
        return Label(policy, kind, values, known)

    def _policy(
        self, name: str, x: Tensor, log_std: Tensor | None, leading: tuple[int, ...], known: Tensor | None
    ) -> tuple[Tensor, Kind]:
        continuous = isinstance(self.action_space, spaces.Box)
        if continuous != (name == "mean") and name != "actions":
            raise ValueError(f"it answers {name}, but acts in {self.action_space}")
        if name == "actions" and not continuous:
            return self._choices(x, leading), Kind.ACTIONS
        if not continuous:
            x = _sized(name, x.float(), leading, make_distribution(self.action_space).size)
            return (x, Kind.PARAMETERS) if name == "logits" else (self._probabilities(x, known), Kind.PROBABILITIES)
        half, middle = (1.0, 0.0) if self.bounds is None else (np.diff(self.bounds)[0] / 2, float(np.mean(self.bounds)))
        mean = (_sized(name, x.float(), leading, (self.action_space.shape or (0,))[0]) - middle) / half
        if name == "mean" and log_std is not None:
            spread = log_std.float() - math.log(half)
            spread = spread.expand_as(mean) if spread.numel() <= mean.shape[-1] else spread.reshape(mean.shape)
        elif self.std is not None:
            spread = torch.full_like(mean, math.log(self.std))
        else:
            return mean, Kind.ACTIONS
        return torch.cat([mean, spread], -1), Kind.PARAMETERS

    def _choices(self, x: Tensor, leading: tuple[int, ...]) -> Tensor:
        """Discrete actions; of one that no space has, nothing can be learned."""
        several = isinstance(self.action_space, spaces.MultiDiscrete)
        counts = torch.as_tensor(self.action_space.nvec if several else self.action_space.n)  # type: ignore[attr-defined]
        x = _sized("actions", x, leading, len(counts)) if several else _one_each("actions", x, leading)
        whole = x.long()
        if ((whole != x) | (whole < 0) | (whole >= counts)).any():
            raise ValueError(f"its actions are not in {self.action_space}: {x.min():g} to {x.max():g}")
        return whole

    def _probabilities(self, x: Tensor, known: Tensor | None) -> Tensor:
        several = isinstance(self.action_space, spaces.MultiDiscrete)
        parts = x.split([int(n) for n in self.action_space.nvec], -1) if several else [x]  # type: ignore[attr-defined]
        wrong = (x < 0).any(-1) | torch.stack([(part.sum(-1) - 1).abs() > SUM_ERROR for part in parts]).any(0)
        if (wrong if known is None else wrong & known).any():
            raise ValueError("its probabilities are negative or do not add up to 1; are they logits?")
        return x


def _leading(name: str, x: Tensor, leading: tuple[int, ...]) -> Tensor:
    if tuple(x.shape[: len(leading)]) == leading:
        return x
    if not x.shape or x.shape[0] != math.prod(leading):
        raise ValueError(f"its {name} has shape {list(x.shape)}; it must begin with {list(leading)}, or these as one")
    return x.reshape(*leading, *x.shape[1:])


def _sized(name: str, x: Tensor, leading: tuple[int, ...], size: int) -> Tensor:
    if math.prod(x.shape[len(leading) :]) != size:
        raise ValueError(f"its {name} has shape {list(x.shape[len(leading) :])} for each step; the action space needs [{size}]")
    return x.reshape(*leading, size)


def _one_each(name: str, x: Tensor, leading: tuple[int, ...]) -> Tensor:
    return _sized(name, x, leading, 1).reshape(leading)


def action_space_of(answers: Mapping[str, Tensor], rows: int, counts: tuple[int, ...] = ()) -> gymnasium.Space:
    """In which space a teacher acts that answered this to `rows` steps and does not say it otherwise.

    counts: how many discrete actions there are, of each choice. Raises ValueError if they must be given, or are others.
    """
    name = next((name for name in POLICIES if name in answers), "")
    x = answers[name].reshape(rows, -1) if name else torch.zeros(1, 0)
    if name == "mean" or (name == "actions" and x.is_floating_point() and not counts):
        bound = np.full(x.shape[1], np.inf, np.float32)
        return Scaled(-bound, bound, as_is=False)
    if name == "actions" and not counts:
        raise ValueError("it answers actions, and not how many there are; give ?actions=N, or N,N,... of several choices")
    counts = counts or (x.shape[1],)
    return spaces.Discrete(counts[0]) if len(counts) == 1 else spaces.MultiDiscrete(list(counts))
