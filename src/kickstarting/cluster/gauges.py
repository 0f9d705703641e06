"""A run's numbers among those of its cluster: gauges of Ray, which the Prometheus endpoint of the learner's node and the dashboard
have.

They are those of `kickstart metrics` under the same names, with Ray's prefix: ray_kickstarting_score{run="big"}. On a cluster
without Ray's metrics (`ray` without its `default` extra) nobody hears them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import Any

from kickstarting.runs.prometheus import samples
from kickstarting.train import Update

SHOWN = (
    *("frames", "score", "frames_per_second", "lag", "queue", "learner_idle", "actors_alive"),
    *("restarts", "dropped_unrolls", "lost_unrolls"),
)
"""Metrics, or the first halves of their names, that say how a run on a cluster fares."""


class Gauges:
    """Of one run. A node of which an update has no unrolls makes 0 frames per second, also after it is lost."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._gauges: dict[str, Any] = {}
        self._nodes: set[str] = set()

    def __call__(self, metrics: Mapping[str, float | None]) -> None:
        """The numbers of an update."""
        shown = {name: value for name, value in metrics.items() if name.partition("/")[0] in SHOWN}
        self._nodes |= {name for name in shown if name.startswith("frames_per_second/")}
        for name, labels, value, meaning in samples(dict.fromkeys(self._nodes, 0.0) | shown):
            tags = {"run": self._run, **labels}
            if name not in self._gauges:
                self._gauges[name] = _gauge(name, meaning, tuple(tags))
            self._gauges[name].set(value, tags)


def shown_on_cluster(updates: Iterable[Update], run: str) -> Generator[Update]:
    """The updates of a run on a cluster, the numbers of each shown there before it is passed on."""
    gauges = Gauges(run)
    for update in updates:
        gauges({"frames": float(update.frames), **update.metrics})
        yield update


def _gauge(name: str, meaning: str, tags: tuple[str, ...]) -> Any:
    from ray.util.metrics import Gauge

    return Gauge(name, meaning, tags)
