"""Histories as episodes, which is how others keep them: T actions between T + 1 observations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kickstarting.runs.histories import OBSERVATION, About, Columns, Histories


@dataclass(frozen=True)
class Episode:
    """One of a history."""

    observations: Mapping[str, np.ndarray]
    """By name, each [T + 1, ...]."""
    actions: np.ndarray
    rewards: np.ndarray
    """float32 [T]"""
    terminated: bool
    truncated: bool


def episodes_of(histories: Histories, history: int) -> Iterator[Episode]:
    """In order. Where an episode was cut without a last observation, as at a run's checkpoint, its last step gives that, and it
    counts as truncated; what has a single step then is left out."""
    start, end = (int(x) for x in histories.starts[history : history + 2])
    columns = {name: x[start:end] for name, x in histories.columns.items()}
    begins = np.flatnonzero(columns["is_first"])
    begins = begins if begins.size and begins[0] == 0 else np.concatenate([[0], begins])
    for a, b in zip(begins, [*begins[1:], end - start], strict=True):
        if b - a < 2:
            continue
        observations = {name.removeprefix(OBSERVATION): x[a:b] for name, x in columns.items() if name.startswith(OBSERVATION)}
        ended = not columns["valid"][b - 1]
        terminated = ended and bool(columns["terminated"][b - 2])
        yield Episode(observations, columns["action"][a : b - 1], columns["reward"][a : b - 1], terminated, not terminated)


def histories_of(about: About, histories: Sequence[Sequence[Episode]]) -> Histories:
    """The inverse: each history is a list of episodes. Raises ValueError if one has none."""
    if empty := [i for i, episodes in enumerate(histories) if not episodes]:
        raise ValueError(f"history {empty[0]} holds no episode")
    lengths = [sum(len(e.actions) + 1 for e in episodes) for episodes in histories]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    parts = [_rows(episode) for episodes in histories for episode in episodes]
    columns = {name: np.concatenate([part[name] for part in parts]).astype(dtype) for name, (dtype, _) in about.kinds.items()}
    return Histories(about, columns, starts)


def _rows(episode: Episode) -> Columns:
    """Its transitions, and one more that holds the last observation and is not valid."""
    steps = len(episode.actions)
    flags = {name: np.zeros(steps + 1, bool) for name in ("is_first", "terminated", "truncated", "valid")}
    flags["is_first"][0], flags["valid"][:-1] = True, True
    flags["terminated"][-2], flags["truncated"][-2] = episode.terminated, episode.truncated
    observations = {f"{OBSERVATION}{name}": x for name, x in episode.observations.items()}
    blank = np.zeros((1, *episode.actions.shape[1:]), episode.actions.dtype)
    actions = np.concatenate([episode.actions, blank])
    return {**observations, "action": actions, "reward": np.append(episode.rewards, np.float32(0)), **flags}
