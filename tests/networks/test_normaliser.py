"""The running mean and variance: numpy's of everything that was valid, whatever its size, its order, and who saw it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import torch
from torch import Tensor

from kickstarting.networks.normaliser import CLIP, Normaliser
from kickstarting.ranks import ALONE, SharedMemory

T, B = 7, 4


def unrolls(shape: tuple[int, ...], mean: float = 0.0, number: int = 5) -> list[tuple[Tensor, Tensor]]:
    """Observations [T, B, *shape] that drift, and where they are valid."""
    generator = torch.Generator().manual_seed(0)
    drawn = []
    for i in range(number):
        x = mean + i + (1 + i) * torch.randn(T, B, *shape, generator=generator)
        drawn.append((x, torch.rand(T, B, generator=generator) < 0.8))
    return drawn


def updated(normaliser: Normaliser, parts: list[tuple[Tensor, Tensor]]) -> Normaliser:
    for x, valid in parts:
        normaliser.update(x, valid, ALONE)
    return normaliser


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
@pytest.mark.parametrize("mean", [0.0, 1e5])
def test_statistics_are_numpys_of_all_that_was_valid(shape: tuple[int, ...], mean: float) -> None:
    parts = unrolls(shape, mean)
    normaliser = updated(Normaliser("x", shape), parts)
    seen = np.concatenate([x[valid].double().numpy() for x, valid in parts])
    assert normaliser.count.item() == len(seen)
    np.testing.assert_allclose(normaliser.mean.numpy(), seen.mean(0), rtol=1e-9)
    np.testing.assert_allclose(normaliser.variance.numpy(), seen.var(0), rtol=1e-6)


def test_what_is_read_is_standard() -> None:
    parts = unrolls((3,), 40.0)
    normaliser = updated(Normaliser("x", (3,)), parts)
    read = torch.cat([normaliser(x)[valid] for x, valid in parts])
    torch.testing.assert_close(read.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(read.std(0, correction=0), torch.ones(3), atol=1e-5, rtol=0)
    assert normaliser(torch.full((1, 1, 3), 1e9)).tolist() == [[[CLIP] * 3]]


def test_a_constant_is_nothing_until_it_leaps() -> None:
    normaliser = updated(Normaliser("x", ()), [(torch.full((T, B), 0.3), torch.ones(T, B, dtype=torch.bool))] * 3)
    assert normaliser(torch.full((1, 1), 0.3)).item() == 0
    assert normaliser(torch.full((1, 1), -5.0)).item() == -CLIP


def test_before_it_has_seen_anything_it_changes_nothing() -> None:
    normaliser, x = Normaliser("x", (2,)), torch.tensor([[[0.5, -3.0]]])
    normaliser.update(x, torch.zeros(1, 1, dtype=torch.bool), ALONE)
    torch.testing.assert_close(normaliser(x), x)
    assert normaliser.count == 0


@pytest.mark.parametrize("mean", [0.0, 1e3])
def test_ranks_have_the_statistics_of_all_columns_to_the_bit(tmp_path: Path, mean: float) -> None:
    parts, file, barrier = unrolls((3,), mean), tmp_path / "memory", Barrier(2, timeout=20)
    parts[1][1][:, ::2] = False  # a rank that saw nothing
    file.write_bytes(bytes(SharedMemory.bytes_for(2, 100)))

    def wait() -> None:
        barrier.wait()

    def one(rank: int) -> Normaliser:
        ranks, own = SharedMemory(rank, 2, str(file), 100, wait), Normaliser("x", (3,))
        for x, valid in parts:
            own.update(x[:, rank::2], valid[:, rank::2], ranks)
        return own

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(one, range(2))
    alone = updated(Normaliser("x", (3,)), parts)
    for name, x in alone.named_buffers():
        torch.testing.assert_close(dict(first.named_buffers())[name], x, rtol=1e-5, atol=1e-6)
        assert torch.equal(dict(first.named_buffers())[name], dict(second.named_buffers())[name])


def test_it_has_no_weights_and_is_changed_in_place() -> None:
    """Whoever holds the network's tensors, as an actor does, sees what it has become."""
    normaliser = Normaliser("x", (3,))
    held = normaliser.state_dict()
    updated(normaliser, unrolls((3,)))
    assert not list(normaliser.parameters())
    assert held["count"] > 0
    assert torch.equal(held["mean"], normaliser.mean)
