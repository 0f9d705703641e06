"""The training score: how well the student did in its last episodes of every task."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from kickstarting.actor import Episode
from kickstarting.suites import Suite

Ended = tuple[float, float, int]
"""Return of an episode, 1 if it was a success, and the frames of the suite at which it ended."""


class ScoreTracker:
    """The training score: for each task the mean metric of the student's last `window` episodes, as a score; or of those that ended
    in the last `frames` simulator frames of the whole suite, if that is not 0.

    What teachers acted is counted among the episodes, but says nothing about the student.

    A task has no score before `warm_up` of its episodes ended (or the window is full, if it is shorter), and the suite none
    before every task has one: the first episodes to end are the short ones, and in a goal task those are the successes.
    """

    def __init__(self, suite: Suite, *, window: int = 100, frames: int = 0, warm_up: int = 16) -> None:
        self.suite = suite
        self.episodes = 0
        self._frames = frames
        self._warm_up = warm_up if frames else min(warm_up, window)
        self._windows: list[deque[Ended]] = [deque(maxlen=None if frames else window) for _ in suite.tasks]

    def add(self, episodes: Sequence[Episode], frames: int = 0) -> None:
        """frames: of the suite, at which they ended."""
        for episode in episodes:
            if not episode.by_teacher:
                self._windows[episode.task].append((episode.episode_return, float(episode.success), frames))
        self.episodes += len(episodes)
        for window in self._windows if self._frames else ():
            while window and window[0][2] <= frames - self._frames:
                window.popleft()

    def task_scores(self) -> np.ndarray:
        """[tasks], NaN where too few episodes ended."""
        scores = np.full(len(self.suite.tasks), np.nan)
        for i, (task, window) in enumerate(zip(self.suite.tasks, self._windows, strict=True)):
            if len(window) >= self._warm_up:
                scores[i] = task.score(float(np.mean([task.metric_of(r, s > 0) for r, s, _ in window])))
        return scores

    def metrics(self) -> dict[str, float | None]:
        """Suite score (mean, median, interquartile mean), success, and score, return and success of every task."""
        scores = self.task_scores()
        known = not np.isnan(scores).any()
        ordered = np.sort(scores)
        cut = len(scores) // 4
        result: dict[str, float | None] = {
            "score": float(scores.mean()) if known else None,
            "score_median": float(np.median(scores)) if known else None,
            "score_iqm": float(ordered[cut : len(scores) - cut].mean()) if known else None,
            "episodes": float(self.episodes),
        }
        successes = []
        for task, window, score in zip(self.suite.tasks, self._windows, scores, strict=True):
            if not np.isnan(score):
                returns, success, _ = np.mean(window, axis=0)
                result[f"task_score/{task.name}"] = float(score)
                result[f"task_return/{task.name}"] = float(returns)
                result[f"task_success/{task.name}"] = float(success)
                successes.append(float(success))
        result["success"] = float(np.mean(successes)) if known else None
        return result

    def state(self) -> dict[str, Any]:
        windows = {task.name: list(w) for task, w in zip(self.suite.tasks, self._windows, strict=True)}
        return {"episodes": self.episodes, "windows": windows}

    def load(self, state: dict[str, Any]) -> None:
        """The inverse of `state`. Raises ValueError if it is of other tasks."""
        theirs, ours = (", ".join(sorted(names)) for names in (state["windows"], [task.name for task in self.suite.tasks]))
        if theirs != ours:
            raise ValueError(
                f"the checkpoint has scores of {theirs}, suite {self.suite.name} has {ours}; give back its tasks to resume"
            )
        self.episodes = state["episodes"]
        for task, window in zip(self.suite.tasks, self._windows, strict=True):
            window.clear()
            for r, s, *frames in state["windows"][task.name]:  # those of version 0.1 have no frames
                window.append((r, s, frames[0] if frames else 0))
