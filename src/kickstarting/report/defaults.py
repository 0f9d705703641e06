"""Which frames and which scores a comparison reads off when nobody says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SHARES = (0.05, 0.10, 0.25, 0.50)
STEPS = (20.0, 10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1)


def default_frames(start: float, budget: int) -> tuple[int, ...]:
    """Four points of the common budget: rounded 5, 10 and 25 %, then all of it.

    None lies before `start`, where the last group gets its first score; half of the budget stands in for one that would.
    """
    rounded = [int(float(f"{share * budget:.2g}")) for share in SHARES]
    usable = [point for point in rounded if start <= point < budget]
    return (*usable[:3], budget)


def default_levels(curves: Sequence[np.ndarray]) -> tuple[float, ...]:
    """Three round scores above 0, from where the groups start to the best that all reach; none if that is next to nothing."""
    best = min(curve.max() for curve in curves)
    starts = [curve[0] for curve in curves]
    low = max(0.0, max(starts) if max(starts) < best else min(starts))
    for step in STEPS:
        multiples = np.arange(np.floor(low / step) + 1, np.floor(best / step) + 1) * step
        if len(multiples) >= 3:
            chosen = multiples[np.linspace(0, len(multiples) - 1, 3).round().astype(int)]
            return tuple(round(float(level), 1) for level in chosen)
    return ()
