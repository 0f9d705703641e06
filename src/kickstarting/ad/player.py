"""Acting with a model in N environments: what it is shown goes into its context, and its policy comes out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from kickstarting.ad.context import context_of, empty_context
from kickstarting.ad.model import SequenceModel
from kickstarting.ad.slices import forget_last
from kickstarting.types import Inputs

CHOICES = ("sample", "greedy", "mixed")


class Player:
    """Acts, and remembers across episodes. room: steps that are freed in a full context, as many as an episode has.

    choice: sample, greedy (the most likely action), or mixed (greedy once a reward is in the context).
    """

    def __init__(self, model: SequenceModel, n: int, *, room: int, terminal: bool, seed: int, choice: str) -> None:
        if choice not in CHOICES:
            raise ValueError(f"choice is {choice!r}; known: {', '.join(CHOICES)}")
        self._model, self._terminal, self._choice = model, terminal, choice
        self._distribution = model.distribution
        self._context = context_of(model, room, empty_context(model, n))
        self._generator = torch.Generator().manual_seed(seed)
        shape = (n, *self._distribution.action_shape)
        self._last_actions = torch.full(shape, self._distribution.no_action, dtype=self._distribution.action_dtype)
        self._last_rewards, self._paid = torch.zeros(n), torch.zeros(n, dtype=torch.bool)

    def act(self, observations: Mapping[str, np.ndarray], is_first: np.ndarray) -> np.ndarray:
        """Actions after these observations [N, ...]; is_first: bool [N]."""
        logits = self.look(observations, is_first)
        noise = self._distribution.noise(tuple(logits.shape[:-1]), self._generator)
        sampled, best = self._distribution.sample(logits, noise), self._distribution.mode(logits)
        paid = self._paid.reshape(-1, *[1] * (sampled.ndim - 1))
        actions = {"sample": sampled, "greedy": best, "mixed": torch.where(paid, best, sampled)}[self._choice]
        self._last_actions = actions
        return actions.numpy()

    def see(self, rewards: np.ndarray, actions: np.ndarray | None = None) -> None:
        """What the last actions brought. actions: if others than this player's were taken."""
        if actions is not None:
            self._last_actions = torch.from_numpy(actions)
        self._last_rewards = torch.from_numpy(rewards)
        self._paid |= self._last_rewards > 0

    def look(self, observations: Mapping[str, np.ndarray], is_first: np.ndarray) -> Tensor:
        """The policies' parameters [N, A], without acting."""
        first, last_actions, last_rewards = torch.from_numpy(is_first), self._last_actions.clone(), self._last_rewards.clone()
        if self._terminal:
            forget_last(last_actions, last_rewards, first, self._distribution)
        seen = {name: torch.from_numpy(x) for name, x in observations.items()}
        device = self._model.policy.weight.device
        inputs = Inputs(seen, last_actions, last_rewards, first).map(lambda x: x[:, None].to(device))
        return self._context.read(inputs)[:, 0].cpu().float()
