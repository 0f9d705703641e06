"""An LSTM over [T, B] that resets inside the unroll, at the speed of one that does not.

The input projection of all T steps is one matrix product, the weight gradient another; only the [B, H] recurrence is left
in the loop. `lstm_unroll` has its own backward pass, several times faster on a CPU than autograd through the loop, and where a
compiled loop is to be had (`native/`) it takes that; `lstm_unroll_plain` is the same function, written plainly, and the tests
hold them all together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from kickstarting.native.kernels import Kernels, Packed, kernels


def lstm_unroll_plain(
    projected: Float[Tensor, "T B G"],
    weight: Float[Tensor, "G H"],
    h: Float[Tensor, "B H"],
    c: Float[Tensor, "B H"],
    reset: Bool[Tensor, "T B"],
) -> tuple[Float[Tensor, "T B H"], Float[Tensor, "B H"], Float[Tensor, "B H"]]:
    """Outputs and last state. projected: [T, B, 4 H] W x + b, gates in the order i, f, o, g. A step with reset zeroes the
    state before it."""
    outputs = []
    for x, keep in zip(projected, (~reset).to(h.dtype)[..., None], strict=True):
        h, c = h * keep, c * keep
        i, f, o, g = (x + h @ weight.T).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        outputs.append(h)
    return torch.stack(outputs), h, c


class _Steps(NamedTuple):
    """What the recurrence leaves behind: [T, ..., H] each, gates [T, ..., 4 H], cs one step more, keep [T, ..., 1]."""

    gates: Tensor
    outputs: Tensor
    cs: Tensor
    tanh_cs: Tensor
    keep: Tensor
    some_reset: list[bool]


def _recur(projected: Tensor, product: Callable[[Tensor], Tensor], h: Tensor, c: Tensor, reset: Tensor) -> _Steps:
    """All T steps. product: h [..., H] times the recurrent weights, [..., 4 H].

    tanh(x) is computed as 2 sigmoid(2 x) - 1: on a CPU torch's sigmoid is ten times as fast as its tanh, and all four gates
    are one call.
    """
    T, H = len(projected), h.shape[-1]
    keep = (~reset).to(c.dtype)[..., None]
    some_reset = reset.flatten(1).any(1).tolist()
    gates = projected.to(c.dtype, copy=True, memory_format=torch.contiguous_format)
    outputs, tanh_cs, cs = c.new_empty(T, *c.shape), c.new_empty(T, *c.shape), c.new_empty(T + 1, *c.shape)
    cs[0] = c
    for t in range(T):
        if some_reset[t]:
            h = h * keep[t]
            cs[t].mul_(keep[t])
        gate = gates[t].add_(product(h))
        gate[..., 3 * H :].mul_(2)
        i, f, o, g = gate.sigmoid_().chunk(4, -1)
        g.mul_(2).sub_(1)
        c = torch.mul(f, cs[t], out=cs[t + 1]).addcmul_(i, g)
        tanh_c = torch.mul(c, 2, out=tanh_cs[t]).sigmoid_().mul_(2).sub_(1)
        h = torch.mul(o, tanh_c, out=outputs[t])
    return _Steps(gates, outputs, cs, tanh_cs, keep, some_reset)


class _Unroll(torch.autograd.Function):
    """`projected` may be bfloat16 (under autocast): then the matrix products are, and all else is float32."""

    @staticmethod
    def forward(ctx: Any, projected: Tensor, weight: Tensor, h: Tensor, c: Tensor, reset: Tensor, save: bool) -> Any:
        # autocast casts a trained weight once for the whole unroll, and a frozen one at every use
        factor = weight if weight.requires_grad else weight.to(projected.dtype)
        steps = _recur(projected, lambda h: F.linear(h, factor), h, c, reset)
        if save:
            ctx.save_for_backward(steps.gates, h, steps.outputs, steps.cs, steps.tanh_cs, weight, steps.keep)
            ctx.some_reset, ctx.product_dtype = steps.some_reset, projected.dtype
        return steps.outputs, steps.outputs[-1].clone(), steps.cs[-1].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        d_outputs, dh, dc = gradients
        gates, first, outputs, cs, tanh_cs, weight, keep = ctx.saved_tensors
        T, B, H = outputs.shape
        i, f, o, g = gates.chunk(4, -1)
        # d gate = dc * to_gate for i, f, g and dh * to_gate for o; what does not depend on the recurrence, for all T at once
        to_gate = torch.empty_like(gates)
        to_i, to_f, to_o, to_g = to_gate.chunk(4, -1)
        torch.ops.aten.sigmoid_backward.grad_input(g, i, grad_input=to_i)
        torch.ops.aten.sigmoid_backward.grad_input(cs[:-1], f, grad_input=to_f)
        torch.ops.aten.sigmoid_backward.grad_input(tanh_cs, o, grad_input=to_o)
        torch.ops.aten.tanh_backward.grad_input(i, g, grad_input=to_g)
        to_c = torch.ops.aten.tanh_backward(o, tanh_cs)
        factor = weight.to(ctx.product_dtype)
        d_gates = to_gate if factor.dtype == gates.dtype else torch.empty_like(gates, dtype=factor.dtype)
        for t in reversed(range(T)):
            dh = dh + d_outputs[t]
            dc = torch.addcmul(dc, dh, to_c[t])
            d_gate = to_gate[t]
            d_gate[:, : 2 * H].view(B, 2, H).mul_(dc[:, None])
            d_gate[:, 2 * H : 3 * H].mul_(dh)
            d_gate[:, 3 * H :].mul_(dc)
            if d_gates is not to_gate:
                d_gate = d_gates[t].copy_(d_gate)
            dh = (d_gate @ factor).to(dc.dtype)
            dc = dc * f[t]
            if ctx.some_reset[t]:
                dh, dc = dh * keep[t], dc * keep[t]
        d_weight = _weight_gradient(d_gates, first, outputs, keep)
        return d_gates, d_weight.to(weight.dtype), dh, dc, None, None


class _Compiled(torch.autograd.Function):
    """The same by a compiled loop, in float32 throughout but for the weight's gradient. packed: the recurrent weights as the
    loop reads them."""

    @staticmethod
    def forward(
        ctx: Any, projected: Tensor, weight: Tensor, h: Tensor, c: Tensor, reset: Tensor, packed: Tensor, loop: Kernels
    ) -> Any:
        gates, reset, state, outputs, cells = _recurred(projected, h, c, reset, packed, loop, save=True)
        ctx.save_for_backward(gates, h, outputs, cells, weight, reset)
        ctx.product_dtype, ctx.loop = projected.dtype, loop
        return outputs, *state.unbind()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        gates, first, outputs, cells, weight, reset = ctx.saved_tensors
        d_outputs, d_state, d_gates = gradients[0].contiguous(), torch.stack(gradients[1:]), torch.empty_like(gates)
        ctx.loop.lstm_backward(gates, cells, ctx.loop.pack(weight), reset, d_outputs, d_state, d_gates)
        d_gates = d_gates.to(ctx.product_dtype)
        d_weight = _weight_gradient(d_gates, first, outputs, (~reset)[..., None])
        return d_gates, d_weight.to(weight.dtype), *d_state.unbind(), None, None, None


def _recurred(projected: Tensor, h: Tensor, c: Tensor, reset: Tensor, packed: Tensor, loop: Kernels, save: bool) -> Any:
    gates = projected.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    state, reset = torch.stack([h, c]), reset.contiguous()
    outputs = gates.new_empty(*gates.shape[:2], h.shape[-1])
    cells = torch.empty_like(outputs) if save else None
    loop.lstm_forward(gates, packed, reset, state, outputs, cells)
    return gates, reset, state, outputs, cells


def _weight_gradient(d_gates: Tensor, first: Tensor, outputs: Tensor, keep: Tensor) -> Tensor:
    hs = (torch.cat([first[None], outputs[:-1]]) * keep).to(d_gates.dtype)
    return d_gates.flatten(0, 1).T @ hs.flatten(0, 1)


def compiled_loop(weight: Tensor, c: Tensor | None = None) -> Kernels | None:
    """The compiled loop, where there is one for these recurrent weights [4 H, H], and state."""
    loop, exact = kernels(), all(x.dtype == torch.float32 for x in (weight, c) if x is not None)
    return loop if loop and exact and weight.device.type == "cpu" and weight.shape[1] % loop.panel == 0 else None


def lstm_unroll(
    projected: Tensor, weight: Tensor, h: Tensor, c: Tensor, reset: Tensor, packed: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """`lstm_unroll_plain`, fast. Gradients reach projected, weight, h and c. packed: the weights as `LSTM` keeps them."""
    save = torch.is_grad_enabled() and any(x.requires_grad for x in (projected, weight, h, c))
    if loop := compiled_loop(weight, c):
        packed = loop.pack(weight.T) if packed is None else packed
        if not save:
            _, _, state, outputs, _ = _recurred(projected.detach(), h, c, reset, packed, loop, save)
            return outputs, *state.unbind()
        return _Compiled.apply(projected, weight, h, c, reset, packed, loop)  # type: ignore[no-any-return]
    return _Unroll.apply(projected, weight, h, c, reset, save)  # type: ignore[no-any-return]


@torch.no_grad()
def lstm_unroll_together(
    projected: Float[Tensor, "T N B G"],
    weights: Float[Tensor, "N H G"],
    h: Float[Tensor, "N B H"],
    c: Float[Tensor, "N B H"],
    reset: Bool[Tensor, "T N B"],
) -> tuple[Float[Tensor, "T N B H"], Float[Tensor, "N B H"], Float[Tensor, "N B H"]]:
    """`lstm_unroll` of N LSTMs side by side, without gradients. weights: the transpose of each, [N, H, 4 H]."""
    steps = _recur(projected, lambda h: torch.bmm(h.to(weights.dtype), weights), h, c, reset)
    return steps.outputs, steps.outputs[-1], steps.cs[-1]


class LSTM(nn.Module):
    """One LSTM layer with forget_bias 1 and one bias vector, as in the papers (TensorFlow's LSTMBlockCell)."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.input = nn.Linear(input_size, 4 * hidden_size)
        self.weight = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        bound = hidden_size**-0.5
        nn.init.uniform_(self.input.weight, -bound, bound)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.zeros_(self.input.bias)
        nn.init.ones_(self.input.bias[hidden_size : 2 * hidden_size])
        self._packed = Packed(torch.t)

    def initial_state(self, batch: int) -> tuple[Tensor, Tensor]:
        zeros = self.weight.new_zeros(batch, self.hidden_size)
        return zeros, zeros

    def forward(
        self, x: Float[Tensor, "T B I"], state: tuple[Tensor, ...], reset: Bool[Tensor, "T B"]
    ) -> tuple[Float[Tensor, "T B H"], tuple[Tensor, ...]]:
        h, c = state
        if torch.compiler.is_compiling():  # exporters know no functions of ours
            outputs, h, c = lstm_unroll_plain(self.input(x), self.weight, h, c, reset)
            return outputs, (h, c)
        self._packed.forget_if_learning()
        loop = compiled_loop(self.weight, c)
        packed = self._packed(self.weight, loop) if loop else None
        outputs, h, c = lstm_unroll(self.input(x), self.weight, h, c, reset, packed)
        return outputs, (h, c)
