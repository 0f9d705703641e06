"""An LSTM over [T, B] that resets inside the unroll, at the speed of one that does not.

The input projection of all T steps is one matrix product, the weight gradient another; only the [B, H] recurrence is left
in the loop. `lstm_unroll` has its own backward pass, several times faster on a CPU than autograd through the loop;
`lstm_unroll_plain` is the same function, written plainly, and the tests hold the two together.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


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


class _Unroll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projected: Tensor, weight: Tensor, h: Tensor, c: Tensor, reset: Tensor, save: bool) -> Any:
        T, B, H = *projected.shape[:2], weight.shape[1]
        keep = (~reset).to(h.dtype)[..., None]
        some_reset = reset.any(1).tolist()
        weight_t = weight.T
        outputs = projected.new_empty(T, B, H)
        gates = projected.clone() if save else projected
        hs = projected.new_empty(T, B, H) if save else None
        cs = projected.new_empty(T, B, H) if save else None
        tanh_cs = projected.new_empty(T, B, H) if save else None
        for t in range(T):
            if some_reset[t]:
                h, c = h * keep[t], c * keep[t]
            if hs is not None and cs is not None:
                hs[t], cs[t] = h, c
            gate = gates[t].addmm_(h, weight_t) if save else torch.addmm(gates[t], h, weight_t)
            i, f, o = gate[:, : 3 * H].sigmoid_().chunk(3, -1)
            g = gate[:, 3 * H :].tanh_()
            c = torch.addcmul(f * c, i, g)
            tanh_c = torch.tanh(c, out=tanh_cs[t]) if tanh_cs is not None else c.tanh()
            h = torch.mul(o, tanh_c, out=outputs[t])
        if save:
            ctx.save_for_backward(gates, hs, cs, tanh_cs, weight, keep)
            ctx.some_reset = some_reset
        return outputs, h.clone(), c

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        d_outputs, dh, dc = gradients
        gates, hs, cs, tanh_cs, weight, keep = ctx.saved_tensors
        T, B, H = hs.shape
        sigmoids, g = gates[..., : 3 * H], gates[..., 3 * H :]
        i, f, o = sigmoids.chunk(3, -1)
        # d gate = dc * to_gate for i, f, g; everything that does not depend on the recurrence, for all T at once
        to_gate = torch.empty_like(gates)
        torch.mul(sigmoids, 1 - sigmoids, out=to_gate[..., : 3 * H])
        to_gate[..., :H] *= g
        to_gate[..., H : 2 * H] *= cs
        to_gate[..., 2 * H : 3 * H] *= tanh_cs
        torch.mul(i, 1 - g * g, out=to_gate[..., 3 * H :])
        to_c = o * (1 - tanh_cs * tanh_cs)
        d_gates = to_gate
        dh, dc = dh.clone(), dc.clone()
        for t in reversed(range(T)):
            dh = dh + d_outputs[t]
            dc = torch.addcmul(dc, dh, to_c[t])
            d_gate = d_gates[t]
            d_gate[:, : 2 * H].view(B, 2, H).mul_(dc[:, None])
            d_gate[:, 2 * H : 3 * H].mul_(dh)
            d_gate[:, 3 * H :].mul_(dc)
            dh = d_gate @ weight
            dc = dc * f[t]
            if ctx.some_reset[t]:
                dh, dc = dh * keep[t], dc * keep[t]
        d_weight = d_gates.flatten(0, 1).T @ hs.flatten(0, 1)
        return d_gates, d_weight, dh, dc, None, None


def lstm_unroll(projected: Tensor, weight: Tensor, h: Tensor, c: Tensor, reset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`lstm_unroll_plain`, fast. Gradients reach projected, weight, h and c."""
    save = torch.is_grad_enabled() and any(x.requires_grad for x in (projected, weight, h, c))
    return _Unroll.apply(projected, weight, h, c, reset, save)  # type: ignore[no-any-return]


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

    def initial_state(self, batch: int) -> tuple[Tensor, Tensor]:
        zeros = self.weight.new_zeros(batch, self.hidden_size)
        return zeros, zeros

    def forward(
        self, x: Float[Tensor, "T B I"], state: tuple[Tensor, ...], reset: Bool[Tensor, "T B"]
    ) -> tuple[Float[Tensor, "T B H"], tuple[Tensor, ...]]:
        h, c = state
        outputs, h, c = lstm_unroll(self.input(x), self.weight, h, c, reset)
        return outputs, (h, c)
