"""Named adapters between a student's environments and a teacher that was made for others.

A pipeline of them is written NAME+NAME(VALUE,OPTION=VALUE), the student's side first, and saved with the run. Adapters of
observations turn what the student's environments give into what the teacher reads; an adapter of actions turns what it says into
the student's actions. Each is a function: its parameters are what stands in the parentheses (`adapters/syntax.py`).

    identity    nothing: the teacher reads and acts as the student's environments do
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import gymnasium
from gymnasium import spaces

from kickstarting.space_json import describe_space
from kickstarting.spaces import Scaled, Shaped, unsquashed
from kickstarting.teachers.adapters import syntax
from kickstarting.teachers.adapters.actions import ActionAdapter, actions, mask
from kickstarting.teachers.adapters.bins import bins
from kickstarting.teachers.adapters.images import crop, grey, resize, transpose
from kickstarting.teachers.adapters.normaliser import REMEDY
from kickstarting.teachers.adapters.numbers import flatten, normalise, one_hot, rename, scale, select
from kickstarting.teachers.adapters.squash import in_law_of
from kickstarting.teachers.adapters.stack import stack
from kickstarting.teachers.adapters.transform import Adapter, behind, chain
from kickstarting.teachers.ensemble import Ensemble
from kickstarting.teachers.protocol import Teacher

OBSERVATIONS: Mapping[str, Callable[..., Adapter]] = {
    function.__name__: function
    for function in (crop, resize, grey, transpose, stack, scale, normalise, one_hot, flatten, select, rename)
}
ACTIONS: Mapping[str, Callable[..., ActionAdapter]] = {function.__name__: function for function in (mask, actions, bins)}
IDENTITY = "identity"
ADAPTERS: Mapping[str, Callable[..., object]] = {IDENTITY: lambda: None, **OBSERVATIONS, **ACTIONS}


def parse_adapters(text: str) -> tuple[str, ...]:
    """The adapters in NAME+NAME(...), each as it is written.

    Raises ValueError, with the nearest names, for one that is unknown, and with what it takes for arguments that do not fit.
    """
    written = syntax.split(text)
    for adapter in written:
        syntax.call(adapter, ADAPTERS)
    return written


def files_of(adapters: Sequence[str]) -> list[Path]:
    """The files that adapters read."""
    return [file for adapter in adapters for file in syntax.files_of(adapter, ADAPTERS)]


def absolute(adapters: Sequence[str]) -> tuple[str, ...]:
    """The same adapters wherever a later process stands."""
    return tuple(syntax.with_absolute_files(adapter, ADAPTERS) for adapter in adapters)


def adapt(teacher: Teacher, adapters: Sequence[str], observation_space: spaces.Dict, action_space: gymnasium.Space) -> Teacher:
    """A teacher as the student's environments see it. Raises ValueError, naming both sides, if it does not fit them."""
    if isinstance(teacher, Ensemble):
        return teacher.map(lambda member: adapt(member, adapters, observation_space, action_space))
    seen = [syntax.call(text, OBSERVATIONS) for text in adapters if _name(text) in OBSERVATIONS]
    acted = [syntax.call(text, ACTIONS) for text in adapters if _name(text) in ACTIONS]
    clipped = unsquashed(action_space)  # the law that adapters of actions know
    for adapter in reversed(acted):
        teacher = adapter(in_law_of(teacher, clipped), clipped)
    teacher = in_law_of(teacher, action_space)
    check_actions(teacher, action_space)
    transforms = chain(seen, observation_space)
    check_observations(teacher, transforms[-1][0].space if transforms else observation_space, adapted=bool(transforms))
    return behind(teacher, seen, observation_space)


def check_spaces(teacher: Teacher, observation_space: spaces.Dict, action_space: gymnasium.Space) -> None:
    """Raise ValueError, naming both sides, if a teacher cannot read or act in these spaces."""
    check_actions(teacher, action_space)
    check_observations(teacher, observation_space)


def check_actions(teacher: Teacher, action_space: gymnasium.Space) -> None:
    """Raise ValueError, naming both sides and the adapter that may help, if a teacher acts in another space."""
    theirs, ours = describe_space(teacher.action_space), describe_space(action_space)
    if isinstance(action_space, Scaled) and theirs == {key: ours[key] for key in ours if key != "units"}:
        if not action_space.as_is:
            raise ValueError(
                f"teacher {teacher.ref} was saved by version 0.1 and acts in the units of the environments that it was trained in, "
                "the student in [-1, 1], which is scaled to the environment's bounds; train the teacher again"
            )
    elif theirs != ours:
        discrete, multiple = "discrete" in theirs and "discrete" in ours, isinstance(action_space, spaces.Box)
        if discrete:
            remedy = "; if the actions mean the same as far as both have them, give --teacher-adapters mask, else actions(...)"
        elif multiple != isinstance(teacher.action_space, spaces.Box):
            remedy = "; if the discrete ones are continuous ones in even steps, give --teacher-adapters bins(NUMBER)"
        else:
            remedy = ""
        raise ValueError(f"teacher {teacher.ref} acts in {theirs}, the student in {ours}; they must share the action space{remedy}")


def check_observations(teacher: Teacher, observation_space: spaces.Dict, *, adapted: bool = False) -> None:
    """Raise ValueError, naming both sides and the adapter that may help, if a teacher reads what is not there."""
    whose = "its adapters give" if adapted else "the student's environments have"
    for name, space in teacher.observation_space.items():
        if name in observation_space.spaces:
            if not _fits(space, observation_space[name]):
                theirs, ours = describe_space(space), describe_space(observation_space[name])
                raise ValueError(
                    f"teacher {teacher.ref} reads {name!r} as {theirs}, {whose} {ours}; choose a suite with the teacher's "
                    "observations, or --teacher-adapters that make them"
                )
        else:
            alike = [ours for ours, part in observation_space.items() if _fits(space, part)]
            remedy = f"--teacher-adapters 'rename({name}={alike[0]})'" if len(alike) == 1 else "--teacher-adapters that make it"
            raise ValueError(
                f"teacher {teacher.ref} reads {name!r} as {describe_space(space)}, {whose} no such observation, but "
                f"{', '.join(observation_space.spaces) or 'none'}; choose a suite with the teacher's observations, or {remedy}"
            )


def _fits(theirs: gymnasium.Space, ours: gymnasium.Space) -> bool:
    """A teacher from elsewhere does not say of what kind its observations are; then their shape and type decide, or of a program
    their shape alone."""
    if isinstance(theirs, Shaped):
        return theirs.shape == ours.shape
    read, given = describe_space(theirs), describe_space(ours)
    return read == given or ("kind" not in read and read == {key: x for key, x in given.items() if key != "kind"})


def _name(text: str) -> str:
    return text.partition("(")[0].strip()


__all__ = [
    "ADAPTERS",
    "IDENTITY",
    "REMEDY",
    "absolute",
    "adapt",
    "check_actions",
    "check_observations",
    "check_spaces",
    "files_of",
    "parse_adapters",
]
