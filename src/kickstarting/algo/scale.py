"""Running measures of size, so that no cost of the loss depends on the units of the rewards, nor on how rare they are.

Returns are measured for each task, as PopArt-IMPALA does (Hessel et al. 2019, arXiv:1809.04474), so that a task that pays
in thousands does not drown one that pays 1 at the end. Advantages are measured over all tasks, as DreamerV3 does with its
returns (Hafner et al. 2023, arXiv:2301.04104), so that an entropy cost, and a lambda, mean the same everywhere.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kickstarting.ranks import ALONE, Ranks

DECAY = 0.99
"""Of the running means, at each gradient step."""


class Scales:
    """What rewards and advantages are divided by. A part of the learner's state; the loss reads its numbers only.

    A task's unit of reward is the greater of two numbers: the root of the running mean square of its targets v_s, and the
    largest reward that it ever paid. So values lie around -1 to 1; a rare reward is not blown up before it is learned; and
    rewards multiplied by any factor train the same network. Before a task has paid anything its unit is 1.

    normalise_returns, normalise_advantages: without one its numbers stay 1, and the loss is the papers'.
    """

    def __init__(self, tasks: int, *, normalise_returns: bool = True, normalise_advantages: bool = True) -> None:
        self.ranks: Ranks = ALONE
        """Learners that each see a part of every batch; all measure the whole."""
        self._normalise_returns, self._normalise_advantages = normalise_returns, normalise_advantages
        self.largest_reward = torch.zeros(tasks)
        self.square_return, self.weight = torch.zeros(tasks), torch.zeros(tasks)
        self.square_advantage, self.advantage_weight = torch.zeros(()), torch.zeros(())

    def rewards(self, rewards: Float[Tensor, "T B"], valid: Bool[Tensor, "T B"], tasks: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
        """The unit of reward of each column, after the rewards of this batch have been seen."""
        if not self._normalise_returns:
            return torch.ones(len(tasks), device=rewards.device)
        self._to(rewards.device)
        largest = rewards.abs().where(valid, 0.0).amax(0)
        self.largest_reward = self.ranks.maximum(self.largest_reward.scatter_reduce(0, tasks, largest, "amax"))
        return self.units()[tasks]

    def units(self) -> Float[Tensor, " tasks"]:
        """The unit of reward of each task."""
        root_mean_square = (self.square_return / self.weight.clamp(min=1e-8)).sqrt()
        units = torch.maximum(self.largest_reward, root_mean_square)
        return torch.where(self.largest_reward > 0, units, 1.0)

    def advantages(
        self,
        vs: Float[Tensor, "T B"],
        advantages: Float[Tensor, "T B"],
        valid: Bool[Tensor, "T B"],
        tasks: Int[Tensor, " B"],
    ) -> Float[Tensor, ""]:
        """What the advantages are divided by, after the targets of this batch (in units of `rewards`) have been seen."""
        self._to(vs.device)
        tasks = tasks if self._normalise_returns else torch.zeros_like(tasks)  # then nobody asks of which task a return is
        squares = (vs * self.units()[tasks]).square().where(valid, 0.0).sum(0)
        zeros = torch.zeros_like(self.weight)
        count = zeros.index_add(0, tasks, valid.sum(0).to(zeros.dtype))
        square = advantages.square().where(valid, 0.0).sum().to(zeros.dtype)
        sums = torch.cat([zeros.index_add(0, tasks, squares.to(zeros.dtype)), count, square[None]])
        squares, count, square = self.ranks.sum(sums).split([len(zeros), len(zeros), 1])
        if self._normalise_returns:
            rate = (1 - DECAY) * (count > 0)
            self.square_return += rate * (squares / count.clamp(min=1) - self.square_return)
            self.weight += rate * (1 - self.weight)
        if not self._normalise_advantages:
            return vs.new_ones(())
        self.square_advantage += (1 - DECAY) * (square[0] / count.sum().clamp(min=1) - self.square_advantage)
        self.advantage_weight += (1 - DECAY) * (1 - self.advantage_weight)
        return (self.square_advantage / self.advantage_weight).sqrt().clamp(min=1e-8).to(vs.dtype)

    def tensors(self) -> dict[str, Tensor]:
        """All of its state, its own tensors by name."""
        return {name: x for name, x in vars(self).items() if isinstance(x, Tensor)}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `tensors`; what is missing (in a checkpoint of an earlier version) stays as it is."""
        for name, x in tensors.items():
            setattr(self, name, x.clone())

    def _to(self, device: torch.device) -> None:
        if self.weight.device != device:
            self.load({name: x.to(device) for name, x in self.tensors().items()})
