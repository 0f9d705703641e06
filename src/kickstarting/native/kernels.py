"""Compiled loops, for the processors that they were compiled for when the package was installed; everywhere else there are none.

What they compute stands in plain PyTorch beside their callers, which the tests hold them to. A call lets go of Python's lock,
so that several threads compute at once.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

VARIANTS = {"AVX512": ("avx512", "avx2"), "AVX2": ("avx2",)}
"""Of the compiled file, the fastest first, by what torch says of the processor."""
ARGUMENTS = {
    "kick_accumulate": 5,
    "kick_pack": 6,
    "kick_lstm_forward": 9,
    "kick_lstm_backward": 10,
    "kick_convolve": 10,
    "kick_convolve_backward": 13,
}
BLOCK = 48
"""Positions of a convolution at a time, as kernels.cpp says."""


class Kernels:
    """The functions of kernels.cpp, on tensors. They check nothing: float32, contiguous, on the CPU, sizes as it says there."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.panel: int = library.kick_panel()
        """The columns of a packed matrix must be a multiple of this."""
        self._library = library
        for name, count in ARGUMENTS.items():
            function = getattr(library, name)
            function.argtypes, function.restype = [ctypes.c_void_p] * count, None

    def accumulate(self, terms: Tensor, decays: Tensor) -> Tensor:
        """[T, B], of two such: terms[t] + decays[t] * the next one."""
        sums = torch.empty_like(terms)
        self._call("kick_accumulate", *terms.shape, terms, decays, sums)
        return sums

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

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor, y: Tensor) -> None:
        N, H, W, C = x.shape
        self._call("kick_convolve", N, H, W, C, y.shape[-1], x, weight, bias, y, torch.empty(BLOCK * 9 * C))

    def convolve_backward(
        self, x: Tensor, y: Tensor, weight: Tensor | None, d_y: Tensor, d_x: Tensor | None, d_weight: Tensor, d_bias: Tensor
    ) -> None:
        (N, H, W, C), D = x.shape, y.shape[-1]
        room = torch.empty(BLOCK * (9 * C + D))
        self._call("kick_convolve_backward", N, H, W, C, D, x, y, weight, d_y, d_x, d_weight, d_bias, room)

    def _call(self, name: str, *arguments: Tensor | int | None) -> None:
        values = [x.data_ptr() if isinstance(x, Tensor) else x for x in arguments]
        getattr(self._library, name)(*values)


@cache
def kernels() -> Kernels | None:
    """The fastest that this processor can run; None if none was compiled."""
    for variant in VARIANTS.get(torch.backends.cpu.get_cpu_capability(), ()):
        found = importlib.util.find_spec(f"{__package__}.{variant}")
        if found and found.origin and all(hasattr(library := ctypes.CDLL(found.origin), name) for name in ARGUMENTS):
            return Kernels(library)  # otherwise it was compiled from an earlier version
    return None


class Packed:
    """A layer's weights as a compiled loop reads them, kept while nobody learns, since acting takes a step at a time.

    arrange: the weights as the matrix that is packed. A copy packs its own: it counts their versions anew.
    """

    def __init__(self, arrange: Callable[[Tensor], Tensor]) -> None:
        self._arrange = arrange
        self._kept: tuple[tuple[int, int], Tensor] | None = None

    def __call__(self, weight: Tensor, loop: Kernels) -> Tensor:
        weight = weight.detach()
        if torch.is_grad_enabled():
            return loop.pack(self._arrange(weight))
        version, kept = (weight.data_ptr(), weight._version), self._kept
        if kept is None or kept[0] != version:
            kept = self._kept = (version, loop.pack(self._arrange(weight)))
        return kept[1]

    def forget_if_learning(self) -> None:
        """To be called in every forward pass: a fused optimiser changes weights without raising their version."""
        if torch.is_grad_enabled():
            self._kept = None

    def __deepcopy__(self, memo: object) -> Packed:
        return Packed(self._arrange)

    def __reduce__(self) -> tuple[type[Packed], tuple[Callable[[Tensor], Tensor]]]:
        return Packed, (self._arrange,)
