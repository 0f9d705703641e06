"""Kinds of observations are kept through pickles and JSON; and the kinds that old checkpoints meant."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
from gymnasium import spaces

from kickstarting.networks.spec import NetworkSpec
from kickstarting.space_json import describe_space, read_observations
from kickstarting.spaces import Grid, Pixels, Vector, kind_of, tokens

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


def test_a_flat_vector_is_described_as_any_flat_box() -> None:
    """Else a teacher from elsewhere, whose space is a plain Box, would not fit."""
    assert describe_space(Vector(-1, 1, (4,), np.float32)) == describe_space(spaces.Box(-9, 9, (4,), np.float32))
    flat = {"mission": describe_space(Vector(-1, 1, (4,), np.float32))}
    assert kinds(read_observations(flat)) == {"mission": "vector"}


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
