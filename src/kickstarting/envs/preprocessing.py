"""What is done to images, actions and rewards on their way, by the names of the field, told to each library in its own words.

In a suite's file: `preprocessing = { frame_skip = 4, frame_stack = 4, life_loss = true, sticky_actions = 0.25 }`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from kickstarting.algo.parsing import nearest
from kickstarting.ranges import Range, check, hints_of, shown


@dataclass(frozen=True)
class Preprocessing:
    """What is None stays as the library has it."""

    frame_skip: Annotated[int | None, Range(1, 1000)] = None
    """Simulator frames of a step, through which the action is repeated. In Atari the last two are pooled by their maximum."""
    frame_stack: Annotated[int | None, Range(1, 64)] = None
    """Number of the last images that an observation has in its channels, the newest last."""
    life_loss: bool | None = None
    """A lost life ends the episode. Its return is counted to the end of the game all the same."""
    reward_clip: bool | None = None
    """A reward is its sign. Returns are counted from the rewards before."""
    sticky_actions: Annotated[float | None, Range(0, 1)] = None
    """Probability with which a frame repeats the action of the one before; 0.25 in Machado et al. 2018."""
    noop_max: Annotated[int | None, Range(1, 1000)] = None
    """At most so many actions that do nothing begin an episode."""
    grey_scale: bool | None = None
    """Images have one channel instead of three."""
    size: Annotated[int | tuple[int, ...] | None, Range(1, 4096)] = None
    """Rows and columns of an image; one number for a square."""
    observation: str | None = None
    """The one part of what is observed that is kept, an image."""

    @staticmethod
    def of(table: Mapping[str, Any]) -> Preprocessing:
        """From a suite's table. Raises ValueError if it has other names, or values out of range."""
        hints = hints_of(Preprocessing)
        for name, value in table.items():
            if name not in hints:
                raise ValueError(f"there is no preprocessing {shown(name)}; {nearest(name, sorted(hints))}")
            check(f"preprocessing {name}", value, hints[name])
        size = table.get("size")
        if isinstance(size, list | tuple) and len(size) != 2:
            raise ValueError(f"preprocessing size is {shown(size)}; it must be rows and columns, or one number for a square")
        values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
        return Preprocessing(**values)

    @property
    def given(self) -> dict[str, Any]:
        """What is not None."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def shape(self) -> tuple[int, int] | None:
        """Rows and columns."""
        return (self.size, self.size) if isinstance(self.size, int) else None if self.size is None else (self.size[0], self.size[1])

    def check_given(self, known: Collection[str], whose: str) -> None:
        """Raise ValueError if something is given that a library cannot do. known: what it can."""
        for name in self.given:
            if name not in known:
                can = f"it knows {', '.join(sorted(known))}" if known else "it knows none"
                raise ValueError(f"{whose} has no preprocessing {name}; {can}, so leave it out or take another backend")


ENVPOOL = {
    "frame_skip": ("frame_skip",),
    "frame_stack": ("stack_num",),
    "life_loss": ("episodic_life",),
    "reward_clip": ("reward_clip",),
    "sticky_actions": ("repeat_action_probability",),
    "noop_max": ("noop_max",),
    "grey_scale": ("gray_scale",),
    "size": ("img_height", "img_width"),
}
"""Names of EnvPool's own arguments."""


def envpool_arguments(preprocessing: Preprocessing, arguments: Collection[str], whose: str) -> dict[str, Any]:
    """What EnvPool's `make` is told. arguments: those that the environment has; whose: of what kind it is.

    Raises ValueError if it cannot do what is given.
    """
    known = [name for name, own in ENVPOOL.items() if set(own) <= set(arguments)]
    preprocessing.check_given(known, whose)
    told: dict[str, Any] = {}
    for name, value in preprocessing.given.items():
        values = preprocessing.shape if name == "size" else (value,)
        assert values is not None
        told |= dict(zip(ENVPOOL[name], values, strict=True))
    return told
