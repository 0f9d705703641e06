"""How a policy was trained, as far as the files beside it say: its suite, and the command that trains it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kickstarting.config import Config
from kickstarting.report.provenance import short_path, short_reference
from kickstarting.runs.configuration import config_from_json, read_run_file
from kickstarting.runs.exported import REMEDY, ExportDirectory, is_exported
from kickstarting.runs.files import read_json
from kickstarting.runs.layout import RunDirectory
from kickstarting.tuning.recipe import settings, words

TOLD = ("network", "network_options", "total_frames", "seed", "teacher_shares", *settings(Config()))
"""What `train` was told beside suite and teachers. Adapters may name files, and stay with the run."""
VERSIONS = ("commit", "kickstarting", "torch")


def known_of(path: Path) -> dict[str, Any]:
    """`suite`, `frames` and `training` of an exported folder, `suite` and `training` of a run or one of its checkpoints; without
    what nobody says. Raises ValueError if a file that says it is damaged."""
    if is_exported(path):
        config = read_json(ExportDirectory(path).config, remedy=REMEDY)
        return {name: config[name] for name in ("suite", "frames", "training") if config.get(name)}
    for directory in (RunDirectory(path), RunDirectory(path.parent.parent)):
        if directory.begun and isinstance(suite := (data := read_run_file(directory.config)).get("suite"), str) and suite:
            return {"suite": suite, "training": training(data)}
    return {}


def training(data: Mapping[str, Any]) -> dict[str, Any]:
    """Of a run's config.json: seed, teachers, the command, and the versions. No folders: it will be shown to others."""
    config = config_from_json(dict(data))
    config = config.changed(schedule=short_path(config.teaching.schedule))
    teachers = [short_reference(reference) for reference in config.teaching.references]
    told = [word for teacher in teachers for word in ("--teacher", teacher)] + words(config, TOLD)
    versions = data.get("versions", {})
    return {
        "seed": config.seed,
        "teachers": teachers,
        "command": shlex.join(["kickstart", "train", short_path(config.suite), *told]),
        "versions": {name: versions[name] for name in VERSIONS if name in versions},
    }
