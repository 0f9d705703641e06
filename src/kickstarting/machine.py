"""What a process takes of the machine: threads, memory, precision and device, chosen here and nowhere else."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import torch
from torch import nn

from kickstarting.ranges import COUNT, SECONDS, THREADS, Choice
from kickstarting.types import Output, State

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
PRECISIONS = ("auto", "float32", "bfloat16")
WORTH_A_CALL = 10**6
"""Multiplications of numbers, from which oneDNN is no slower than MKL."""


@dataclass(frozen=True)
class MachineConfig:
    """What a run takes of the machine; nothing of it changes what is learned, but precision and overlap."""

    precision: Annotated[str, Choice(*PRECISIONS)] = "auto"
    """Precision of convolutions and linear layers: float32, bfloat16, or auto, which is bfloat16 where images or grids are observed
    and the hardware has it. A run keeps the precision that it began with."""
    device: Annotated[str, Choice("auto", "cpu", "cuda")] = "auto"
    """cpu, cuda, or auto, which is cuda where there is a GPU."""
    overlap: bool = False
    """Act on the next unroll while the learner steps on the last one, in two threads. The policy that acts is then one update
    behind, and V-trace corrects for that."""
    env_groups: Annotated[int, COUNT] = 1
    """Number of groups in which the environments step: while one group steps, the network chooses actions for the next."""
    learners: Annotated[int, THREADS] = 0
    """Processes that act and learn, each with its share of every task's environments; they average their gradients, and step as
    one. 0 takes one for each core where that is faster than one with as many threads, here and now."""
    torch_threads: Annotated[int, THREADS] = 0
    """Threads of torch in each process, with --overlap for each of the two threads. 0 takes as many as are fastest here and now, at
    most one per core."""
    environment_threads: Annotated[int, THREADS] = 0
    """Threads of each task's pool of environments. 0 takes one, or more where there are more cores than tasks."""
    environment_timeout: Annotated[float, SECONDS] = 300.0
    """Seconds after which an environment that does not answer is given up: the run saves, says which it is and where it hangs, and
    stops. 0 waits forever."""

    def check(self) -> None:
        """Raise ValueError for a device that is not here, or cannot be used so."""
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device is cuda, but torch finds no GPU here; use --device cpu, or a torch built for your GPU")
        if self.num_learners > 1 and resolve_device(self.device) == "cuda":
            raise ValueError(f"learners is {self.learners}, and a GPU has one; leave it out, or use --device cpu")

    @property
    def num_learners(self) -> int:
        return self.learners or 1

    def threads_each(self) -> int:
        """torch's threads for each thread that runs a network."""
        return self.torch_threads or max(1, cores() // (self.num_learners * (2 if self.overlap else 1)))

    def here(self, images: bool = True) -> MachineConfig:
        """With what `auto` means on this machine written out. images: there are convolutions. Without them the products are small,
        and in bfloat16 the casts take longer than it saves (decision 6)."""
        device = resolve_device(self.device)
        threads = self.torch_threads or fastest_threads(self.threads_each())
        precision = resolve_precision(self.precision, device) if images or self.precision != "auto" else "float32"
        return replace(self, device=device, precision=precision, learners=self.num_learners, torch_threads=threads)


def cores() -> int:
    """Of this machine, that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> float:
    """All memory of this machine; inf where the system does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


_precision = "float32"


def use_machine(torch_threads: int, precision: str = "float32", device: str = "cpu") -> None:
    """torch_threads for the networks (0: one a core), the networks' precision, and memory that is kept.

    Each learner step allocates the same large tensors. By default glibc gives memory of that size back to the system at
    once and takes it again page by page, a third of the time of a convolution; kept, it is reused.
    """
    global _precision
    _precision = resolve_precision(precision, device)
    torch.set_num_threads(torch_threads or cores())
    _use_onednn_if_exact()
    if sys.platform == "linux":
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except (OSError, AttributeError):  # not glibc
            return
        mallopt(_M_MMAP_THRESHOLD, 2**30)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def use_fitting_products(network: nn.Module, rows: int) -> None:
    """Of a process that trains this network on so many rows at once: oneDNN only if its largest product is worth the call.

    MKL multiplies 64 rows by 64 x 64 numbers in 7 us, oneDNN in 19 us; beyond a million multiplications they are even. (An AMD
    EPYC with AVX-512; `python benchmarks/parts.py` measures it anywhere.)
    """
    largest = max((p.numel() for p in network.parameters() if p.dim() == 2), default=0)
    if 0 < rows * largest < WORTH_A_CALL:
        _multiply("ieee")


def fastest_threads(most: int) -> int:
    """How many of torch's threads multiply fastest at the moment: `most`, or a half, a quarter, ... of them, or one.

    On a busy machine threads wait for each other at every operation: two of them on two cores that other processes want
    were seen a hundred times slower than one.
    """
    x, y = torch.ones(128, 256), torch.ones(256, 1024)
    before, times, threads = torch.get_num_threads(), {}, most
    while threads >= 1:
        torch.set_num_threads(threads)
        durations = []
        for _ in range(15):
            began = time.perf_counter()
            torch.tanh(x @ y)
            durations.append(time.perf_counter() - began)
        times[threads] = float(np.mean(durations[5:]))
        threads //= 2
    torch.set_num_threads(before)
    return min(times, key=times.__getitem__)


def resolve_device(device: str) -> str:
    """What `auto` means here."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def resolve_precision(precision: str, device: str = "cpu") -> str:
    """What `auto` means here: bfloat16 where the hardware multiplies it faster than float32, else float32."""
    if precision != "auto":
        return precision
    if device != "cpu":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # private, so they may go
    return "bfloat16" if any(getattr(torch.cpu, probe, bool)() for probe in probes) else "float32"


def product_dtype() -> torch.dtype:
    """Of convolutions and linear layers, in the precision of the process."""
    return torch.float32 if _precision == "float32" else torch.bfloat16


def mixed_precision(device: str = "cpu") -> Any:
    """A context in which convolutions and linear layers multiply bfloat16, if the process does. Trained weights are cast once
    for each context that is entered, so enter it around a whole unroll; frozen ones at every use."""
    dtype = product_dtype()
    return contextlib.nullcontext() if dtype == torch.float32 else torch.autocast(device, dtype)


def run_network(network: Any, inputs: Any, state: State) -> tuple[Output, State]:
    """A network's output in float32, computed in the precision of the process."""
    with mixed_precision(inputs.is_first.device.type):
        output, state = network(inputs, state)
    return Output(output.logits.float(), output.values.float()), state


def _use_onednn_if_exact() -> None:
    """Hand float32 products to oneDNN, where they stay float32.

    On AMD processors MKL multiplies with AVX2 and oneDNN with AVX-512, in half the time and no less exact. Torch knows the
    switch as "bf16 allowed", and on processors with AMX that is what it does; the probe is a product that bfloat16 cannot
    represent.
    """
    _multiply("bf16")
    x = torch.full((64, 64), 1.0 + 2.0**-12)
    if not torch.equal(x @ torch.eye(64), x):
        _multiply("ieee")


def _multiply(how: str) -> None:
    if matmul := getattr(torch.backends.mkldnn, "matmul", None):  # older versions of torch have none
        matmul.fp32_precision = how
