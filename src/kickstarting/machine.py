"""What a process takes of the machine: threads and memory, chosen here and nowhere else."""

from __future__ import annotations

import ctypes
import os
import sys

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def use_machine(torch_threads: int) -> None:
    """torch_threads for the networks (0: one a core), and memory that is kept.

    Each learner step allocates the same large tensors. By default glibc gives memory of that size back to the system at
    once and takes it again page by page, a third of the time of a convolution; kept, it is reused.
    """
    torch.set_num_threads(torch_threads or os.cpu_count() or 1)
    if sys.platform == "linux":
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except (OSError, AttributeError):  # not glibc
            return
        mallopt(_M_MMAP_THRESHOLD, 2**30)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
