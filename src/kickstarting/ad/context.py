"""What a model remembers while it acts: the last steps of each environment, across episodes, and what it has computed of them."""

from __future__ import annotations

import torch
from torch import Tensor

from kickstarting.ad.model import Cache, SequenceModel
from kickstarting.types import Inputs


class Window:
    """The context of a transformer in B environments: at most `model.context` steps, from the beginning of an episode if one began.

    A step computes its own keys and values only. When a context is full, its oldest episodes are dropped, a share of it at
    least, and what is left is computed anew, since positions have changed.
    """

    def __init__(self, model: SequenceModel, batch: int, room: int) -> None:
        """room: steps that are free after a context was full, as many as an episode has."""
        self._model, self._room = model, min(room, model.context)
        self._cache = Cache.empty(model, batch)
        self._kept: Inputs | None = None
        self.lengths = torch.zeros(batch, dtype=torch.int64)
        """Steps in each context, [B]."""

    @torch.no_grad()
    def step(self, inputs: Inputs) -> Tensor:
        """The policies' parameters [B, A] at the next step, inputs [B, 1]."""
        if self._kept is None:
            self._kept = inputs.map(lambda x: x.new_zeros(len(x), self._model.context, *x.shape[2:]))
        if (full := self.lengths == self._model.context).any():
            self._drop(self._kept, full)
        rows = torch.arange(len(self.lengths))
        self._kept.assign((rows, self.lengths), inputs[:, 0])
        logits = self._model.extend(inputs, self.lengths.to(self._model.policy.weight.device), self._cache)
        self.lengths += 1
        return logits[:, 0]

    def _drop(self, kept: Inputs, full: Tensor) -> None:
        """Make room in the contexts that are full."""
        context, places = self._model.context, torch.arange(self._model.context)
        begins = kept.is_first[full].cpu() & (places >= self._room)
        from_ = torch.where(begins.any(1), begins.int().argmax(1), self._room)
        rows = torch.nonzero(full)[:, 0]
        source = (from_[:, None] + places).clamp(max=context - 1)
        kept.assign(rows, kept.map(lambda x: x[rows[:, None], source]))
        self.lengths[rows] = context - from_
        longest = int((context - from_).max())
        if longest:
            part = Cache.empty(self._model, len(rows))
            zero = torch.zeros(len(rows), dtype=torch.int64, device=self._model.policy.weight.device)
            self._model.extend(kept[rows, :longest], zero, part)
            for whole, new in zip(self._cache.layers, part.layers, strict=True):
                whole[0][rows], whole[1][rows] = new


class Recurrence:
    """The context of an LSTM: its state, which is never cut."""

    def __init__(self, model: SequenceModel, batch: int) -> None:
        self._model = model
        self._state = model.initial_state(batch)

    @torch.no_grad()
    def step(self, inputs: Inputs) -> Tensor:
        """As `Window.step`."""
        logits, self._state = self._model.recur(inputs, self._state)
        return logits[:, 0]


def context_of(model: SequenceModel, batch: int, room: int) -> Window | Recurrence:
    """An empty context for B environments."""
    return Recurrence(model, batch) if model.config.core == "lstm" else Window(model, batch, room)
