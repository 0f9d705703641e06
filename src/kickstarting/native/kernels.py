"""Compiled loops, for the processors that they were compiled for when the package was installed; everywhere else there are none.

What they compute stands in plain PyTorch beside their callers, which the tests hold them to. A call lets go of Python's lock,
so that several threads compute at once.
"""

from __future__ import annotations

import ctypes
import importlib.util
from functools import cache

import torch
from torch import Tensor

VARIANTS = {"AVX512": ("avx512", "avx2"), "AVX2": ("avx2",)}
"""Of the compiled file, the fastest first, by what torch says of the processor."""
ARGUMENTS = {"kick_pack": 6, "kick_lstm_forward": 9, "kick_lstm_backward": 10}


class Kernels:
    """The functions of lstm.cpp, on tensors. They check nothing: float32, contiguous, on the CPU, sizes as lstm.cpp says."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.panel: int = library.kick_panel()
        """The size of an LSTM must be a multiple of this."""
        self._library = library
        for name in ARGUMENTS:
            getattr(library, name).restype = None

    def pack(self, weight: Tensor) -> Tensor:
        """A matrix [inner, columns], with any strides, as the other functions read it."""
        (inner, columns), (rows, steps) = weight.shape, weight.stride()
        packed = torch.empty(inner * columns)
        self._call("kick_pack", weight, inner, columns, rows, steps, packed)
        return packed

    def lstm_forward(
        self, gates: Tensor, weight: Tensor, reset: Tensor, state: Tensor, outputs: Tensor, cells: Tensor | None
    ) -> None:
        T, B, H = outputs.shape
        self._call("kick_lstm_forward", T, B, H, gates, weight, reset, state, outputs, cells)

    def lstm_backward(
        self, gates: Tensor, cells: Tensor, weight: Tensor, reset: Tensor, d_outputs: Tensor, d_state: Tensor, d_gates: Tensor
    ) -> None:
        T, B, H = d_outputs.shape
        self._call("kick_lstm_backward", T, B, H, gates, cells, weight, reset, d_outputs, d_state, d_gates)

    def _call(self, name: str, *arguments: Tensor | int | None) -> None:
        values = [x.data_ptr() if isinstance(x, Tensor) else x for x in arguments]
        getattr(self._library, name)(*map(ctypes.c_void_p, values))


@cache
def kernels() -> Kernels | None:
    """The fastest that this processor can run; None if none was compiled."""
    for variant in VARIANTS.get(torch.backends.cpu.get_cpu_capability(), ()):
        found = importlib.util.find_spec(f"{__package__}.{variant}")
        if found and found.origin:
            return Kernels(ctypes.CDLL(found.origin))
    return None
