"""Texts to vectors: hashed words, an embedding and an LSTM (as in the papers' agents, scalable_agent `_instruction`)."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kickstarting.spaces import BUCKETS, MAX_WORDS


class LanguageEncoder(nn.Module):
    """Token ids [T, B, words] to [T, B, size]. Each distinct mission is encoded once per call, and, while the weights do
    not change (acting, labelling), once at all."""

    multipliers: Tensor

    def __init__(self, size: int = 64, embedding: int = 20) -> None:
        super().__init__()
        self.size = size
        self.embedding = nn.Embedding(BUCKETS, embedding)
        self.lstm = nn.LSTM(embedding, size)
        _, _, bias, second_bias = self.lstm.parameters()
        nn.init.ones_(bias[size : 2 * size])  # forget_bias; gates i, f, g, o
        nn.init.zeros_(second_bias).requires_grad_(False)  # the papers' cell has one bias
        generator = torch.Generator().manual_seed(0)
        multipliers = torch.randint(-(2**62), 2**62, (MAX_WORDS,), generator=generator)
        self.register_buffer("multipliers", multipliers, persistent=False)
        self._cached_keys: Tensor | None = None
        self._cached_codes: Tensor | None = None
        self._cached_version = -1

    def forward(self, tokens: Int[Tensor, "T B W"]) -> Float[Tensor, "T B L"]:
        if torch.compiler.is_compiling():  # nothing of a program may depend on which missions there are
            return self.encode(tokens.flatten(0, -2)).view(*tokens.shape[:-1], self.size)
        if torch.is_grad_enabled():  # learning: a fused optimiser changes weights without raising their version
            self._cached_keys = self._cached_codes = None
        keys = ((tokens.long() + 1) * self.multipliers).sum(-1)  # a 64-bit hash of the mission
        codes = None if torch.is_grad_enabled() else self._look_up(keys)
        if codes is None:
            distinct, inverse = keys.flatten().unique(return_inverse=True)
            rows = torch.empty_like(distinct).scatter_(0, inverse, torch.arange(inverse.numel(), device=keys.device))
            codes = self.encode(tokens.flatten(0, -2)[rows])
            if not torch.is_grad_enabled():
                self._remember(distinct, codes)
            codes = codes[inverse].view(*keys.shape, self.size)
        return codes

    def encode(self, tokens: Int[Tensor, "M W"]) -> Float[Tensor, "M L"]:
        """The LSTM's output at the last word of each mission; an empty mission is one padding word."""
        lengths = (tokens >= 0).sum(1).clamp(min=1)
        longest = tokens.shape[1] if torch.compiler.is_compiling() else int(lengths.max())
        words = tokens[:, :longest].long().clamp(min=0)
        with torch.autocast(tokens.device.type, enabled=False):  # little work, and torch's bfloat16 LSTM is erratic on CPUs
            outputs, _ = self.lstm(self.embedding(words.T))
        return outputs[lengths - 1, torch.arange(tokens.shape[0], device=tokens.device)]

    def __getstate__(self) -> dict[str, Any]:
        """A copy starts with an empty cache: its weights count their versions anew."""
        return {**self.__dict__, "_cached_keys": None, "_cached_codes": None}

    def _weights_version(self) -> int:
        return sum(p._version for p in self.parameters())

    def _look_up(self, keys: Tensor) -> Tensor | None:
        """Codes of missions met since the weights last changed; None if one is new."""
        if self._cached_keys is None or self._cached_codes is None or self._cached_version != self._weights_version():
            self._cached_keys = self._cached_codes = None
            return None
        index = torch.searchsorted(self._cached_keys, keys).clamp(max=len(self._cached_keys) - 1)
        if not torch.equal(self._cached_keys[index], keys):
            return None
        return self._cached_codes[index]

    def _remember(self, keys: Tensor, codes: Tensor) -> None:
        if self._cached_keys is not None and self._cached_codes is not None and len(self._cached_keys) < 2**16:
            keys, order = torch.cat([self._cached_keys, keys]).unique(return_inverse=True)
            codes = torch.empty(len(keys), self.size, device=codes.device).index_copy_(
                0, order, torch.cat([self._cached_codes, codes])
            )
        self._cached_keys, self._cached_codes, self._cached_version = keys, codes, self._weights_version()
