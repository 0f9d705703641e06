"""Optimisers by name: Adam, and RMSProp as TensorFlow 1 computes it, which the papers used."""

# torch documents its foreach functions by their use in torch.optim only
# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from kickstarting.algo.parsing import nearest


class RMSpropTF(torch.optim.Optimizer):
    """RMSProp as TensorFlow 1 computes it: epsilon is *inside* the square root, and the mean square starts at one.

        mean_square <- decay * mean_square + (1 - decay) * g^2
        momentum    <- momentum * buffer + lr * g / sqrt(mean_square + epsilon)

    With the papers' epsilon of 0.1 both differences from `torch.optim.RMSprop` matter.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        decay: float = 0.99,
        epsilon: float = 0.1,
        momentum: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "decay": decay, "epsilon": epsilon, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):  # type: ignore[override]
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            for p in params:
                if not self.state[p]:
                    self.state[p]["mean_square"] = torch.ones_like(p)
                    self.state[p]["momentum"] = torch.zeros_like(p)
            if not params:
                continue
            gradients = [p.grad for p in params]
            mean_squares = [self.state[p]["mean_square"] for p in params]
            buffers = [self.state[p]["momentum"] for p in params]
            torch._foreach_mul_(mean_squares, group["decay"])
            torch._foreach_addcmul_(mean_squares, gradients, gradients, 1 - group["decay"])
            roots = torch._foreach_add(mean_squares, group["epsilon"])
            torch._foreach_sqrt_(roots)
            torch._foreach_mul_(buffers, group["momentum"])
            torch._foreach_addcdiv_(buffers, gradients, roots, group["lr"])
            torch._foreach_sub_(params, buffers)


def make_optimiser(
    name: str, params: Iterable[Tensor], epsilon: float | None = None, beta2: float = 0.999, base_width: int = 0
) -> torch.optim.Optimizer:
    """`adam` (epsilon 1e-5) or `rmsprop` (epsilon 0.1). beta2: adam's. `set_rate` comes before every step.

    base_width: weights of more inputs than that learn more slowly, by `share_of_rate`; 0 is for none.
    """
    groups: dict[float, list[Tensor]] = {}
    for parameter in params:
        groups.setdefault(share_of_rate(parameter, base_width), []).append(parameter)
    shared = [{"params": members, "share": share} for share, members in groups.items()]
    if name == "adam":
        return torch.optim.Adam(shared, lr=0.0, betas=(0.9, beta2), eps=1e-5 if epsilon is None else epsilon, fused=True)
    if name == "rmsprop":
        return RMSpropTF(shared, lr=0.0, epsilon=0.1 if epsilon is None else epsilon)
    raise ValueError(f"unknown optimiser {name!r}; {nearest(name, ['adam', 'rmsprop'])}")


def share_of_rate(parameter: Tensor, base_width: int) -> float:
    """min(1, base_width / inputs) of a unit, as muP has it for hidden weights (Yang et al. 2022, arXiv:2203.03466); 1 of biases.

    Adam moves each weight by about the learning rate, so that a unit's sum moves by the rate times the number of its inputs.
    """
    return min(1.0, base_width / parameter[0].numel()) if base_width and parameter.ndim > 1 else 1.0


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as named tensors, its own."""
    state = optimiser.state_dict()["state"]
    return {f"{index}.{name}": value for index, entry in state.items() for name, value in entry.items()}


def load_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimiser_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value.clone()
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
