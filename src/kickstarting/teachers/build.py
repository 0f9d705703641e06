"""From references to teachers that know their columns."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from kickstarting.envs import TaskSpaces
from kickstarting.runs.files import read_bytes
from kickstarting.teachers import adapters
from kickstarting.teachers.adapters import adapt
from kickstarting.teachers.batching import Assignment, Batchable
from kickstarting.teachers.label import Teachers
from kickstarting.teachers.optional import OptionalTeacher
from kickstarting.teachers.origins import absolute, digest, load_teacher
from kickstarting.teachers.protocol import Teacher
from kickstarting.teachers.references import Reference, names_of, parse_reference


def build_teachers(
    references: Sequence[Reference | str],
    task_names: Sequence[str],
    spaces: TaskSpaces,
    task_of_column: np.ndarray,
    device: str = "cpu",
    optional: bool = False,
) -> Teachers:
    """Teachers by their references, on the device, matched to the columns of the student's environments.

    spaces: of the student's tasks. task_of_column: int [B]. optional: the run goes on without those that fail while it trains.

    Raises ValueError if a pattern matches no task, a teacher is another one than the run began with, or it reads or acts in
    other spaces than the student has.
    """
    references = [parse_reference(reference) for reference in references]
    loaded: dict[tuple[str, tuple[str, ...]], Teacher] = {}
    assignments = []
    for reference, name in zip(references, names_of(references), strict=True):
        tasks, key = reference.tasks(task_names), (reference.ref, reference.adapters)
        if key not in loaded:
            check_pin(reference)
            teacher = load_teacher(reference.where, device)
            teacher = adapt(teacher, reference.adapters, spaces.observation_space, spaces.action_space)
            may_fail = not isinstance(teacher, Batchable)  # the package's own networks do not
            loaded[key] = OptionalTeacher(teacher) if optional and may_fail else teacher
        columns = torch.from_numpy(np.flatnonzero(np.isin(task_of_column, tasks)))
        assignments.append(Assignment(loaded[key], columns, name))
    return Teachers(assignments, len(task_of_column), spaces.distribution, spaces.action_space)


def pinned(references: Sequence[Reference]) -> tuple[Reference, ...]:
    """The references with the place and the SHA-256 of what lies behind them now, where they have none yet."""
    return tuple(
        r
        if r.sha256
        else replace(
            r, path=absolute(r.ref), sha256=digest_with_adapters(r.ref, r.adapters), adapters=adapters.absolute(r.adapters)
        )
        for r in references
    )


def check_pin(reference: Reference) -> None:
    """Raise ValueError if another teacher lies behind a reference than when it was pinned."""
    if reference.sha256 and (now := digest_with_adapters(reference.where, reference.adapters)) != reference.sha256:
        raise ValueError(
            f"teacher {reference.ref} has SHA-256 {now[:12]}..., but this run began with {reference.sha256[:12]}...; "
            "put back the teacher that it began with, or begin a new run with the other one"
        )


def digest_with_adapters(ref: str, written: Sequence[str]) -> str:
    """The SHA-256 of a teacher, and of the files that its adapters read, if they do. Raises ValueError if one is not there."""
    sha256 = digest(ref)
    files = [hashlib.sha256(read_bytes(file, remedy=adapters.REMEDY)).hexdigest() for file in adapters.files_of(written)]
    return hashlib.sha256("".join([sha256, *files]).encode()).hexdigest() if files else sha256
