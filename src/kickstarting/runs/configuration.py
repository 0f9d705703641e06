"""config.json: a run's configuration as a file, signed, and read again if nothing in it was altered.

It holds beside the settings the format, an id that marks the run's checkpoints as its own, and the versions. Files of earlier
versions have neither format nor signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kickstarting.config import Config
from kickstarting.inputs import Input
from kickstarting.runs.files import FileError, digest_of, read_json, write_json, write_signed
from kickstarting.runs.layout import RunDirectory
from kickstarting.settings import GROUPS, changed, flat
from kickstarting.teachers.references import parse_reference
from kickstarting.trust import check_trusted, module_in

BESIDE = ("format", "id", "teacher_scores", "versions")
"""What stands in the file beside the configuration."""
RESTORE = "restore the file, or begin a new run"


def begin_run(
    directory: RunDirectory, config: Config, teacher_scores: Mapping[str, Any], versions: Mapping[str, str], id: str | None = None
) -> None:
    """Write a run's teacher_scores.json and then its config.json, which makes it a run. id: of what it is a part of."""
    data = config.to_json()
    write_json(directory.teacher_scores, teacher_scores)
    beside = {"id": id or digest_of(data)[:16], "teacher_scores": digest_of(teacher_scores)}
    write_signed(directory.config, {**beside, **data, "versions": dict(versions)})


def rewrite_config(directory: RunDirectory, config: Config) -> None:
    """Change settings of a run that has begun."""
    began = read_run_file(directory.config)
    write_signed(directory.config, {**{name: began[name] for name in BESIDE if name in began}, **config.to_json()})


def read_teacher_scores(directory: RunDirectory) -> dict[str, Any] | None:
    """What each teacher scores alone, as measured before training; None if that was left out. Raises FileError if the file is
    damaged, or another than the run began with."""
    path = directory.teacher_scores
    digest = read_run_file(directory.config).get("teacher_scores") if directory.begun else None
    if not path.exists() and digest is None:
        return None
    scores = read_json(path, remedy=RESTORE)
    if digest not in (None, digest_of(scores)):
        raise FileError(f"{path} is damaged or was altered: its SHA-256 differs from the one in config.json; {RESTORE}")
    return scores


def read_config(path: Path) -> Config:
    """The configuration of a saved run, whose modules are trusted or not named.

    Raises ValueError if the file is missing, damaged, or of another version, or names a module that the user did not name.
    """
    if not path.is_file():
        raise ValueError(f"no run at {path.parent}: there is no {path.name}")
    try:
        return checked_config(read_run_file(path), path)
    except FileError:
        raise
    except ValueError as error:
        raise ValueError(f"{path}: {error}; {RESTORE}") from error


def run_id(path: Path) -> str:
    """What marks a run's checkpoints as its own; empty for runs of earlier versions."""
    return str(read_run_file(path).get("id", ""))


def read_run_file(path: Path) -> dict[str, Any]:
    """A signed file that decides what a run is; those of earlier versions, without a format, have no signature."""
    data = read_json(path, remedy=RESTORE)
    return read_json(path, remedy=RESTORE, signed=True) if "format" in data else data


def checked_config(data: dict[str, Any], path: Path) -> Config:
    """The configuration in a file's data. Raises ValueError if it does not fit, or names a module that is not trusted."""
    config = config_from_json(data)
    for name in config.named_modules:
        check_trusted(name, path)
    config.check()
    return config


_BEFORE = {"epochs": 1, "policy_clip": 0.0, "normalise_returns": False, "normalise_advantages": False}
"""What a configuration of version 0.1 does not name, and meant."""


def config_from_json(data: dict[str, Any]) -> Config:
    """The inverse of `Config.to_json`, also for configurations of earlier versions, which had fewer groups. Raises ValueError,
    naming the key, if it does not fit."""
    values = _ungrouped({name: value for name, value in data.items() if name not in BESIDE})
    if "optimiser" not in values:
        raise ValueError("no configuration that this version reads: it does not say how to learn")
    if "format" not in data and not module_in(values.get("network", "")):
        values["network_options"] = ("normalise=False", *values.get("network_options", ()))
    if "epochs" not in values:
        epsilon = 1e-8 if values["optimiser"] == "adam" and values.get("epsilon") is None else values.get("epsilon")
        values |= {**_BEFORE, "epsilon": epsilon}
    values = {"beta2": 0.999, "desired_kl": 0.0, "base_width": 0, **values}  # what earlier versions had
    try:
        values["teachers"] = tuple(map(parse_reference, values.get("teachers", ())))
        values["inputs"] = tuple(Input(**given) for given in values.get("inputs", ()))
        values |= {name: tuple(values[name]) for name, value in flat(Config()).items() if value == () and name in values}
        return changed(Config(), values)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no configuration that this version reads: {error}") from error


def _ungrouped(data: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in data.items():
        values |= _ungrouped(value) if name in GROUPS and isinstance(value, Mapping) else {name: value}
    return values
