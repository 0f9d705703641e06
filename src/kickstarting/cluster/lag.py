"""Policy lag: by how many updates the policy that acted was behind the learner's, of every unroll that is learned from."""

from __future__ import annotations

from collections.abc import Sequence

EDGES = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
"""Upper edges of the histogram's bins; the last bin has no upper edge."""


def bin_of(lag: int) -> str:
    """The histogram's bin, by its upper edge."""
    return next((str(edge) for edge in EDGES if lag <= edge), "more")


def lag_metrics(lags: Sequence[int]) -> dict[str, float | None]:
    """Of the unrolls of one batch: mean, maximum, and the share of them in each bin."""
    bins = [bin_of(lag) for lag in lags]
    shares = {f"lag/histogram/{name}": bins.count(name) / len(bins) for name in (*map(str, EDGES), "more")}
    return {"lag/mean": sum(lags) / len(lags), "lag/max": float(max(lags)), **shares}
