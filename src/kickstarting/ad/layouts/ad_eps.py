"""The layout of AD-epsilon (github.com/corl-team/ad-eps, Zisman et al. 2024): an .npz for each history, with `states`, `actions`,
`rewards` and `dones` [episodes, steps], and a *.metadata of JSON with their names in order and the goals.

A place is one number there, row * size + column, an action one of noop, up, right, down, left, and last observations are left out.
In a room they follow from the action. Episodes of different lengths are kept as pickled objects, which need trust.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kickstarting.ad.collect import about_of
from kickstarting.ad.layouts.episodes import Episode, episodes_of, histories_of
from kickstarting.ad.tasks import find_family
from kickstarting.ad.tasks.grid import MOVES, Rooms
from kickstarting.runs.files import FileError, blaming, make_directory, read_bytes, read_json, typed, write_bytes, write_json
from kickstarting.runs.histories import Histories
from kickstarting.trust import PICKLE, check_format

METADATA = "metadata.metadata"
THEIRS = np.array([4, 2, 1, 3, 0])
"""Of our left, right, up, down, noop."""
OURS = np.argsort(THEIRS)
REMEDY = "give the directory that holds the .metadata of ad-eps, or generate it again"


def read(path: Path, family: str) -> Histories:
    """family: dark-room, dark-room-hard or key-to-door."""
    rooms = _rooms(family or "dark-room")
    files = sorted(path.rglob("*.metadata")) if path.is_dir() else []
    if not files:
        raise FileError(f"{path} holds no *.metadata; {REMEDY}")
    tasks: list[list[int]] = []
    histories: list[list[Episode]] = []
    for file in files:
        data = read_json(file, remedy=REMEDY)
        with blaming(file, remedy=REMEDY):
            names = [typed(name, str, "ordered_trajectories") for name in data["ordered_trajectories"]]
            goals = np.asarray(data["goal"], np.int64).reshape(-1, rooms.goals, 2)
            if len(goals) not in (1, len(names)):
                raise ValueError(f"it has {len(goals)} goals for {len(names)} files")
        if len(goals) == len(names):
            groups = [[name] for name in names]
        else:  # the chunks of one history
            groups = [names]
        for goal, group in zip(goals, groups, strict=True):
            tasks.append(goal[:, ::-1].flatten().tolist())
            histories.append([episode for name in group for episode in _episodes(file.parent / name, rooms)])
    facts = {"family": rooms.name, "source": "ad-eps"}
    return histories_of(about_of(rooms, np.asarray(tasks), facts), histories)


def write(histories: Histories, out: Path) -> None:
    """Raises ValueError for what are no rooms, or whose episodes differ in length."""
    rooms = _rooms(str(histories.about.facts.get("family", "")))
    files: dict[str, bytes] = {}
    for i in range(len(histories)):
        episodes = list(episodes_of(histories, i))
        if len({len(episode.actions) for episode in episodes}) > 1:
            raise ValueError("episodes have different lengths, which ad-eps keeps as pickles; export them to minari")
        cells = np.stack([episode.observations["observation"][:-1] for episode in episodes]).astype(np.int64)
        dones = np.zeros(cells.shape[:2], np.int32)
        dones[:, -1] = 1
        packed = io.BytesIO()
        np.savez(
            packed,
            states=(cells[..., 1] * rooms.size + cells[..., 0]).astype(float),
            actions=THEIRS[np.stack([episode.actions for episode in episodes])],
            rewards=np.stack([episode.rewards for episode in episodes]).astype(float),
            dones=dones,
        )
        files[f"trajectories_{i:05d}.npz"] = packed.getvalue()
    goals = np.asarray(histories.about.tasks).reshape(-1, rooms.goals, 2)[..., ::-1]
    algorithm = str(histories.about.facts.get("source", "unknown"))
    metadata = {"algorithm": algorithm, "label": "label", "ordered_trajectories": list(files), "goal": _goals(goals)}
    make_directory(out)
    for name, data in files.items():
        write_bytes(out / name, data)
    write_json(out / METADATA, metadata)


def _goals(goals: np.ndarray) -> list[Any]:
    """(row, column) of each; of several goals of a task one pair behind the other."""
    return goals[:, 0].tolist() if goals.shape[1] == 1 else goals.tolist()


def _rooms(name: str) -> Rooms:
    family = find_family(name) if name else None
    if not isinstance(family, Rooms):
        raise ValueError(f"ad-eps keeps places in dark rooms; these are of {name or 'a suite'}, so use the layout minari")
    return family


def _episodes(path: Path, rooms: Rooms) -> list[Episode]:
    """The shorter ones ended before their time."""
    with blaming(path, remedy=REMEDY):
        arrays = _arrays(path)
        longest = max(map(len, arrays["actions"]))
        return [
            _episode(rooms, *rows, ended=len(rows[1]) < longest)
            for rows in zip(arrays["states"], arrays["actions"], arrays["rewards"], strict=True)
        ]


def _arrays(path: Path) -> dict[str, np.ndarray]:
    data = io.BytesIO(read_bytes(path, remedy=REMEDY))
    wanted = ("states", "actions", "rewards")
    with np.load(data, allow_pickle=False) as packed:
        try:
            return {name: packed[name] for name in wanted}
        except ValueError:  # objects: lists of lists of different lengths
            check_format(PICKLE, f"{path} holds pickled objects", "to read them can run any code that its maker put there")
    data.seek(0)
    with np.load(data, allow_pickle=True) as packed:
        return {name: packed[name] for name in wanted}


def _episode(rooms: Rooms, states: Sequence[float], actions: Sequence[int], rewards: Sequence[float], ended: bool) -> Episode:
    """With the last observation, where the last action led."""
    places, moves = np.asarray(states, np.int64), OURS[np.asarray(actions, np.int64)]
    if places.min() < 0 or places.max() >= rooms.size**2:
        raise ValueError(f"it has place {places.max()}, and {rooms.name} has {rooms.size**2}, so give another --family")
    cells = np.stack([places % rooms.size, places // rooms.size], 1)
    last = np.clip(cells[-1:] + MOVES[moves[-1:]], 0, rooms.size - 1)
    return Episode({"observation": np.concatenate([cells, last])}, moves, np.asarray(rewards, np.float32), ended, not ended)
