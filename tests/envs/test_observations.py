"""Kinds of observations as the adapters declare them, from the library, from the space's class, never from a name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from kickstarting.algo.distributions import Categorical
from kickstarting.envs import EnvironmentFault
from kickstarting.envs.gym import GymnasiumEnv
from kickstarting.envs.gym_async import GymnasiumAsyncEnv
from kickstarting.envs.observations import Observations
from kickstarting.envs.pool import EnvPoolEnv
from kickstarting.networks import build_network
from kickstarting.spaces import Grid, Pixels, Text, Vector, kind_of, tokenise, tokens
from kickstarting.types import Inputs
from known import register

PHOTO = spaces.Box(0, 255, (12, 12, 3), np.uint8)
GRID = {"image": "grid", "direction": "one-hot", "mission": "text"}


def kinds(observed: spaces.Dict) -> dict[str, str]:
    return {name: kind_of(name, space) for name, space in observed.items()}


@pytest.mark.parametrize(
    ("env_id", "expected"),
    [
        ("MiniGrid-Empty-5x5-v0", GRID),
        ("BabyAI-GoToObj-v0", GRID),
        ("Pong-v5", {"observation": "pixels"}),
        ("CartPole-v1", {"observation": "vector"}),
        ("FrozenLake-v1", {"observation": "one-hot"}),
    ],
)
def test_envpool_declares_kinds(env_id, expected):
    env = EnvPoolEnv(env_id, 1, seed=0)
    env.close()
    assert kinds(env.observation_space) == expected


def wrapped(*names: str):
    def make(**options):
        import minigrid.wrappers

        env = gymnasium.make("MiniGrid-Empty-5x5-v0", **options)
        for name in names:
            env = getattr(minigrid.wrappers, name)(env)
        return env

    return make


WRAPPED = {
    "plain": ((), GRID),
    "full": (("FullyObsWrapper",), GRID),
    "view-only": (("ImgObsWrapper",), {"observation": "grid"}),
    "photo": (("RGBImgPartialObsWrapper",), {**GRID, "image": "pixels"}),
}
for _name, (_wrappers, _) in WRAPPED.items():
    register(f"kickstarting-test/{_name}-v0", wrapped(*_wrappers))


@pytest.mark.parametrize("name", WRAPPED)
def test_minigrid_views_are_known_from_the_package(name):
    env = GymnasiumEnv(f"kickstarting-test/{name}-v0", 1, seed=0)
    env.close()
    assert kinds(env.observation_space) == WRAPPED[name][1]


def test_minigrid_views_are_known_in_other_processes():
    """Gymnasium cannot share missions between processes, so here is a view alone."""
    env = GymnasiumAsyncEnv("kickstarting-test/view-only-v0", 1, seed=0)
    env.close()
    assert kinds(env.observation_space) == {"observation": "grid"}


class Mixed(gymnasium.Env):
    """A small photograph, a declared grid of its size, two texts of which none is a mission, and a declared vector."""

    observation_space = spaces.Dict(
        {
            "photo": PHOTO,
            "map": Grid(0, 10, (12, 12, 3), np.uint8),
            "goal": spaces.Text(30, charset="abcdefghijklmnopqrstuvwxyz "),
            "hint": Text(0, 255, (16,), np.uint8),
            "ids": tokens(),
            "cube": Vector(-1, 1, (2, 2, 2), np.float32),
        }
    )
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._observe(), {}

    def step(self, action):
        return self._observe(), 0.0, False, False, {}

    def _observe(self):
        view = np.zeros((12, 12, 3), np.uint8)
        hint = np.zeros(16, np.uint8)
        hint[:8] = list(b"go there")
        cube = np.zeros((2, 2, 2), np.float32)
        return {"photo": view, "map": view, "goal": "go home", "hint": hint, "ids": tokenise("stay"), "cube": cube}


register("kickstarting-test/Mixed-v0", Mixed)


def test_kinds_that_an_environment_declares_and_texts_of_any_name():
    env = GymnasiumEnv("kickstarting-test/Mixed-v0", 2, seed=0)
    observed = env.reset().observations
    env.close()
    texts = {"goal": "text", "hint": "text", "ids": "text"}
    assert kinds(env.observation_space) == {"photo": "pixels", "map": "grid", "cube": "vector", **texts}
    for name, text in {"goal": "go home", "hint": "go there", "ids": "stay"}.items():
        assert (observed[name] == tokenise(text)).all()
        assert observed[name].shape == (2, 40)
    network = build_network("large", env.observation_space, Categorical(2), {"deep": True})
    encoders = {name.split(".")[0] for name, _ in network.named_parameters() if name.startswith("language")}
    assert encoders == {"language", "language_hint", "language_ids"}
    assert set(network.torsos) == {"photo", "map", "cube"}


def test_a_name_makes_no_text():
    observe = Observations(spaces.Dict({"mission": spaces.Box(-1, 1, (3,))}), 1)
    assert kinds(observe.space) == {"mission": "vector"}


def test_a_small_image_is_no_grid():
    observe = Observations(PHOTO, 1)
    assert observe.space["observation"] == Pixels(0, 255, (12, 12, 3), np.uint8)
    assert build_network("large", observe.space, Categorical(2)).torsos["observation"] is not None


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Sequence(spaces.Discrete(2)), "Box, Discrete, MultiDiscrete, MultiBinary and Text can be read"),
        (Grid(0, 255, (7, 7, 4), np.uint8), r"a Grid is uint8 \[H, W, 3\]"),
        (Grid(0, 1, (7, 7, 3), np.float32), r"a Grid is uint8 \[H, W, 3\]"),
        (Pixels(0, 255, (84, 84, 3, 4), np.uint8), r"Pixels are \[H, W, C\]"),
        (Text(0, 99, (7,), np.int16), "a text is"),
    ],
)
def test_a_space_that_is_not_of_its_kind_is_named(space, message):
    with pytest.raises(ValueError, match=message) as error:
        Observations(space, 1)
    assert "'observation'" in str(error.value)


class Says(gymnasium.Env):
    """Observes what it was given, in the space it was given."""

    action_space = spaces.Discrete(2)

    def __init__(self, space: gymnasium.Space, value: Any = None) -> None:
        self.observation_space, self.value = space, value

    def reset(self, *, seed=None, options=None):
        self.observation_space.seed(0)
        return self._observe(), {}

    def step(self, action):
        return self._observe(), 0.0, False, False, {}

    def _observe(self) -> Any:
        return self.observation_space.sample() if self.value is None else self.value


register("kickstarting-test/Says-v0", Says, disable_env_checker=True)


def say(space: gymnasium.Space, value: Any = None) -> tuple[spaces.Dict, dict[str, np.ndarray]]:
    env = GymnasiumEnv("kickstarting-test/Says-v0", 2, seed=0, options={"space": space, "value": value})
    observed = env.reset().observations
    env.close()
    assert all(observed[name].shape == (2, *(part.shape or ())) for name, part in env.observation_space.items())
    assert all(observed[name].dtype == part.dtype for name, part in env.observation_space.items())
    return env.observation_space, observed


def test_choices_are_counted_from_their_start():
    space, said = say(spaces.Discrete(4, start=5), 7)
    assert (space["observation"], said["observation"].tolist()) == (spaces.Discrete(4), [2, 2])
    _, said = say(spaces.MultiDiscrete(np.array([[2], [3]]), start=np.array([[1], [-1]])), np.array([[2], [0]]))
    assert said["observation"][0].tolist() == [0, 1, 0, 1, 0]
    space, said = say(spaces.MultiBinary(3), np.array([1, 0, 1], np.int8))
    assert said["observation"][0].tolist() == [1, 0, 1]
    assert kinds(space) == {"observation": "vector"}


def test_spaces_inside_spaces_are_named_by_their_path():
    inner = spaces.Dict({"x": spaces.Discrete(3), "y": spaces.Tuple([spaces.MultiBinary(2), spaces.Box(-1, 1, ())])})
    space, _ = say(spaces.Dict({"a": inner, "b.c": spaces.Box(0, 1, (2,))}))
    assert kinds(space) == {"a/x": "one-hot", "a/y/0": "vector", "a/y/1": "vector", "b.c": "vector"}
    with pytest.raises(ValueError, match="two observations are called 'a/x'"):
        say(spaces.Dict({"a": inner, "a/x": spaces.Discrete(2)}))
    with pytest.raises(ValueError, match="empty"):
        Observations(spaces.Dict({}), 1)


IMAGES = [
    (spaces.Box(0, 255, (3, 10, 10), np.uint8), (10, 10, 3), 255),
    (spaces.Box(0, 255, (4, 84, 84), np.uint8), (84, 84, 4), 255),
    (spaces.Box(0, 255, (1, 1, 3), np.uint8), (1, 1, 3), 255),
    (spaces.Box(0, 255, (2, 5, 3), np.uint8), (2, 5, 3), 255),
    (spaces.Box(0, 255, (16, 72, 3), np.uint8), (16, 72, 3), 255),
    (spaces.Box(0, 255, (84, 84), np.uint8), (84, 84, 1), 255),
    (spaces.Box(0, 1, (10, 10, 4), bool), (10, 10, 4), 1),  # pyright: ignore
    (spaces.Box(0, 1, (10, 10, 10), np.float32), (10, 10, 10), 1),
    (spaces.Box(0, 1, (10, 10, 7), np.uint8), (10, 10, 7), 1),
    (spaces.Box(0, 255, (3, 20, 20), np.float32), (20, 20, 3), 1),
    (spaces.Box(-5, 3, (9, 9, 2), np.int32), (9, 9, 2), 1),
    (spaces.MultiBinary((9, 9, 17)), (9, 9, 17), 1),
]


@pytest.mark.parametrize(("space", "shape", "most"), IMAGES, ids=lambda x: str(x) if isinstance(x, gymnasium.Space) else None)
def test_images_of_every_size_and_type_reach_a_torso_in_the_size_of_one(space, shape, most):
    high = space.high if isinstance(space, spaces.Box) else np.ones(space.shape, space.dtype)
    normalised, said = say(space, high)
    assert normalised["observation"].shape == shape
    assert kinds(normalised) == {"observation": "pixels"}
    assert (said["observation"] == most).all()
    for size in ("small", "large"):
        network = build_network(size, normalised, Categorical(2), {"lstm": 8})
        features = network.torsos["observation"](torch.from_numpy(said["observation"]))
        assert features.isfinite().all()
        ones = network.torsos["observation"](torch.ones(2, *shape))
        torch.testing.assert_close(features, ones)


def test_what_has_two_dimensions_and_is_no_bytes_is_a_vector():
    for space in (spaces.Box(0, 255, (3, 4), np.uint8), spaces.Box(-1, 1, (20, 20)), spaces.Box(0, 9, (20, 20), np.int8)):
        assert kinds(Observations(space, 1).space) == {"observation": "vector"}


NAMES = ["", "a.b", "a/b", "a b", "keys", "items", "training", "forward", "type", "~", "~612e62", "pop", "language", "ü", "0"]


def test_names_of_every_kind_are_read_by_networks():
    parts: dict[str, gymnasium.Space] = {name: spaces.Box(-1, 1, (2,)) for name in NAMES}
    parts |= {f"text{name}": spaces.Text(9) for name in NAMES}
    space, said = say(spaces.Dict(parts))
    network = build_network("small", space, Categorical(2))
    inputs = Inputs({k: torch.from_numpy(x)[None] for k, x in said.items()}, torch.zeros(1, 2).long(), *(torch.zeros(2, 1, 2)))
    inputs = replace(inputs, is_first=torch.zeros(1, 2).bool())
    values = network(inputs, ())[0].values
    for name in NAMES:
        changed = replace(inputs, observations={**inputs.observations, name: inputs.observations[name] + 1})
        assert not torch.equal(network(changed, ())[0].values, values)
    network.load_state_dict(network.state_dict())
    assert {"torsos.a/b.layers.0.weight", "torsos.a b.layers.0.weight"} <= set(network.state_dict())


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 9, 3), (4, 4, 3), (5, 5, 3)])
def test_grids_of_every_size_are_read(shape):
    space, said = say(Grid(0, 3, shape, np.uint8))
    network = build_network("small", space, Categorical(2))
    assert network.torsos["observation"](torch.from_numpy(said["observation"])).isfinite().all()


@pytest.mark.parametrize("cell", [(11, 0, 0), (0, 6, 0), (0, 0, 4), (255, 255, 255)])
def test_a_grid_with_numbers_that_minigrid_has_not_is_a_fault(cell):
    with pytest.raises(EnvironmentFault, match=r"column 0.*'observation' has a cell"):
        say(Grid(0, 255, (5, 5, 3), np.uint8), np.full((5, 5, 3), cell, np.uint8))


@pytest.mark.parametrize("env_id", ["Maze-v0", "Sokoban-v0", "TSP-v1", "FrankaKitchen-v1", "Racetrack-v0", "Knapsack-v1"])
def test_envpools_nested_spaces_are_read(env_id):
    env = EnvPoolEnv(env_id, 2, seed=0)
    observed = env.reset().observations
    env.close()
    for name, part in env.observation_space.items():
        assert observed[name].shape == (2, *(part.shape or ()))
    build_network("small", env.observation_space, Categorical(2))
