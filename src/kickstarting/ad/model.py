"""The sequence model: a causal transformer over the steps of several episodes, or an LSTM, which predicts every action.

Nothing in it knows of goals or returns: what task it is, and how well it goes, is in the context.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, cast

import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional as F

from kickstarting.ad.encoder import Encoder
from kickstarting.algo.distributions import Distribution
from kickstarting.networks.lstm import LSTM
from kickstarting.ranges import Choice, Range
from kickstarting.types import Inputs

SHARE = Range(0, 1, high_open=True)


@dataclass(frozen=True)
class ModelConfig:
    """What the network is; the defaults are small and fast, `PAPER` is what Laskin et al. used (appendix L)."""

    core: Annotated[str, Choice("transformer", "lstm")] = "transformer"
    """transformer, or lstm as an ablation."""
    width: Annotated[int, Range(8, 4096)] = 48
    layers: Annotated[int, Range(1, 64)] = 2
    heads: Annotated[int, Range(1, 64)] = 3
    """Must divide width. Heads narrower than 16 are slow."""
    feedforward: Annotated[int, Range(1, 16384)] = 96
    tokens: Annotated[int, Range(1, 3)] = 1
    """Of a step: 1, or 3 for action, reward and observation."""
    positions: Annotated[str, Choice("learned", "sinusoidal", "rotary")] = "learned"
    norm: Annotated[str, Choice("pre", "post")] = "pre"
    dropout: Annotated[float, SHARE] = 0.0
    attention_dropout: Annotated[float, SHARE] = 0.0
    mask: Annotated[float, SHARE] = 0.0
    """Share of the steps that are hidden from the model in training."""

    def check(self) -> None:
        """Raise ValueError, with the remedy, for what cannot work together."""
        if self.width % self.heads:
            raise ValueError(f"width {self.width} cannot be split into {self.heads} heads; choose heads that divide it")
        if self.tokens == 2:
            raise ValueError("tokens is 2; a step is 1 token, or 3")
        if self.positions == "rotary" and self.width // self.heads % 2:
            raise ValueError(f"rotary positions need heads of even width, not {self.width // self.heads}; choose other heads")


PAPER = ModelConfig(
    width=64,
    layers=4,
    heads=4,
    feedforward=2048,
    tokens=3,
    norm="post",
    dropout=0.1,
    attention_dropout=0.5,
    mask=0.3,
    positions="learned",
)


class SequenceModel(nn.Module):
    """Steps [B, C] to parameters of the policy [B, C, A]. context: steps that it can look back on."""

    def __init__(self, space: spaces.Dict, distribution: Distribution, config: ModelConfig, context: int) -> None:
        super().__init__()
        self.config, self.context = config, context
        self.space, self.distribution = space, distribution
        self.encoder = Encoder(space, distribution, config.width, config.tokens)
        self.dropout = nn.Dropout(config.dropout)
        if config.core == "lstm":
            self.lstm = nn.ModuleList(LSTM(config.width, config.width) for _ in range(config.layers))
        else:
            self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
            self.positions = _positions(config, context * config.tokens)
        self.norm = nn.LayerNorm(config.width) if config.norm == "pre" else nn.Identity()
        self.policy = nn.Linear(config.width, distribution.size)
        nn.init.normal_(self.policy.weight, std=0.02)
        nn.init.zeros_(self.policy.bias)

    def forward(self, inputs: Inputs) -> Tensor:
        """Of a whole slice, from its beginning."""
        x = self.encoder(inputs)
        if self.training and self.config.mask:
            x = x * (torch.rand(x.shape[:2], device=x.device) >= self.config.mask)[:, :, None, None]
        if self.config.core == "lstm":
            return self._recur(x[:, :, -1], self.initial_state(len(x)))[0]
        steps = torch.arange(x.shape[1] * x.shape[2], device=x.device).expand(len(x), -1)
        return self._attend(x.flatten(1, 2), steps, None)

    def extend(self, x: Tensor, begins: Tensor, cache: Cache) -> Tensor:
        """The next steps, as `encoder` gives them, [B, C, tokens, width], of sequences of which the first `begins` [B] steps are in
        the cache."""
        tokens = x.shape[1] * x.shape[2]
        return self._attend(x.flatten(1, 2), begins[:, None] * x.shape[2] + torch.arange(tokens, device=x.device), cache)

    def initial_state(self, batch: int) -> list[tuple[Tensor, ...]]:
        """Of the LSTM's layers."""
        return [cast(LSTM, layer).initial_state(batch) for layer in self.lstm]

    def recur(self, inputs: Inputs, state: list[tuple[Tensor, ...]]) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        """As `extend`, of the LSTM."""
        return self._recur(self.encoder(inputs)[:, :, -1], state)

    def _recur(self, x: Tensor, state: list[tuple[Tensor, ...]]) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        y, after = self.dropout(x).transpose(0, 1), []
        never = torch.zeros(y.shape[:2], dtype=torch.bool, device=y.device)
        for layer, before in zip(self.lstm, state, strict=True):
            y, last = layer(y, before, never)
            after.append(last)
        return self.policy(self.norm(y.transpose(0, 1))), after

    def _attend(self, x: Tensor, places: Tensor, cache: Cache | None) -> Tensor:
        if self.positions is not None:
            x = x + self.positions(places)
        x = self.dropout(x)
        mask = None
        if cache is not None:
            mask = torch.arange(int(places.max()) + 1, device=x.device) <= places[..., None]
        for i, block in enumerate(self.blocks):
            x = block(x, places, cache and cache.layers[i], mask)
        last_of_step = x[:, self.config.tokens - 1 :: self.config.tokens]
        return self.policy(self.norm(last_of_step))


@dataclass
class Cache:
    """Keys and values of the steps so far: for each layer two tensors [B, heads, context, width of a head]."""

    layers: list[tuple[Tensor, Tensor]]

    @classmethod
    def empty(cls, model: SequenceModel, batch: int) -> Cache:
        c, like = model.config, model.policy.weight
        shape = batch, c.heads, model.context * c.tokens, c.width // c.heads
        return cls([(like.new_zeros(shape), like.new_zeros(shape)) for _ in range(c.layers)])


class Block(nn.Module):
    """Attention and a feed-forward layer, each added to its input, with LayerNorm before (pre) or after (post)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.attention_norm, self.feedforward_norm = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.project = nn.Linear(config.width, 3 * config.width)
        self.output = nn.Linear(config.width, config.width)
        self.feedforward = nn.Sequential(
            nn.Linear(config.width, config.feedforward), nn.GELU(), nn.Linear(config.feedforward, config.width)
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, places: Tensor, cache: tuple[Tensor, Tensor] | None, mask: Tensor | None) -> Tensor:
        if self.config.norm == "pre":
            x = x + self.dropout(self._attention(self.attention_norm(x), places, cache, mask))
            return x + self.dropout(self.feedforward(self.feedforward_norm(x)))
        x = self.attention_norm(x + self.dropout(self._attention(x, places, cache, mask)))
        return self.feedforward_norm(x + self.dropout(self.feedforward(x)))

    def _attention(self, x: Tensor, places: Tensor, cache: tuple[Tensor, Tensor] | None, mask: Tensor | None) -> Tensor:
        B, L, _ = x.shape
        q, k, v = self.project(x).view(B, L, 3, self.config.heads, -1).permute(2, 0, 3, 1, 4)
        if self.config.positions == "rotary":
            q, k = _rotated(q, places), _rotated(k, places)
        dropout = self.config.attention_dropout if self.training else 0.0
        if cache is None:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout)
        else:
            assert mask is not None
            rows = torch.arange(B, device=x.device)[:, None]
            for kept, new in zip(cache, (k, v), strict=True):
                kept[rows, :, places] = new.transpose(1, 2)
            known = mask.shape[-1]
            y = F.scaled_dot_product_attention(q, cache[0][:, :, :known], cache[1][:, :, :known], attn_mask=mask[:, None])
        return self.output(y.transpose(1, 2).reshape(B, L, -1))


def _rotated(x: Tensor, places: Tensor) -> Tensor:
    """Rotary positions: pairs of x [B, heads, L, D] turned by angles that grow with the place [B, L]."""
    half = x.shape[-1] // 2
    speeds = 10_000 ** (-torch.arange(half, device=x.device) / half)
    angles = (places[..., None] * speeds)[:, None]
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()], -1)


def _positions(config: ModelConfig, length: int) -> nn.Embedding | None:
    """A vector for every place; None with rotary positions."""
    if config.positions == "rotary":
        return None
    table = nn.Embedding(length, config.width)
    nn.init.normal_(table.weight, std=0.02)
    if config.positions == "sinusoidal":
        places, half = torch.arange(length)[:, None], config.width // 2
        angles = places * torch.exp(-math.log(10_000) * torch.arange(half) / half)
        with torch.no_grad():
            table.weight.zero_()
            table.weight[:, :half], table.weight[:, half : 2 * half] = angles.sin(), angles.cos()
        table.requires_grad_(False)
    return table
