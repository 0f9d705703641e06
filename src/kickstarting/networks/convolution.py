"""3x3 convolutions of small grids, which oneDNN takes twice the time for that their multiplications take."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from kickstarting.native.kernels import Kernels, Packed, kernels


class GridConv(nn.Conv2d):
    """max(0, convolution) with a 3x3 kernel and stride 1, of images whose channels come last. The weights are those of nn.Conv2d.

    On a CPU in float32, where a compiled loop is to be had and the channels suit it, both passes are compiled.
    """

    def __init__(self, in_channels: int, out_channels: int, padding: int = 0) -> None:
        super().__init__(in_channels, out_channels, 3, padding=padding)
        self._border = (0, 0, *[padding] * 4)
        self._packed = Packed(_as_matrix)

    def forward(self, input: Float[Tensor, "N H W C"]) -> Float[Tensor, "N G V D"]:
        self._packed.forget_if_learning()
        if (loop := self._compiled_loop(input)) and self.bias is not None:
            padded = F.pad(input, self._border) if any(self._border) else input
            packed = self._packed(self.weight, loop)
            if not torch.is_grad_enabled():
                return _convolved(padded.contiguous(), self.bias, packed, loop)
            return _Compiled.apply(padded, self.weight, self.bias, packed, loop)  # type: ignore[no-any-return]
        planes = input.permute(0, 3, 1, 2)  # channels_last, the faster layout for inference on a CPU
        if torch.is_grad_enabled():
            planes = planes.contiguous()  # the backward pass is faster by an eighth on planes
        return F.relu(super().forward(planes)).permute(0, 2, 3, 1)

    def _compiled_loop(self, x: Tensor) -> Kernels | None:
        loop = kernels()
        if not loop or torch.compiler.is_compiling() or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            return None
        exact = x.dtype == self.weight.dtype == torch.float32
        fits = self.out_channels % loop.panel == 0 and (not x.requires_grad or 9 * self.in_channels % loop.panel == 0)
        return loop if exact and fits else None


def _as_matrix(weight: Tensor) -> Tensor:
    """[D, C, 3, 3] as [9 C, D], by the kernel's rows, columns, channels."""
    return weight.permute(2, 3, 1, 0).reshape(-1, len(weight))


def _convolved(x: Tensor, bias: Tensor, packed: Tensor, loop: Kernels) -> Tensor:
    N, H, W, _ = x.shape
    y = x.new_empty(N, H - 2, W - 2, len(bias))
    loop.convolve(x, packed, bias, y)
    return y


class _Compiled(torch.autograd.Function):
    """Gradients reach x, weight and bias."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, packed: Tensor, loop: Kernels) -> Tensor:
        x = x.contiguous()
        y = _convolved(x, bias, packed, loop)
        ctx.save_for_backward(x, weight, y)
        ctx.loop = loop
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, weight, y = ctx.saved_tensors
        D, C = weight.shape[:2]
        d_x = torch.zeros_like(x) if ctx.needs_input_grad[0] else None
        d_weight, d_bias = x.new_zeros(9 * C, D), x.new_zeros(D)
        packed = None if d_x is None else ctx.loop.pack(_as_matrix(weight).T)
        ctx.loop.convolve_backward(x, y, packed, gradients[0].contiguous(), d_x, d_weight, d_bias)
        return d_x, d_weight.view(3, 3, C, D).permute(3, 2, 0, 1), d_bias, None, None
