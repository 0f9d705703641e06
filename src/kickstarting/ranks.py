"""Learners that step as one: each has its share of the batch, and what they add up is the same number in all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


class ReplicaError(RuntimeError):
    """A learner of several is gone, though nobody asked it to end; so none can go on."""


@runtime_checkable
class Ranks(Protocol):
    """The learners of a run, seen from one of them. All of them make the same calls in the same order."""

    size: int

    def sum(self, x: Tensor) -> Tensor:
        """Over the ranks, of tensors of one shape; the same bits everywhere."""
        ...

    def maximum(self, x: Tensor) -> Tensor: ...


class Alone:
    """One learner that has the whole batch."""

    size = 1

    def sum(self, x: Tensor) -> Tensor:
        return x

    def maximum(self, x: Tensor) -> Tensor:
        return x


ALONE = Alone()


class SharedMemory:
    """Ranks in processes of one machine. Every rank adds up its own part of a sum, always in the order of the ranks.

    file: at least `bytes_for` long, the same one for all. room: the most numbers that a sum has. barrier: returns when all ranks
    have called it.
    """

    def __init__(self, rank: int, size: int, file: str, room: int, barrier: Callable[[], None]) -> None:
        self.rank, self.size = rank, size
        memory = torch.from_file(file, shared=True, size=(size + 1) * room)
        self._terms, self._result = memory[: size * room].view(size, room), memory[size * room :]
        self._barrier = barrier

    @staticmethod
    def bytes_for(size: int, room: int) -> int:
        return 4 * (size + 1) * room

    def sum(self, x: Tensor) -> Tensor:
        return self._reduce(x, torch.sum)

    def maximum(self, x: Tensor) -> Tensor:
        return self._reduce(x, torch.amax)

    def _reduce(self, x: Tensor, operation: Callable[..., Tensor]) -> Tensor:
        n = x.numel()
        self._terms[self.rank, :n] = x.flatten()
        self._barrier()  # all terms are there, and nobody reads the last result any more
        own = slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)
        operation(self._terms[:, own], 0, out=self._result[own])
        self._barrier()
        return self._result[:n].clone().view_as(x)


def weighted_mean(ranks: Ranks, tensors: Sequence[Tensor], weight: Tensor) -> list[Tensor]:
    """Of each tensor over the ranks, with the weight [] of this rank; one exchange for all."""
    flat = ranks.sum(torch.cat([*((x * weight).flatten() for x in tensors), weight[None]]))
    means = (flat[:-1] / flat[-1]).split([x.numel() for x in tensors])
    return [mean.view_as(x) for mean, x in zip(means, tensors, strict=True)]
