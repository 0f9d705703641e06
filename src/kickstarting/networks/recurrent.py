"""Features, LSTM, linear heads: the shape that the papers' agents share, and several of one shape run as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kickstarting.networks.heads import StateIndependent
from kickstarting.networks.lstm import LSTM, compiled_loop, lstm_unroll_together
from kickstarting.types import Inputs, Output, State


class Recurrent(nn.Module):
    """A `Network` made of `features`, a core and two linear heads; a subclass sets the attributes and writes `features`."""

    core: LSTM | None
    policy: nn.Linear | StateIndependent
    value: nn.Linear

    def features(self, inputs: Inputs) -> Tensor:
        """[T, B, F]: what the core reads, or without one the heads."""
        raise NotImplementedError

    def initial_state(self, batch: int) -> State:
        return self.core.initial_state(batch) if self.core else ()

    def forward(self, inputs: Inputs, state: State) -> tuple[Output, State]:
        x = self.features(inputs)
        if self.core:
            x, state = self.core(x, state, inputs.is_first)
        return Output(self.policy(x), self.value(x)[..., 0]), state

    @property
    def batch_key(self) -> tuple[int, ...] | None:
        """Frozen networks whose keys are equal, and not None, can be run `together`: by the sizes of LSTM and policy. Those with a
        compiled loop are faster one by one."""
        plain = type(self).forward is Recurrent.forward and type(self.core) is LSTM
        if not plain or not self.core or compiled_loop(self.core.weight):
            return None
        return self.core.hidden_size, self.policy.out_features

    @property
    def most_together(self) -> int:
        """How many LSTMs are fast side by side: as many as have two million weights, which stay in a processor's cache; or one.

        More are a tenth faster with two threads and a fifth slower with one, fewer are slower with two.
        """
        return max(1, 2**21 // (4 * self.core.hidden_size**2)) if self.core else 1

    def together(self, others: Sequence[Recurrent], dtype: torch.dtype) -> SideBySide:
        """This network and others as one, whose columns are theirs side by side."""
        return SideBySide([self, *others], dtype)


class SideBySide:
    """N frozen `Recurrent` networks of equal `batch_key` as one `Network` of N * B columns: B for each.

    It says what each says of its own columns alone, in their order. Alone, an LSTM of few columns spends its time on the
    fixed cost of operations and on fetching its weights; here a step is one operation for all. dtype: of this process's
    matrix products; the weights of cores and heads are copied once, so they must not change.
    """

    def __init__(self, networks: Sequence[Recurrent], dtype: torch.dtype) -> None:
        self.networks = networks
        self._cores = [_core(network) for network in networks]
        self._weights = torch.stack([core.weight.T for core in self._cores]).to(dtype)
        self._heads = torch.stack([torch.cat([n.policy.weight, n.value.weight]).T for n in networks])
        self._biases = torch.stack([torch.cat([n.policy.bias, n.value.bias])[None] for n in networks])

    def initial_state(self, batch: int) -> State:
        states = [core.initial_state(batch // len(self._cores)) for core in self._cores]
        return tuple(torch.cat(parts) for parts in zip(*states, strict=True))

    @torch.no_grad()
    def __call__(self, inputs: Inputs, state: State) -> tuple[Output, State]:
        T, B = inputs.is_first.shape
        N = len(self.networks)
        own = [inputs[:, columns : columns + B // N] for columns in range(0, B, B // N)]
        projected = [c.input(n.features(x)) for c, n, x in zip(self._cores, self.networks, own, strict=True)]
        h, c = (x.unflatten(0, (N, -1)) for x in state)
        reset = inputs.is_first.unflatten(1, (N, -1))
        outputs, h, c = lstm_unroll_together(torch.stack(projected, 1), self._weights, h, c, reset)
        with torch.autocast(outputs.device.type, enabled=False):
            heads = torch.baddbmm(self._biases, outputs.transpose(0, 1).flatten(1, 2), self._heads)  # [N, T * B / N, A + 1]
        heads = heads.unflatten(1, (T, -1)).transpose(0, 1).flatten(1, 2)
        return Output(heads[..., :-1], heads[..., -1]), (h.flatten(0, 1), c.flatten(0, 1))


def _core(network: Recurrent) -> LSTM:
    if network.core is None:
        raise ValueError("networks side by side need an LSTM each; run networks without one by one")
    return network.core
