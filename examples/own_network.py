"""A network of one's own, recurrent, learning and being taught (docs/bring-your-own.md explains it).

    python examples/own_network.py

or from the command line, which finds the class by its module and name:

    PYTHONPATH=examples kickstart train CartPole-v1 --network own_network:GRUAgent --network-option hidden=32 --frames 100000
"""

from __future__ import annotations

import math

import gymnasium
import torch
from torch import nn

from kickstarting import Config, Inputs, Output, train
from kickstarting.algo.distributions import Distribution


class GRUAgent(nn.Module):
    """Every observation flattened, with the last action and reward, into a GRU; linear policy and value."""

    def __init__(self, observation_space: gymnasium.spaces.Dict, distribution: Distribution, hidden: int = 64) -> None:
        super().__init__()
        self.distribution = distribution
        self.names = list(observation_space)
        width = sum(math.prod(observation_space[name].shape or ()) for name in self.names)
        self.encoder = nn.Linear(width + distribution.encoding_size + 1, hidden)
        self.core = nn.GRUCell(hidden, hidden)
        self.policy = nn.Linear(hidden, distribution.size)
        self.value = nn.Linear(hidden, 1)

    def initial_state(self, batch: int) -> tuple[torch.Tensor, ...]:
        return (self.value.weight.new_zeros(batch, self.core.hidden_size),)

    def forward(self, inputs: Inputs, state: tuple[torch.Tensor, ...]) -> tuple[Output, tuple[torch.Tensor, ...]]:
        leading = inputs.is_first.shape  # T, B
        features = [inputs.observations[name].reshape(*leading, -1).float() for name in self.names]
        features += [self.distribution.encode(inputs.last_actions), inputs.last_rewards.clamp(-1, 1)[..., None]]
        encoded = torch.tanh(self.encoder(torch.cat(features, -1)))
        (h,) = state
        outputs = []
        for x, is_first in zip(encoded, inputs.is_first, strict=True):
            h = self.core(x, h.masked_fill(is_first[:, None], 0.0))  # forget before the first observation of an episode
            outputs.append(h)
        x = torch.stack(outputs)
        return Output(self.policy(x), self.value(x)[..., 0]), (h,)


def main(total_frames: int = 100_000) -> None:
    config = Config.of(
        "CartPole-v1",
        network="own_network:GRUAgent",
        network_options=("hidden=64",),
        total_frames=total_frames,
        unroll_length=8,
        learning_rate="5e-3",
        torch_threads=1,  # a network of this size is slower with more
    )
    for update in train(config):
        if update.frames % 10_240 == 0 and update.metrics["score"] is not None:
            print(f"{update.frames} frames: mean return of the last episodes {update.metrics['score']:.0f}", flush=True)


if __name__ == "__main__":
    main()
