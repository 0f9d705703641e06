"""Small neural actor-critics, thousands side by side: the first layers of all are one batched matrix product, and so on.

The settings of the paper's A3C (Laskin et al. 2022, appendix M): lambda 0.95, discount 0.99, entropy 0.01, Adam with eps 1e-6. Its
MLP has 3 layers of 128 units and a rate of 1e-4 over many thousand episodes; these have one layer and a higher rate, so that a
history is some hundred episodes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kickstarting.ad.sources.episodes import Episode
from kickstarting.ad.tasks import Batch

DISCOUNT, TRACE, ENTROPY, BASELINE = 0.99, 0.95, 0.01, 0.5
RATE, BETAS, EPSILON = 1e-2, (0.9, 0.999), 1e-6
WIDTH = 32


class ActorCritic:
    """One network for each row of the batch. It reads the state one-hot, so its first layer is a table [states, WIDTH]."""

    def __init__(self, batch: Batch, actions: int, episodes: int, seed: int) -> None:
        n, self._batch, self._actions = len(batch.tasks), batch, actions
        self._generator = torch.Generator().manual_seed(seed)
        self._rows = torch.arange(n)

        def weights(*shape: int, scale: float) -> Tensor:
            return (torch.randn(n, *shape, generator=self._generator) * scale).requires_grad_()

        self._first = weights(batch.states, WIDTH, scale=1.0)
        self._second = weights(WIDTH, WIDTH, scale=WIDTH**-0.5)
        self._heads = weights(WIDTH, actions + 1, scale=0.01)
        self._optimiser = torch.optim.Adam(
            [self._first, self._second, self._heads], RATE, BETAS, EPSILON, foreach=False, fused=True
        )

    def begin(self) -> None: ...

    @torch.no_grad()
    def act(self) -> np.ndarray:
        logits = self._outputs(torch.from_numpy(self._batch.state())[:, None])[:, 0, :-1]
        noise = torch.empty_like(logits).exponential_(generator=self._generator)
        return (logits - noise.log_()).argmax(-1).numpy()

    def see(self, rewards: np.ndarray) -> None: ...

    def learn(self, episode: Episode) -> None:
        outputs = self._outputs(torch.from_numpy(episode.states[:, :-1]))
        log_policy, values = F.log_softmax(outputs[..., :-1], -1), outputs[..., -1]
        targets = self._targets(torch.from_numpy(episode.rewards), values.detach())
        chosen = log_policy.gather(-1, torch.from_numpy(episode.actions)[..., None])[..., 0]
        entropy = -(log_policy.exp() * log_policy).sum(-1)
        loss = -chosen * (targets - values.detach()) - ENTROPY * entropy + BASELINE * (targets - values).square()
        self._optimiser.zero_grad(set_to_none=True)
        loss.sum().backward()  # each learner's gradient is its own
        self._optimiser.step()

    def _outputs(self, states: Tensor) -> Tensor:
        """[N, T] to [N, T, actions + 1]."""
        hidden = self._first[self._rows[:, None], states].tanh()
        return torch.bmm(torch.bmm(hidden, self._second).tanh(), self._heads)

    @staticmethod
    def _targets(rewards: Tensor, values: Tensor) -> Tensor:
        """Lambda-returns [N, T]; nothing follows an episode's last step."""
        targets, target, following = torch.empty_like(rewards), rewards.new_zeros(len(rewards)), rewards.new_zeros(len(rewards))
        for t in reversed(range(rewards.shape[1])):
            target = rewards[:, t] + DISCOUNT * ((1 - TRACE) * following + TRACE * target)
            targets[:, t], following = target, values[:, t]
        return targets
