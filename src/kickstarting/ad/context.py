"""What a model remembers while it acts: the last steps of each environment, across episodes, and what it has computed of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kickstarting.ad.model import Cache, SequenceModel
from kickstarting.types import Inputs, State


class Window:
    """The context of a transformer in B environments: at most `model.context` steps, from the beginning of an episode if one began.

    A step computes its own keys and values only. When a context is full, its oldest episodes are dropped, a share of it at
    least, and keys and values of what is left are computed anew, since positions have changed; observations are not looked at
    again. Steps that are read together give what they give one by one.
    """

    def __init__(self, model: SequenceModel, room: int, state: State) -> None:
        """room: steps that are free after a context was full, as many as an episode has. state: as `empty` gives it, which is
        changed in place."""
        self._model, self._room = model, min(room, model.context)
        self.lengths, self._is_first, self._kept, *layers = state
        self._cache = Cache(list(zip(layers[::2], layers[1::2], strict=True)))

    @staticmethod
    def empty(model: SequenceModel, batch: int) -> State:
        """The state of B contexts without a step: the steps in each context [B], which of them begin an episode [B, C], all of
        them as vectors [B, C, tokens, width], and keys and values of each layer."""
        like, config = model.policy.weight, model.config
        lengths = torch.zeros(batch, dtype=torch.int64, device=like.device)
        is_first = torch.zeros(batch, model.context, dtype=torch.bool, device=like.device)
        kept = like.new_zeros(batch, model.context, config.tokens, config.width)
        return lengths, is_first, kept, *(x for layer in Cache.empty(model, batch).layers for x in layer)

    @property
    def state(self) -> State:
        """With which another window goes on."""
        return self.lengths, self._is_first, self._kept, *(x for layer in self._cache.layers for x in layer)

    @torch.no_grad()
    def read(self, inputs: Inputs) -> Tensor:
        """The policies' parameters [B, T, A] at the next steps, inputs [B, T]."""
        rows = torch.arange(len(self.lengths), device=self.lengths.device)[:, None]
        read, context = self._model.encoder(inputs), self._model.context
        steps, parts, done = read.shape[1], [], 0
        while done < steps:
            if (full := self.lengths == context).any():
                self._drop(full)
            n = min(steps - done, context - int(self.lengths.max()))
            now, places = slice(done, done + n), self.lengths[:, None] + torch.arange(n, device=self.lengths.device)
            self._is_first[rows, places], self._kept[rows, places] = inputs.is_first[:, now], read[:, now]
            parts.append(self._model.extend(read[:, now], self.lengths, self._cache))
            self.lengths, done = self.lengths + n, done + n
        return torch.cat(parts, 1)

    def _drop(self, full: Tensor) -> None:
        """Make room in the contexts that are full."""
        context = self._model.context
        places = torch.arange(context, device=full.device)
        begins = self._is_first[full] & (places >= self._room)
        from_ = torch.where(begins.any(1), begins.int().argmax(1), self._room)
        rows = torch.nonzero(full)[:, 0]
        source = (from_[:, None] + places).clamp(max=context - 1)
        for kept in (self._is_first, self._kept):
            kept[rows] = kept[rows[:, None], source]
        self.lengths = self.lengths.index_copy(0, rows, context - from_)
        longest = int((context - from_).max())
        if longest:
            part = Cache.empty(self._model, len(rows))
            self._model.extend(self._kept[rows, :longest], torch.zeros_like(rows), part)
            for whole, new in zip(self._cache.layers, part.layers, strict=True):
                whole[0][rows], whole[1][rows] = new


class Recurrence:
    """The context of an LSTM: its state, which is never cut."""

    def __init__(self, model: SequenceModel, state: State) -> None:
        self._model, self.state = model, state

    @staticmethod
    def empty(model: SequenceModel, batch: int) -> State:
        """As `Window.empty`: what each layer remembers."""
        return tuple(x for layer in model.initial_state(batch) for x in layer)

    @torch.no_grad()
    def read(self, inputs: Inputs) -> Tensor:
        """As `Window.read`."""
        layers: Sequence[tuple[Tensor, ...]] = list(zip(self.state[::2], self.state[1::2], strict=True))
        logits, after = self._model.recur(inputs, list(layers))
        self.state = tuple(x for layer in after for x in layer)
        return logits


def empty_context(model: SequenceModel, batch: int) -> State:
    """The state of B contexts without a step, each tensor [B, ...]."""
    return (Recurrence if model.config.core == "lstm" else Window).empty(model, batch)


def context_of(model: SequenceModel, room: int, state: State) -> Window | Recurrence:
    """The contexts that a state describes; it is changed in place. room: as `Window` has it."""
    return Recurrence(model, state) if model.config.core == "lstm" else Window(model, room, state)
