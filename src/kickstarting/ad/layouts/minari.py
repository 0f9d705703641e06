"""The layout of Minari (minari.farama.org): a directory with `metadata.json` and one group for each episode in `main_data.hdf5`.

It knows no histories: episodes of one stand side by side, in order, and each says by its metadata `history` which it is of. What
Minari has no word for stands under `kickstarting` in the metadata of the whole. Data sets of others without that are one history.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from kickstarting.ad.layouts.episodes import Episode, episodes_of, histories_of
from kickstarting.ad.tasks import find_family
from kickstarting.runs.files import FileError, blaming, make_directory
from kickstarting.runs.histories import About, Histories, about_from_json
from kickstarting.spaces import Pixels, Scaled, Vector

OURS = "kickstarting"
REMEDY = "give the directory of a Minari data set that holds metadata.json, usually called data"


def read(path: Path, family: str) -> Histories:
    """family: of those that do not say it."""
    minari = _library()
    if not (path / "metadata.json").is_file():
        raise FileError(f"{path} holds no Minari data set; {REMEDY}")
    with blaming(path, remedy=REMEDY):
        storage = minari.MinariDataset(str(path)).storage
        metadata, indices = storage.metadata, range(storage.total_episodes)
        own = [entry.get("history") for entry in storage.get_episode_metadata(indices)]
        about = about_from_json(json.loads(metadata[OURS])) if OURS in metadata else _about(storage, family, metadata)
        histories: dict[int, list[Episode]] = {}
        for history, data in zip(own, storage.get_episodes(indices), strict=True):
            histories.setdefault(0 if history is None else int(history), []).append(_episode(data, about, storage.action_space))
        if sorted(histories) != list(range(len(about.tasks))):
            raise ValueError(f"it has episodes of {len(histories)} histories, and says that there are {len(about.tasks)}")
        return histories_of(about, [histories[i] for i in sorted(histories)])


def write(histories: Histories, out: Path) -> None:
    """Each episode is a group: Minari is slow where there are hundreds of thousands."""
    minari = _library()
    buffer_of = importlib.import_module("minari.data_collector").EpisodeBuffer
    new = importlib.import_module("minari.dataset.minari_storage").MinariStorage.new
    about = histories.about
    make_directory(out.parent)
    storage = new(out, about.observation_space, about.action_space, data_format="hdf5")
    owners: list[int] = []

    def buffers() -> Iterator[Any]:
        for history in range(len(histories)):
            for episode in episodes_of(histories, history):
                owners.append(history)
                ends = np.zeros((2, len(episode.actions)), bool)
                ends[:, -1] = episode.terminated, episode.truncated
                yield buffer_of(
                    observations=dict(episode.observations),
                    actions=episode.actions,
                    rewards=episode.rewards,
                    terminations=ends[0],
                    truncations=ends[1],
                )

    storage.update_episodes(buffers())
    storage.update_episode_metadata([{"history": history} for history in owners])
    facts = about.facts
    name = re.sub(r"[^\w.]+", "_", f"{facts.get('family') or facts.get('suite', 'suite')}")
    source = re.sub(r"[^\w.]+", "_", str(facts.get("source", "unknown")))
    what = {"dataset_id": f"{OURS}/{name}-{source}-v0", "minari_version": minari.__version__, "algorithm_name": source}
    storage.update_metadata({**what, OURS: json.dumps(about.to_json())})


def _library() -> Any:
    try:
        importlib.import_module("h5py")
        return importlib.import_module("minari")
    except ImportError as error:
        raise ValueError("Minari's data sets need minari; install it with `pip install 'kickstarting[minari]'`") from error


def _about(storage: Any, family: str, metadata: dict[str, Any]) -> About:
    """Of a data set of others."""
    observed = storage.observation_space
    parts = observed.spaces if isinstance(observed, spaces.Dict) else {"observation": observed}
    facts = {"family": find_family(family).name} if family else {}
    facts |= {"source": metadata.get("algorithm_name") or "unknown", "suite": "" if family else metadata["dataset_id"]}
    return About(
        spaces.Dict({name: _observed(name, part) for name, part in parts.items()}), _acted(storage.action_space), [[]], facts
    )


def _observed(name: str, space: gymnasium.Space) -> gymnasium.Space:
    """Raises ValueError for what no model reads."""
    shape = space.shape or ()
    if isinstance(space, spaces.Discrete) and space.start == 0:
        return space
    if isinstance(space, spaces.MultiDiscrete) and len(shape) == 1 and not np.any(space.start):
        return space
    if isinstance(space, spaces.Box) and len(shape) == 3 and space.dtype == np.uint8:
        return Pixels(0, 255, shape, np.uint8)
    if isinstance(space, spaces.Box) and len(shape) <= 1:
        return Vector(-np.inf, np.inf, shape, np.float32)
    raise ValueError(f"observation {name!r} is {space}; Discrete, flat MultiDiscrete, flat Box and images can be read")


def _acted(space: gymnasium.Space) -> gymnasium.Space:
    if isinstance(space, spaces.Discrete) and space.start == 0:
        return space
    if isinstance(space, spaces.MultiDiscrete) and len(space.shape) == 1 and not np.any(space.start):
        return space
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        ones = np.ones(space.shape, np.float32)
        bounded = space.is_bounded()
        return Scaled(-ones if bounded else space.low, ones if bounded else space.high, as_is=not bounded)
    raise ValueError(f"actions are {space}; Discrete, flat MultiDiscrete and flat Box are known")


def _episode(data: dict[str, Any], about: About, acted: gymnasium.Space) -> Episode:
    """Continuous actions of others come to [-1, 1] between their bounds, as all are here."""
    observations = data["observations"] if isinstance(data["observations"], dict) else {"observation": data["observations"]}
    actions = np.asarray(data["actions"])
    foreign = isinstance(acted, spaces.Box) and isinstance(about.action_space, Scaled) and not about.action_space.as_is
    if foreign and isinstance(acted, spaces.Box) and not np.allclose([acted.low, acted.high], [-np.ones(1), np.ones(1)]):
        actions = np.float32(2) * (actions - acted.low) / (acted.high - acted.low) - np.float32(1)
    terminated, truncated = bool(data["terminations"][-1]), bool(data["truncations"][-1])
    return Episode(observations, actions, np.asarray(data["rewards"], np.float32), terminated, truncated or not terminated)
