"""Observation to vector: the papers' small and large convolutional torsos, a pair for symbolic grids, an MLP for vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kickstarting.networks.convolution import GridConv


def keep_size(layer: nn.Conv2d | nn.Linear) -> None:
    """Orthogonal weights, behind which a signal is as large as before: half of what gain √2 makes of it passes a ReLU."""
    nn.init.orthogonal_(layer.weight, math.sqrt(2.0))
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)


class PixelSmall(nn.Module):
    """IMPALA's shallow torso: conv 16 8x8/4, conv 32 4x4/2, FC 256; images [N, H, W, C].

    On images that are too small for it, conv 16 3x3, conv 32 3x3/2, both padded.
    """

    LEAST = 20
    """Rows and columns of an image that is not small."""

    def __init__(self, shape: tuple[int, ...], size: int = 256) -> None:
        super().__init__()
        small = min(shape[:2]) < self.LEAST
        first = nn.Conv2d(shape[2], 16, 3, padding=1) if small else nn.Conv2d(shape[2], 16, 8, 4)
        second = nn.Conv2d(16, 32, 3, 2, padding=1) if small else nn.Conv2d(16, 32, 4, 2)
        self.convs = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
        self.output = nn.Linear(_flat(self.convs, shape), size)
        for layer in (first, second, self.output):
            keep_size(layer)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.output(self.convs(_to_nchw(x)).flatten(1)))


class Residual(nn.Module):
    """Two 3x3 convolutions with ReLU before each, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(F.relu(x))))


class PixelLarge(nn.Module):
    """IMPALA's deep torso: 15 convolutions, three sections of conv, max-pool and two residual blocks, FC 256.

    width: by which the channels are multiplied, as Cobbe et al. 2020 (arXiv:1912.01588) do, who divide the learning rate by its
    root. The last layer stays as it is.
    """

    CHANNELS = (16, 32, 32)

    def __init__(self, shape: tuple[int, ...], size: int = 256, channels: tuple[int, ...] = CHANNELS, width: int = 1) -> None:
        super().__init__()
        channels = tuple(width * each for each in channels)
        sections: list[nn.Module] = []
        for before, after in zip((shape[2], *channels), channels, strict=False):
            sections += [nn.Conv2d(before, after, 3, padding=1), SamePool(), Residual(after), Residual(after)]
        self.convs = nn.Sequential(*sections, nn.ReLU())
        self.output = nn.Linear(_flat(self.convs, shape), size)
        for layer in (*(part for part in sections if isinstance(part, nn.Conv2d)), self.output):
            keep_size(layer)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.output(self.convs(_to_nchw(x)).flatten(1)))


class SamePool(nn.Module):
    """Max-pool 3x3 stride 2 with TensorFlow's SAME padding, which for even sizes pads on the far side only."""

    def forward(self, x: Tensor) -> Tensor:
        pad_h, pad_w = (1 if n % 2 else 0 for n in x.shape[-2:])
        return F.max_pool2d(F.pad(x, (pad_w, 1, pad_h, 1), value=float("-inf")), 3, 2)


class Grid(nn.Module):
    """Symbolic MiniGrid views [N, H, W, 3] of (object, colour, state) indices: one-hot cells, 3x3 convolutions, FC.

    The first two convolutions shrink the view (7x7 to 5x5 to 3x3), unless it has less than 5 rows or columns; further ones keep
    it and are residual.
    """

    cells: Tensor
    strides: Tensor
    SIZES = (11, 6, 4)  # objects, colours, states of MiniGrid

    def __init__(self, shape: tuple[int, ...], size: int = 128, channels: tuple[int, ...] = (16, 32)) -> None:
        super().__init__()
        cells = [torch.cat([F.one_hot(torch.tensor(i), n) for i, n in zip(c, self.SIZES, strict=True)]) for c in _cells()]
        self.register_buffer("cells", torch.stack(cells).float(), persistent=False)
        self.register_buffer("strides", torch.tensor([24, 4, 1]), persistent=False)
        widths = (sum(self.SIZES), *channels)
        shrinking = 2 if min(shape[:2]) >= 5 else 0
        convs = [
            GridConv(before, after, padding=0 if i < shrinking else 1)
            for i, (before, after) in enumerate(zip(widths, channels, strict=False))
        ]
        self.convs = nn.ModuleList(convs)
        height, width = (n - 2 * min(shrinking, len(channels)) for n in shape[:2])
        self.output = nn.Linear(channels[-1] * height * width, size)
        for layer in (*convs, self.output):
            keep_size(layer)  # torch's own weights leave a tenth of it, and units die sooner (decision 38)

    def forward(self, x: Tensor) -> Tensor:
        index = (x.long() * self.strides).sum(-1)
        y = F.embedding(index, self.cells)
        for i, conv in enumerate(self.convs):
            residual = i >= 2 and conv.in_channels == conv.out_channels
            y = conv(y) + y if residual else conv(y)
        return F.relu(self.output(y.permute(0, 3, 1, 2).flatten(1)))


def _cells() -> list[tuple[int, int, int]]:
    return [(o, c, s) for o in range(11) for c in range(6) for s in range(4)]


class MLP(nn.Module):
    """Two tanh layers on a flat vector [N, D]."""

    def __init__(self, shape: tuple[int, ...], size: int = 64) -> None:
        super().__init__()
        inputs = int(torch.Size(shape).numel())
        self.layers = nn.Sequential(nn.Linear(inputs, size), nn.Tanh(), nn.Linear(size, size), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers((x.flatten(1) if x.ndim > 1 else x[:, None]).float())


def _to_nchw(x: Tensor) -> Tensor:
    """Bytes as shares of 255, floats as they are."""
    y = x.permute(0, 3, 1, 2).float()
    return y / 255.0 if x.dtype == torch.uint8 else y


def _flat(convs: nn.Module, shape: tuple[int, ...]) -> int:
    with torch.no_grad():
        return convs(torch.zeros(1, shape[2], shape[0], shape[1])).numel()
