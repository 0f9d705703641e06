"""Learners that step as one on several machines: `Ranks` by torch.distributed."""

from __future__ import annotations

import socket
from datetime import timedelta
from typing import Any

import torch.distributed
from torch import Tensor

from kickstarting.ranks import ReplicaError

dist: Any = torch.distributed  # its annotations lack most of what a process group can do


class Gloo:
    """All ranks meet at an address of the first one's.

    host: this process's own address, by which the others reach it. seconds: how long the others are waited for. All methods raise
    ReplicaError if one is gone or does not come.
    """

    def __init__(self, rank: int, size: int, meeting: tuple[str, int], host: str, seconds: float) -> None:
        self.rank, self.size = rank, size
        wait = timedelta(seconds=seconds)
        try:
            self._store = dist.TCPStore(*meeting, size, rank == 0, timeout=wait, wait_for_workers=False)
            options = dist.ProcessGroupGloo._Options()
            options._devices = [dist.ProcessGroupGloo.create_device(hostname=host)]
            options._timeout = wait
            self._group = dist.ProcessGroupGloo(self._store, rank, size, options)
        except RuntimeError as error:
            raise _lost(error) from error

    def sum(self, x: Tensor) -> Tensor:
        return self._reduce(x, dist.ReduceOp.SUM)

    def maximum(self, x: Tensor) -> Tensor:
        return self._reduce(x, dist.ReduceOp.MAX)

    def _reduce(self, x: Tensor, operation: Any) -> Tensor:
        options = dist.AllreduceOptions()
        options.reduceOp = operation
        own = x.detach().cpu().contiguous().clone()
        try:
            self._group.allreduce([own], options).wait()
        except RuntimeError as error:
            raise _lost(error) from error
        return own.to(x.device)


def free_port(host: str) -> int:
    """One on which nobody listens at the moment."""
    with socket.create_server((host, 0)) as server:
        return server.getsockname()[1]


def _lost(error: RuntimeError) -> ReplicaError:
    said = " ".join(str(error).split())[:160]
    return ReplicaError(f"a learner is gone, or did not answer in time ({said}); resume from the last checkpoint")
