"""How a population evolves, as it is configured, and the ranges of all that it tunes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

from kickstarting.algo.parsing import AUTO, Share
from kickstarting.algo.pbt import Range
from kickstarting.config import Config
from kickstarting.ranges import FRAMES, SEED, Choice, Declaration, check, check_fields, shown
from kickstarting.ranges import Range as Within

AROUND = {"learning_rate": (0.1, 3.0), "entropy_cost": (0.1, 5.0)}
"""How far evolution may go from the configured value where the range is `auto`."""


class Span(Declaration):
    """LOW:HIGH[:START], above 0 and at most `most`; with `auto`, also that word."""

    def __init__(self, most: float, *, auto: bool = False) -> None:
        self.most, self.auto = most, auto

    def check(self, name: str, value: Any, total_frames: int) -> None:
        if self.auto and value == AUTO:
            return
        if (high := parse_range(name, value)[0].high) > self.most:
            raise ValueError(f"{name} {shown(value)} goes up to {high:g}; give at most {self.most:g}")


@dataclass(frozen=True)
class PopulationConfig:
    """How a population evolves. Ranges are LOW:HIGH[:START]. Without START the members start log-uniformly in the range."""

    members: Annotated[int, Within(2, 10_000)] = 8
    slice: Annotated[str, Share()] = "2%"
    """Frames that a member trains between two looks at another member."""
    burn_in: Annotated[str, Share()] = "4%"
    """Frames before the first look."""
    test: Annotated[str, Choice("welch", "margin")] = "welch"
    """The test that decides whether another member is significantly better: welch (a t-test) or margin."""
    significance: Annotated[float, Within(0, 1, low_open=True, high_open=True)] = 0.05
    """Significance of Welch's test, one-sided."""
    margin: Annotated[float, Within(0, 1e9)] = 5.0
    """Points of score by which the test `margin` wants another member to be better."""
    perturb_probability: Annotated[float, Within(0, 1)] = 0.33
    perturb_factor: Annotated[float, Within(1, 1e6, low_open=True)] = 1.2
    alpha_range: Annotated[str, Span(1e6)] = "0.001:2:1"
    """Strength of all teachers, a factor of --schedule."""
    horizon_range: Annotated[str, Span(1e3)] = "0.05:1"
    """Share of the run over which --schedule falls. A schedule without a horizon, such as constant:1, has none to tune."""
    rho_range: Annotated[str, Span(1e6)] = "0.05:1:1"
    """Share of each teacher."""
    learning_rate_range: Annotated[str, Span(1e3, auto=True)] = AUTO
    """Where --learning-rate starts; the shape of its schedule is kept. auto: all members start as it says, and it may fall to a
    tenth of that or rise to three times."""
    entropy_cost_range: Annotated[str, Span(1e6, auto=True)] = AUTO
    """Where --entropy-cost starts; the shape of its schedule is kept. auto: as it says, from a tenth to five times."""

    def check(self, config: Config) -> None:
        """Raise ValueError, with the remedy, for what cannot work with such members."""
        check("total_frames", config.total_frames, Annotated[int, FRAMES])  # the shares of a run are read with it
        if isinstance(self.members, int) and self.members < 2:
            raise ValueError(
                f"members is {self.members}; it must be at least 2, for one cannot evolve: give at least 2 members, or use "
                "`kickstart train`"
            )
        check_fields(self, max(1, config.total_frames))
        if config.seed > (most := int(SEED.high) // 1000 - self.members):
            raise ValueError(f"seed is {config.seed}; those of members are a thousand times it and more, so give at most {most}")
        if config.teaching.schedule.endswith(".json"):
            raise ValueError(
                f"schedule is {config.teaching.schedule}, but a population evolves a schedule of its own; leave it out, or name "
                "one, as linear:1:0:20%"
            )
        for name in ("learning_rate", "entropy_cost"):
            if config.parsed(name).start == 0:
                raise ValueError(f"{name} {getattr(config.learning, name)!r} starts at 0, which no factor changes; start above 0")


def parse_range(name: str, text: str) -> tuple[Range, float | None]:
    """LOW:HIGH[:START]. Raises ValueError if it is none, or START lies outside."""
    try:
        numbers = [float(part) for part in text.split(":")]
        low, high = numbers[:2]
        (start,) = numbers[2:] or [None]
    except ValueError:
        raise ValueError(f"{name} {shown(text)} is no range; write LOW:HIGH or LOW:HIGH:START") from None
    if not 0 < low <= high < math.inf:
        raise ValueError(f"{name} {shown(text)}: a range is 0 < LOW <= HIGH, both finite, since values are multiplied")
    if start is not None and not low <= start <= high:
        raise ValueError(f"{name} starts at {start:g}, outside its range {low:g} to {high:g}; widen it or start inside")
    return Range(low, high), start


def ranges_of(config: Config, population: PopulationConfig) -> tuple[dict[str, Range], dict[str, float]]:
    """Ranges and fixed starts of everything that this population tunes."""
    written = {"learning_rate": population.learning_rate_range, "entropy_cost": population.entropy_cost_range}
    for name in (name for name, text in written.items() if text == AUTO):
        start, (low, high) = config.parsed(name).start, AROUND[name]
        written[name] = f"{low * start!r}:{high * start!r}:{start!r}"
    if config.teaching.teachers:
        shares = {f"rho/{t}": population.rho_range for t in range(len(config.teaching.teachers))}
        horizon = {"horizon": population.horizon_range} if math.isfinite(config.parsed("schedule").horizon) else {}
        written = {"alpha": population.alpha_range, **horizon, **shares, **written}
    parsed = {name: parse_range(name, text) for name, text in written.items()}
    return {name: r for name, (r, _) in parsed.items()}, {name: s for name, (_, s) in parsed.items() if s is not None}
