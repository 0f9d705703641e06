"""Statistics that VecNormalize kept beside an archive, which never says that there were any."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
from gymnasium import spaces

from kickstarting.runs.files import read_bytes
from kickstarting.teachers.adapters.normaliser import Normaliser, read_normalisers
from kickstarting.teachers.adapters.numbers import normalise
from kickstarting.teachers.adapters.stack import stack
from kickstarting.teachers.adapters.transform import Adapter, behind
from kickstarting.teachers.origins.foreign import OBSERVATION
from kickstarting.teachers.pickles import read_pickle
from kickstarting.teachers.protocol import Teacher

REMEDY = "write ?normalise=FILE behind the reference, or ?normalise=none"
NONE = "none"
_SAYS = re.compile(r"\bnormalize['\"]?\s*(?::|\n\s*-)\s*(\S.*)")
"""In config.yml of RL Baselines3 Zoo: `normalize: true`, or an ordered dict's `- - normalize`, `- true` on two lines."""


def find_statistics(path: Path, given: str) -> Path | None:
    """The file that was given, or lies where `rl_zoo3`, the hub and CheckpointCallback put it; None if there is none.

    Raises ValueError if the archive's config.yml says that observations were normalised, and no statistics are there.
    """
    if given:
        return None if given == NONE else Path(given)
    folder, own = (path, path) if path.is_dir() else (path.parent, path.parent / path.stem)
    places = [own / "vecnormalize.pkl", own / "vec_normalize.pkl", folder / "vec_normalize.pkl", folder / "vecnormalize.pkl"]
    if checkpoint := re.fullmatch(r"(.+)_(\d+)_steps", path.stem):
        places.insert(0, folder / f"{checkpoint[1]}_vecnormalize_{checkpoint[2]}_steps.pkl")
    for place in places:
        if place.is_file():
            return place
    for config in (own / "config.yml", folder / "config.yml"):
        if config.is_file() and (said := _SAYS.search(config.read_text(encoding="utf-8", errors="replace"))):
            value = said[1].lower().strip("'\" ")
            if not value.startswith(("false", "null", "none", "0")) and "norm_obs': false" not in value:
                raise ValueError(
                    f"{path} was trained on normalised observations, as {config} says, but no vec_normalize.pkl is there; {REMEDY}"
                )
    return None


def value_scale(file: Path) -> float:
    """By which rewards were divided while the critic learned. Raises ValueError if the file has no statistics."""
    read_normalisers(file)  # which knows what can be wrong with it
    if file.suffix != ".pkl":
        return 1.0
    held = read_pickle(read_bytes(file, remedy=REMEDY))
    if not getattr(held, "norm_reward", False):
        return 1.0
    return math.sqrt(float(np.asarray(held.ret_rms.var)) + float(held.epsilon))


def behind_statistics(teacher: Teacher, file: Path) -> Teacher:
    """A teacher that gets its observations normalised and, if it reads several frames and the statistics are those of one, stacked
    behind that: then its zero frames are zero after normalising, as in the peer's training."""
    statistics = {name or OBSERVATION: normaliser for name, normaliser in read_normalisers(file).items()}
    parts, stacks = dict(teacher.observation_space.spaces), []
    for name, normaliser in statistics.items():
        if name not in parts:
            raise ValueError(f"{file} has statistics of {name!r}; teacher {teacher.ref} reads {', '.join(parts)}; {REMEDY}")
        if frames := _frames(normaliser, parts[name].shape or ()):
            parts[name] = spaces.Box(-np.inf, np.inf, normaliser.shape, np.float32)
            stacks.append(stack(frames, key=name))
        elif normaliser.shape != parts[name].shape:
            theirs = f"teacher {teacher.ref} reads {name!r} of shape {parts[name].shape}"
            raise ValueError(f"{file} has statistics of shape {normaliser.shape}; {theirs}; {REMEDY}")
    adapters: list[Adapter] = [normalise(file), *stacks]
    return behind(teacher, adapters, spaces.Dict(parts))


def _frames(normaliser: Normaliser, shape: tuple[int, ...]) -> int:
    """Number of frames with these statistics in an observation of that shape; 0 if it is one, or they do not fit."""
    own = normaliser.shape
    fits = own and shape and own[:-1] == shape[:-1] and own[-1] < shape[-1] and shape[-1] % own[-1] == 0
    return shape[-1] // own[-1] if fits else 0
