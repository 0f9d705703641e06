"""Kinds of observations as the adapters declare them, from the library, from the space's class, never from a name."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from kickstarting.algo.distributions import Categorical
from kickstarting.envs.gym import GymnasiumAsyncEnv, GymnasiumEnv
from kickstarting.envs.observations import Observations
from kickstarting.envs.pool import EnvPoolEnv
from kickstarting.networks import build_network
from kickstarting.spaces import Grid, Pixels, Text, Vector, kind_of, tokenise, tokens
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
