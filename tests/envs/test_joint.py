"""Tasks side by side: what they observe must be alike, and which actions each of them has."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from kickstarting.envs.joint import action_mask, join_actions, join_observations, task_of_column
from kickstarting.spaces import Grid, Pixels


def test_tasks_that_observe_another_kind_do_not_fit_together() -> None:
    first, second = (spaces.Dict({"x": kind(0, 255, (20, 20, 3), np.uint8)}) for kind in (Grid, Pixels))
    assert join_observations(["a", "b"], [first, first]) == first
    with pytest.raises(ValueError, match=r"'b' observes.*Pixels.*'a'.*Grid.*share their observations"):
        join_observations(["a", "b"], [first, second])


def test_layout_of_columns() -> None:
    joint, counts = join_actions(["a", "b"], [spaces.Discrete(2), spaces.Discrete(3)])
    assert (joint, counts) == (spaces.Discrete(3), (2, 3))
    columns = task_of_column(2, 4, groups=2)
    assert columns.tolist() == [0, 0, 1, 1] * 2
    mask = action_mask(counts, joint, columns)
    assert mask is not None
    assert mask.tolist() == ([[True, True, False]] * 2 + [[True] * 3] * 2) * 2
    assert action_mask((3, 3), joint, columns) is None
    wider, counts = join_actions(["a"], [spaces.Discrete(2)], num_actions=4)
    mask = action_mask(counts, wider, task_of_column(1, 1))
    assert mask is not None
    assert mask.tolist() == [[True, True, False, False]]
    assert join_actions(["a"], [spaces.Box(-1, 1, (2,))])[1] is None
