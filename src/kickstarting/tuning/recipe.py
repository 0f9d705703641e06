"""Recipes: small TOML files of settings that a tuning found, or that a person wrote.

format = 1
[found]      free information: suite, score, frames, seeds, command, versions
[options]    settings by their names in Config: learning_rate = "linear:1e-3:1e-4:100%", minibatches = 4
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from kickstarting.algo.parsing import nearest, parse_schedule
from kickstarting.config import Config
from kickstarting.console import visible
from kickstarting.learning import SCHEDULED, USUAL
from kickstarting.ranges import shown
from kickstarting.runs.files import FileError, read_bytes, write_text
from kickstarting.settings import flat, types_of
from kickstarting.trust import TrustConfig

FORMAT = 1
_HERE = Path(__file__).parent / "recipes"
SPELLED = {
    "total_frames": "frames",
    "teachers": "teacher",
    "network_options": "network_option",
    "trust_modules": "trust_module",
}
"""Fields whose option has another name."""
OF_THE_RUN = (
    *("suite", "network", "network_options", "total_frames", "seed", "name", "teachers", "teacher_adapters", "teacher_shares"),
    *("teacher_optional", "privileged"),
    *(
        "checkpoint_every",
        "checkpoint_at",
        "score_window",
        "score_frames",
        *flat(TrustConfig()),
        "inputs",
        "precision",
        "device",
        "overlap",
        "env_groups",
        "learners",
        "torch_threads",
        "environment_threads",
    ),
)
"""Fields of Config that say what is trained, where, and how it is measured, but not how it learns."""
OF_THE_COMMAND = (*SPELLED.values(), "out", "resume", "profile", "recipe", "threads")


@dataclass(frozen=True)
class Recipe:
    """What a file says; its options are checked by name and type."""

    path: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    found: Mapping[str, Any] = field(default_factory=dict)


def settings(config: Config) -> dict[str, Any]:
    """Every field of a configuration that is about learning, flat."""
    return {name: value for name, value in flat(config).items() if name not in OF_THE_RUN}


def differing(config: Config) -> dict[str, Any]:
    """The settings that are not the defaults: the options of this configuration's recipe."""
    defaults, ours = settings(Config()), settings(config)
    if any(ours[name] in usual for name, usual in USUAL.items()):
        unset = config.changed(**{name: defaults[name] for name in USUAL})
        defaults |= {name: settings(unset.as_usual())[name] for name in USUAL if ours[name] != defaults[name]}
    return {name: value for name, value in ours.items() if value != defaults[name] and value is not None}


def apply(config: Config, recipe: Recipe) -> Config:
    """A configuration with a recipe's options.

    Raises ValueError if a field was set to something else already, or the two cannot work together.
    """
    config.check()
    ours, defaults = settings(config), settings(Config())
    for name, value in recipe.options.items():
        if not any(_same(ours[name], other, config.total_frames) for other in (defaults[name], value)):
            raise ValueError(
                f"{recipe.path} says {name} = {value!r}, but {ours[name]!r} was given; leave out {_option(name)}, "
                f"or take {name} out of the recipe"
            )
    applied = config.changed(**recipe.options)
    try:
        applied.check()
    except ValueError as error:
        raise ValueError(f"with {recipe.path}: {error}; or change the recipe") from error
    return applied


def builtin_recipes() -> list[str]:
    """The names of the recipes that come with the package."""
    return sorted(path.stem for path in _HERE.glob("*.toml"))


def read_recipe(path: Path) -> Recipe:
    """path: of a file, or the name of a recipe that comes with the package. Raises ValueError, with the remedy, for one that is no
    recipe of this version."""
    if str(path) in (known := builtin_recipes()):
        path = _HERE / f"{path}.toml"
    try:
        data = tomllib.loads(
            read_bytes(path, remedy=f"give a file as `kickstart tune` writes it, or one of: {', '.join(known)}").decode()
        )
    except FileError as error:
        raise FileError(f"recipe {error}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no TOML: {error}; a recipe is format = {FORMAT}, then KEY = VALUE under [options]") from error
    if data.get("format") != FORMAT or not isinstance(data["format"], int) or isinstance(data["format"], bool):
        has = f"has format {shown(data['format'])}" if "format" in data else "has no format"
        raise ValueError(
            f"{path} {has}, this version reads format {FORMAT}; write format = {FORMAT}, or use the version that wrote it"
        )
    for key, value in data.items():
        if key not in ("format", "found", "options"):
            where = "settings stand under [options]" if key in settings(Config()) else nearest(key, ("found", "options"))
            raise ValueError(f"{path}: a recipe has no {shown(key)} beside [found] and [options]; {where}")
        if key != "format" and not isinstance(value, dict):
            raise ValueError(f"{path}: {key} is {shown(value)}; it must be a table: write [{key}]")
    options = {name: _option_value(path, name, value) for name, value in data.get("options", {}).items()}
    return Recipe(path, options, data.get("found", {}))


def write_recipe(path: Path, options: Mapping[str, Any], found: Mapping[str, Any]) -> Recipe:
    """Write a recipe, whole or not at all."""
    tables = {"found": {k: v for k, v in found.items() if not isinstance(v, Mapping)}}
    tables |= {f"found.{k}": v for k, v in found.items() if isinstance(v, Mapping)}
    lines = [f"format = {FORMAT}"]
    for title, table in {**tables, "options": options}.items():
        lines += ["", f"[{title}]", *(f"{_key(key)} = {_toml(value)}" for key, value in table.items())]
    write_text(path, "\n".join(lines) + "\n")
    return Recipe(path, dict(options), dict(found))


def words(config: Config, names: Iterable[str]) -> list[str]:
    """What to write on a command line for those of these fields that are not the defaults."""
    result = []
    values, defaults = flat(config), flat(Config())
    for name in names:
        value = values[name]
        if value == defaults[name] or value is None:
            continue
        if isinstance(value, bool):
            result.append(_option(name) if value else _option(name).replace("--", "--no-", 1))
        elif name in SPELLED and isinstance(value, tuple):  # the option is repeated
            result += [word for x in value for word in (_option(name), str(x))]
        else:
            result += [_option(name), *(map(str, value) if isinstance(value, tuple) else [str(value)])]
    return result


def _option(name: str) -> str:
    return "--" + SPELLED.get(name, name).replace("_", "-")


def _option_value(path: Path, name: str, value: Any) -> Any:
    """The value of one option as the configuration has it. Raises ValueError if the name or the type does not fit."""
    if name in OF_THE_RUN or name in OF_THE_COMMAND:
        raise ValueError(
            f"{path}: {name} = {shown(value)} says what is trained or where, not how it learns; take it out of the recipe, and "
            "give it on the command line"
        )
    defaults = settings(Config())
    if name not in defaults:
        raise ValueError(f"{path}: there is no setting {shown(name)}; {nearest(name, defaults)}")
    hint = types_of(Config)[name]
    types = set(get_args(hint)) - {type(None)} or {hint}  # of `float | None`, float
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if type(value) in types:
        return value
    scheduled = name in SCHEDULED or _is_schedule(defaults[name])
    try:
        if is_number and str in types and scheduled:
            return str(value)
        if isinstance(value, int) and is_number and float in types:
            return float(value)
    except (ValueError, OverflowError):  # of more digits than Python writes, or than a float holds
        raise ValueError(f"{path}: {name} is {shown(value)}, which no setting can be") from None
    wanted = "a number or a schedule" if scheduled else " or ".join(sorted(t.__name__ for t in types))
    example = USUAL[name][0] if defaults[name] is None and name in USUAL else defaults[name]
    raise ValueError(f"{path}: {name} is {shown(value)} ({type(value).__name__}); it must be {wanted}, as {example!r}")


def _is_schedule(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(parse_schedule(value, 1))
    except ValueError:
        return False


def _same(one: Any, other: Any, total_frames: int) -> bool:
    """Equal, or two spellings of one schedule: 1e-3 and 0.001."""
    if _is_schedule(one) and _is_schedule(other):
        return parse_schedule(one, total_frames) == parse_schedule(other, total_frames)
    return one == other


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else json.dumps(name)


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        return json.dumps(visible(value), ensure_ascii=False)
    return json.dumps(value) if isinstance(value, bool) else repr(value)
