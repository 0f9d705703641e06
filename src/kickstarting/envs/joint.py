"""What the tasks of a suite observe and do together: the spaces in which one policy acts for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from kickstarting.algo.distributions import Distribution
from kickstarting.spaces import Scaled, Squashed, make_distribution, squash


@dataclass(frozen=True)
class TaskSpaces:
    """What the tasks of a suite observe and do: all that a policy is made for."""

    observation_space: spaces.Dict
    """Of every task."""
    action_space: gymnasium.Space
    """In which one policy acts for all tasks."""
    num_actions: tuple[int, ...] | None
    """How many of the policy's discrete actions each task has; None for other actions."""
    num_tasks: int

    @property
    def distribution(self) -> Distribution:
        """The policy's. Raises ValueError for action spaces that have none."""
        return make_distribution(self.action_space)

    def squashed(self) -> TaskSpaces:
        """For a policy whose continuous actions are squashed. Raises ValueError if it cannot be."""
        return replace(self, action_space=squash(self.action_space))

    def as_of(self, teacher: gymnasium.Space) -> TaskSpaces:
        """As a policy with this action space acts in them: squashed, if it is."""
        return self.squashed() if isinstance(teacher, Squashed) and isinstance(self.action_space, Scaled) else self

    def task_of_column(self, envs_per_task: int, groups: int = 1) -> np.ndarray:
        """As `MultiTaskEnv.task_of_column`, int [B]. Raises ValueError if the environments cannot be split into equal groups."""
        return task_of_column(self.num_tasks, envs_per_task, groups)

    def action_mask(self, envs_per_task: int, groups: int = 1) -> torch.Tensor | None:
        """As `MultiTaskEnv.action_mask`, bool [B, A] or None."""
        return action_mask(self.num_actions, self.action_space, self.task_of_column(envs_per_task, groups))


def join_observations(names: Sequence[str], observed: Sequence[spaces.Dict]) -> spaces.Dict:
    """What all tasks of a suite observe, by the tasks' names. Raises ValueError if they differ, in kind or in size."""
    for name, space in zip(names, observed, strict=True):
        if space != observed[0]:
            raise ValueError(
                f"task {name!r} observes {space}, task {names[0]!r} {observed[0]}; "
                "the tasks that are trained together must share their observations, so train them apart, as SUITE:TASK"
            )
    return observed[0]


def join_actions(
    names: Sequence[str], acted: Sequence[gymnasium.Space], num_actions: int = 0
) -> tuple[gymnasium.Space, tuple[int, ...] | None]:
    """The action space in which one policy acts for all tasks, and, of discrete ones, how many of its actions each task has.

    num_actions: at least so many in the joint space, discrete only. Raises ValueError if the spaces have none in common.
    """
    counts = tuple(int(space.n) for space in acted if isinstance(space, spaces.Discrete))
    if len(counts) == len(acted):
        return spaces.Discrete(max(*counts, num_actions)), counts
    for name, space in zip(names, acted, strict=True):
        if space != acted[0]:
            raise ValueError(
                f"task {name!r} acts in {space}, task {names[0]!r} in {acted[0]}; "
                "only discrete action spaces of different size can be trained together, so train them apart, as SUITE:TASK"
            )
    return next((space for space in acted if not getattr(space, "as_is", True)), acted[0]), None


def task_of_column(tasks: int, envs_per_task: int, groups: int = 1) -> np.ndarray:
    """The task of each column, int [B]: task by task within each group. Raises ValueError if groups cannot be equal."""
    if envs_per_task % groups:
        raise ValueError(f"{envs_per_task} environments of a task cannot be split into {groups} equal groups")
    return np.tile(np.repeat(np.arange(tasks), envs_per_task // groups), groups)


def action_mask(num_actions: tuple[int, ...] | None, joint: gymnasium.Space, tasks: np.ndarray) -> torch.Tensor | None:
    """Which actions of the joint space exist in each column, bool [B, A]; None if all do everywhere.

    num_actions: of each task, as `join_actions` gives them. tasks: the task of each column, [B].
    """
    if num_actions is None or not isinstance(joint, spaces.Discrete) or set(num_actions) == {int(joint.n)}:
        return None
    return torch.arange(int(joint.n)) < torch.tensor(num_actions)[torch.from_numpy(tasks)][:, None]
