"""The torsos against slow definitions of their unusual parts."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from kickstarting.networks.torsos import MLP, Grid, PixelLarge, PixelSmall, SamePool


@pytest.mark.parametrize("shape", [(5, 5), (6, 6), (7, 4), (4, 9)])
def test_same_pool_is_tensorflows(shape: tuple[int, int]) -> None:
    """SAME: ceil(n / 2) outputs; of the padding they need, the smaller half comes first."""
    x = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    starts = []  # of the 3x3 windows, by dimension
    for n in shape:
        outputs = -(-n // 2)
        padding = max(0, (outputs - 1) * 2 + 3 - n)
        starts.append([2 * i - padding // 2 for i in range(outputs)])
    expected = x.new_empty(2, 3, *map(len, starts))
    for row, i in enumerate(starts[0]):
        for column, j in enumerate(starts[1]):
            expected[..., row, column] = x[..., max(0, i) : i + 3, max(0, j) : j + 3].amax((-2, -1))
    assert torch.equal(SamePool()(x), expected)


def test_large_torso_has_15_convolutions_on_the_papers_sizes() -> None:
    torso = PixelLarge((72, 96, 3))
    assert sum(isinstance(m, torch.nn.Conv2d) for m in torso.modules()) == 15
    assert torso.output.in_features == 9 * 12 * 32


@pytest.mark.parametrize("torso", [PixelSmall((72, 96, 3)), PixelLarge((40, 40, 3))], ids=["small", "large"])
def test_pixels_are_read_as_shares_of_255(torso: PixelSmall | PixelLarge) -> None:
    size = (72, 96) if isinstance(torso, PixelSmall) else (40, 40)
    image = torch.randint(256, (2, *size, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    expected = F.relu(torso.output(torso.convs(image.permute(0, 3, 1, 2) / 255).flatten(1)))
    torch.testing.assert_close(torso(image), expected)


@pytest.mark.parametrize("channels", [(8,), (8, 16), (8, 16, 16, 16)])
def test_grid_reads_objects_colours_and_states_one_hot(channels: tuple[int, ...]) -> None:
    torso, generator = Grid((7, 7, 3), 12, channels), torch.Generator().manual_seed(0)
    parts = [torch.randint(n, (5, 7, 7), generator=generator) for n in Grid.SIZES]
    cells = torch.cat([F.one_hot(part, n) for part, n in zip(parts, Grid.SIZES, strict=True)], -1)
    y = cells.permute(0, 3, 1, 2).float()
    for i, conv in enumerate(torso.convs):
        assert isinstance(conv, nn.Conv2d)
        y = F.relu(F.conv2d(y, conv.weight, conv.bias, padding=conv.padding[0])) + (y if i >= 2 else 0)
    expected = F.relu(torso.output(y.flatten(1)))
    torch.testing.assert_close(torso(torch.stack(parts, -1).to(torch.uint8)), expected)


@pytest.mark.parametrize("channels", [(16, 32), (32, 64, 64)])
def test_a_new_torso_on_grids_keeps_the_size_of_its_signal(channels: tuple[int, ...]) -> None:
    """Of three ones in each cell; torch's own weights leave a tenth of it, which a few steps of an optimiser drown."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    view = torch.stack([torch.randint(n, (64, 7, 7), generator=generator) for n in Grid.SIZES], -1).to(torch.uint8)
    size = (3 / sum(Grid.SIZES)) ** 0.5
    features = Grid((7, 7, 3), 256, channels)(view).detach()
    assert size / 2 < float(features.square().mean().sqrt()) < 3 * size


def test_mlp_flattens_any_shape() -> None:
    torso = MLP((2, 3), 4)
    assert torso(torch.zeros(5, 2, 3, dtype=torch.float64)).shape == (5, 4)


def test_width_multiplies_the_channels_of_the_large_torso() -> None:
    plain, wide = PixelLarge((36, 36, 3)), PixelLarge((36, 36, 3), width=3)
    convs = zip(*([m for m in torso.modules() if isinstance(m, nn.Conv2d)] for torso in (plain, wide)), strict=True)
    assert all(second.out_channels == 3 * first.out_channels for first, second in convs)
    assert wide.output.in_features == 3 * plain.output.in_features
    assert wide(torch.zeros(2, 36, 36, 3, dtype=torch.uint8)).shape == (2, 256)
