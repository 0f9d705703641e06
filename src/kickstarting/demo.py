"""The main job: a small teacher kickstarts a large student, beside the same student from scratch."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from kickstarting.config import Config
from kickstarting.console import say
from kickstarting.launch.sweep import run_all
from kickstarting.report import check_out, compare_runs, to_rich
from kickstarting.report.layout import ReportDirectory
from kickstarting.runs.ownership import written_by_us
from kickstarting.teachers.origins import zoo

SUITE = "grid-8"
ZOO_TEACHER = "grid-8-small"
FRAMES = 1_000_000
TEACHER_FRAMES = 3_000_000
FULL_SEEDS = (0, 1, 2)


def teacher_config(seed: int = 0) -> Config:
    """How the shipped teacher was trained (scripts/make_zoo.py)."""
    return Config(SUITE, network="small", name="teacher", seed=seed, total_frames=TEACHER_FRAMES)


def student_config(seed: int, frames: int = FRAMES, teachers: tuple[str, ...] = ()) -> Config:
    """The large student, alone or with a teacher, with the defaults."""
    return Config.of(SUITE, seed=seed, total_frames=frames, teachers=teachers)


def run_demo(out: Path, *, full: bool, frames: int | None, console: Console) -> None:
    """Train (or go on training) the students, print the table and write the report."""
    with written_by_us(out):
        _run(out, full, frames, console)


def _run(out: Path, full: bool, frames: int | None, console: Console) -> None:
    started = time.perf_counter()
    budget = frames or FRAMES
    check_out(out / "report")
    teacher = f"zoo:{ZOO_TEACHER}"
    if full:
        say(console, f"1. A small teacher learns {SUITE} for {TEACHER_FRAMES / 1e6:g}M frames.")
        run_all({out / "teacher-0": teacher_config()}, console=console)
        teacher = str(out / "teacher-0")
    elif ZOO_TEACHER not in zoo.names():
        raise ValueError(f"this installation lacks {teacher}; reinstall the package, or train one with `kickstart demo --full`")
    say(console, f"A large student learns {SUITE} with {teacher} as its teacher, and again from scratch, side by side.")
    students = {}
    for seed in FULL_SEEDS if full else FULL_SEEDS[:1]:
        students[out / f"kickstarted-{seed}"] = student_config(seed, budget, (teacher,))
        students[out / f"scratch-{seed}"] = student_config(seed, budget)
    run_all(students, console=console)
    comparison = compare_runs(list(students), out=out / "report", baseline="scratch")
    console.print(to_rich(comparison))
    took = (time.perf_counter() - started) / 60
    say(console, f"took {took:.1f} minutes; open {ReportDirectory(out / 'report').page.resolve()}")
