"""Settings of a configuration by names of their own, in whichever group they stand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from kickstarting.algo.parsing import nearest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Group = TypeVar("Group", bound="DataclassInstance")

GROUPS = ("teaching", "learning", "learner", "loss", "run", "machine", "remote", "trusting")
"""Fields that hold settings, not one."""


def flat(config: Any) -> dict[str, Any]:
    """Every setting by its own name, whichever group of a configuration it stands in."""
    values: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        values |= flat(value) if f.name in GROUPS else {f.name: value}
    return values


def types_of(config: type) -> dict[str, Any]:
    """The type of every setting, by its own name."""
    types: dict[str, Any] = {}
    for name, hint in get_type_hints(config).items():
        types |= types_of(hint) if name in GROUPS else {name: hint}
    return types


def changed(config: Group, settings: Mapping[str, Any]) -> Group:
    """A configuration, or a group of one, with some of its settings changed, by their own names, or whole groups by theirs.
    Raises ValueError, with the nearest names, for one that it does not have."""
    for name in settings:
        if name not in (*(known := flat(config)), *GROUPS):
            raise ValueError(f"there is no setting {name!r}; {nearest(name, known)}")
    return _changed(config, settings)


def _is_group(value: object) -> bool:
    """What else is given for one is refused by `Config.check`."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _changed(config: Group, settings: Mapping[str, Any]) -> Group:
    values: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        value = settings.get(f.name, getattr(config, f.name))
        values[f.name] = _changed(value, settings) if f.name in GROUPS and _is_group(value) else value
    return dataclasses.replace(config, **values)
