"""Games that come through Gymnasium: what to install for them, and how they are preprocessed."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import AtariPreprocessing

from kickstarting.envs.images import Images
from kickstarting.envs.preprocessing import Preprocessing

IMAGES = ("frame_stack", "grey_scale", "size", "observation")
"""Preprocessing of any environment that observes an image."""


class Game(NamedTuple):
    """A package of games."""

    prefix: str
    """Of the ids."""
    module: str
    """That registers them with Gymnasium."""
    install: str
    preprocessing: tuple[str, ...]
    """Names that it knows beside IMAGES."""


ALE = Game("ALE/", "ale_py", "pip install ale-py opencv-python-headless", ("frame_skip", "sticky_actions", "noop_max"))
VIZDOOM = Game("Vizdoom", "vizdoom.gymnasium_wrapper", "pip install 'kickstarting[vizdoom]'", ("frame_skip",))


def game_of(env_id: str) -> Game | None:
    """The package that an environment's id is from, if it is one of these."""
    return next((game for game in (ALE, VIZDOOM) if env_id.rpartition(":")[2].startswith(game.prefix)), None)


def register_game(env_id: str) -> None:
    """Make an id known to Gymnasium if it is that of a game. Raises ValueError, with what to install."""
    game = game_of(env_id)
    if game is None or env_id in gymnasium.registry:
        return
    try:
        gymnasium.register_envs(importlib.import_module(game.module))
    except ModuleNotFoundError as error:
        raise ValueError(f"{env_id} needs the package {error.name}: {game.install}") from error


def check_preprocessing(env_id: str, preprocessing: Preprocessing) -> None:
    """Raise ValueError if an environment cannot do what is given, with who can."""
    game = game_of(env_id)
    if game is ALE:
        for name, instead in {"life_loss": "take backend envpool", "reward_clip": "take --reward-clip abs_one"}.items():
            if getattr(preprocessing, name) is not None:
                raise ValueError(f"{env_id} of gymnasium has no preprocessing {name}; {instead}")
    preprocessing.check_given((*IMAGES, *(game.preprocessing if game else ())), f"{env_id} of gymnasium")


def make_game(env_id: str, arguments: Mapping[str, Any], preprocessing: Preprocessing | None) -> gymnasium.Env:
    """`gymnasium.make`, of games and others, and the preprocessing around it. Raises ValueError if that does not fit."""
    register_game(env_id)
    if preprocessing is None:
        return _made(env_id, arguments)
    game, own, given = game_of(env_id), dict(arguments), preprocessing.given
    if game is VIZDOOM and "frame_skip" in given:
        own["frame_skip"] = given["frame_skip"]
    if game is not ALE:
        return _with_images(_made(env_id, own), preprocessing)
    own["frameskip"] = 1
    if "sticky_actions" in given:
        own["repeat_action_probability"] = given["sticky_actions"]
    env = gymnasium.make(env_id, **own)
    names = {"frame_skip": "frame_skip", "noop_max": "noop_max", "grey_scale": "grayscale_obs"}
    told = {own: given[name] for name, own in names.items() if name in given}
    screen = preprocessing.shape or env.observation_space.shape or (210, 160)
    try:
        env = AtariPreprocessing(env, screen_size=(screen[1], screen[0]), grayscale_newaxis=True, **{"noop_max": 0, **told})
    except gymnasium.error.DependencyNotInstalled as error:
        raise ValueError(f"preprocessing of {env_id} needs the package cv2: {ALE.install}") from error
    return Images(env, Preprocessing(frame_stack=preprocessing.frame_stack))


class Timeouts(gymnasium.Wrapper):
    """An episode of ViZDoom whose time is up is truncated, and not terminated as well."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, bool(terminated and not truncated), bool(truncated), info


def _made(env_id: str, arguments: Mapping[str, Any]) -> gymnasium.Env:
    if game_of(env_id) is VIZDOOM:
        with suppress(OSError):  # engines that begin at once all want to make it, and the slower ones die
            Path("_vizdoom").mkdir(exist_ok=True)
    env = gymnasium.make(env_id, **arguments)
    return Timeouts(env) if game_of(env_id) is VIZDOOM else env


def _with_images(env: gymnasium.Env, preprocessing: Preprocessing) -> gymnasium.Env:
    return Images(env, preprocessing) if preprocessing.given.keys() & set(IMAGES) else env


REPEATS = {"AtariPreprocessing": "frame_skip", "MaxAndSkipObservation": "skip"}
"""Gymnasium's wrappers that repeat actions, and the argument that says how often; 4 by default."""


def frame_skip_in(spec: EnvSpec | None, options: Mapping[str, Any]) -> int | None:
    """The product of what wrappers say and the argument of ALE's and ViZDoom's own environments; None if none of them does."""
    if spec is None:
        return None
    repeats = [(w.kwargs or {}).get(REPEATS[w.name], 4) for w in spec.additional_wrappers if w.name in REPEATS]
    told = {**spec.kwargs, **options}
    own = told.get("frame_skip", 1) if game_of(spec.id) is VIZDOOM else told.get("frameskip")
    repeats += [own] if isinstance(own, int) else []
    return math.prod(repeats) if repeats else None
