"""Kinds of observations: declared, kept through pickles and JSON, never mixed up; and the kinds that old checkpoints meant."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from gymnasium import spaces

from kickstarting.networks.spec import NetworkSpec
from kickstarting.spaces import (
    KINDS,
    Grid,
    Pixels,
    Text,
    Vector,
    action_mask,
    describe_space,
    join_actions,
    join_observations,
    kind_of,
    read_observations,
    task_of_column,
    tokens,
)

BOX = spaces.Box(0, 255, (7, 7, 3), np.uint8)
EVERY = spaces.Dict(
    {
        "view": Grid(0, 255, (7, 7, 3), np.uint8),
        "photo": Pixels(0, 255, (7, 7, 3), np.uint8),
        "order": tokens(),
        "speed": Vector(-np.inf, np.inf, (7, 7, 3), np.float32),
        "compass": spaces.Discrete(4),
    }
)
KIND = {"view": "grid", "photo": "pixels", "order": "text", "speed": "vector", "compass": "one-hot"}


def kinds(observed: spaces.Dict) -> dict[str, str]:
    return {name: kind_of(name, space) for name, space in observed.items()}


def test_a_kind_is_the_class_of_a_space_and_survives_copies_and_json() -> None:
    described = json.loads(json.dumps({name: describe_space(space) for name, space in EVERY.items()}))
    for copied in (EVERY, copy.deepcopy(EVERY), pickle.loads(pickle.dumps(EVERY)), read_observations(described)):
        assert kinds(copied) == KIND
        assert {name: describe_space(space) for name, space in copied.items()} == described
    assert pickle.loads(pickle.dumps(EVERY)) == EVERY


def test_spaces_of_one_shape_and_different_kinds_differ_in_every_direction() -> None:
    same = [BOX, *(kind(0, 255, (7, 7, 3), np.uint8) for kind in KINDS.values())]
    for i, a in enumerate(same):
        for j, b in enumerate(same):
            assert (a == b) == (i == j)
    assert repr(same[1:]) == str([f"{kind.__name__}(0, 255, (7, 7, 3), uint8)" for kind in KINDS.values()]).replace("'", "")


def test_a_flat_vector_is_described_as_any_flat_box() -> None:
    """Else a teacher from elsewhere, whose space is a plain Box, would not fit."""
    assert describe_space(Vector(-1, 1, (4,), np.float32)) == describe_space(spaces.Box(-9, 9, (4,), np.float32))
    flat = {"mission": describe_space(Vector(-1, 1, (4,), np.float32))}
    assert kinds(read_observations(flat)) == {"mission": "vector"}


def test_a_kind_is_not_guessed_from_a_shape() -> None:
    assert kind_of("speed", spaces.Box(-1, 1, (5,), np.float32)) == "vector"
    with pytest.raises(ValueError, match=r"'view' is Box.*of no declared kind; use Discrete or.*Pixels, Grid, Text, Vector"):
        kind_of("view", BOX)


def test_old_checkpoints_name_no_kind_and_mean_what_their_networks_took_for_granted() -> None:
    image = {"dtype": "uint8", "shape": [7, 7, 3]}
    old = {
        "image": image,
        "low": {**image, "shape": [15, 40, 3]},
        "photo": {**image, "shape": [16, 16, 3]},
        "stack": {**image, "shape": [84, 84, 4]},
        "mission": {"shape": [40], "dtype": "int16"},
        "goal": {"shape": [40], "dtype": "int16"},
        "state": {"shape": [3, 4], "dtype": "float32"},
        "direction": {"discrete": 4},
    }
    meant = dict(zip(old, ["grid", "grid", "pixels", "pixels", "text", "vector", "vector", "one-hot"], strict=True))
    assert kinds(read_observations(old)) == meant
    spec = NetworkSpec.from_json(
        {"name": "small", "options": {}, "observation_space": old, "action_space": {"discrete": 3}}, "file"
    )
    again = NetworkSpec.from_json(json.loads(json.dumps(spec.to_json())), "file")
    assert again == spec
    assert kinds(again.observation_space) == meant


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


def test_text_may_come_as_bytes() -> None:
    """The adapters' rule is tested with the adapters; here, that the class takes both forms."""
    assert Text(0, 255, (96,), np.uint8).shape == (96,)
    assert tokens() == Text(-1, 999, (40,), np.int16)
