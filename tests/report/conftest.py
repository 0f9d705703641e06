"""Run directories made by hand, with curves whose statistics are known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

WriteRun = Callable[..., Path]


def line_curve(total: int = 1000, step: int = 10, *, slope: float = 1.0) -> dict[int, float]:
    """Score at frames: a straight line from 0 at 0 to 100 * slope at the end."""
    return {frames: 100.0 * slope * frames / total for frames in range(0, total + 1, step)}


def xs(line: Line2D) -> np.ndarray:
    return np.asarray(line.get_xdata())


def ys(line: Line2D) -> np.ndarray:
    return np.asarray(line.get_ydata())


def points(line: Line2D) -> list[list[float]]:
    return np.asarray(line.get_xydata()).tolist()


def bars(axes: Axes) -> list[Rectangle]:
    """All its patches."""
    found = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert len(found) == len(axes.patches)
    return found


def writer(root: Path) -> WriteRun:
    def write(
        name: str,
        seed: int,
        scores: Mapping[int, float | None],
        *,
        tasks: Mapping[str, float] | None = None,
        lambdas: Mapping[str, Callable[[int], float]] | None = None,
        health: Mapping[str, Callable[[int], float]] | None = None,
        schedule: str | None = None,
        teacher_scores: Mapping[str, Any] | None = None,
        suite: str = "toy",
        total_frames: int | None = None,
        teachers: Sequence[str] = (),
        returns: bool = False,
        folder: str | None = None,
    ) -> Path:
        """tasks: name -> what its score has above the suite's; they should sum to 0. returns: that is the return of its episodes,
        as of a task without a reference."""
        directory = root / "runs" / (folder or f"{name}-{seed}")
        directory.mkdir(parents=True)
        config = {
            "name": name,
            "seed": seed,
            "suite": suite,
            "total_frames": total_frames or max(scores),
            "teachers": list(teachers),
            "learner": {"discount": 0.99},
        }
        config |= {"schedule": schedule} if schedule else {}
        (directory / "config.json").write_text(json.dumps(config))
        lines = []
        for frames, score in scores.items():
            line: dict[str, Any] = {"frames": frames, "seconds": frames / 100.0, "frames_per_second": 100.0, "score": score}
            if score is not None:
                line |= {f"task_score/{task}": score + above for task, above in (tasks or {}).items()}
                line |= {f"task_return/{task}": score + above for task, above in (tasks or {}).items() if returns}
            line |= {f"lambda/{teacher}": weight(frames) for teacher, weight in (lambdas or {}).items()}
            line |= {f"health/{name}": stands(frames) for name, stands in (health or {}).items()}
            lines.append(json.dumps(line) + "\n")
        (directory / "metrics.jsonl").write_text("".join(lines))
        if teacher_scores is not None:
            (directory / "teacher_scores.json").write_text(json.dumps(teacher_scores))
        return directory

    return write


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    return writer(tmp_path)


@pytest.fixture(scope="session")
def two_groups(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Scratch climbs at slopes 0.4, 0.5, 0.6 over 1000 frames, the student at 0.9, 1.0, 1.1 (its third seed to 110, uncapped)."""
    write_run = writer(tmp_path_factory.mktemp("two_groups"))
    tasks = {"easy": 10.0, "hard": -10.0}
    teacher = {"old": {"score": 45.0, "tasks": {"easy": 60.0, "hard": 30.0}}}
    paths = [write_run("scratch", seed, line_curve(slope=s), tasks=tasks) for seed, s in enumerate((0.4, 0.5, 0.6))]
    return paths + [
        write_run(
            "student",
            seed,
            line_curve(slope=s),
            tasks=tasks,
            lambdas={"old": lambda frames: max(0.0, 1.0 - frames / 200.0)},
            teacher_scores=teacher,
            teachers=["*=/somewhere/private/runs/old"],
        )
        for seed, s in enumerate((0.9, 1.0, 1.1))
    ]


@pytest.fixture(scope="session")
def experts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six tasks with an expert each, another one for every seed; `progress` lets each go at its own time.

    The student ends at 95, experts score 40, 50, ... 90. A group from scratch ends at 47.5.
    """
    write_run = writer(tmp_path_factory.mktemp("experts"))
    names = [f"task_{k}" for k in range(6)]
    tasks = dict.fromkeys(names, 0.0)
    paths = [write_run("scratch", seed, line_curve(slope=0.5), tasks=tasks) for seed in range(2)]
    for name in ("together", "progress"):
        for seed in range(2):
            folders = [f"/somewhere/private/runs/expert-{task}-{seed}" for task in names]
            lengths = [500 if name == "together" else 100 * (k + 1) for k in range(6)]
            paths.append(
                write_run(
                    name,
                    seed,
                    line_curve(),
                    tasks=tasks,
                    lambdas={f: lambda x, n=n: max(0.0, 1.0 - x / n) for f, n in zip(folders, lengths, strict=True)},
                    teacher_scores={f: {"score": 40.0 + 10 * k, "tasks": {names[k]: 40.0 + 10 * k}} for k, f in enumerate(folders)},
                    teachers=[f"{task}={folder}" for task, folder in zip(names, folders, strict=True)],
                )
            )
    return paths


NAMES = ("scratch", "kickstarted", "progress", "two-teachers-evolved", "entropy", "short", "linear-decay", "alpha-alone")


def many_groups(root: Path, number: int) -> list[Path]:
    """Up to eight groups of three seeds over a million frames, with two teachers of all four tasks but for the first."""
    write_run, tasks = writer(root), {f"task_{k}": k - 1.5 for k in range(4)}
    paths = []
    for group, name in enumerate(NAMES[:number]):
        teachers = ["/somewhere/private/runs/teacher-large", "zoo:grid-8-small"] if group else []
        scores = {teacher: {"score": 45.0, "tasks": dict.fromkeys(tasks, 45.0)} for teacher in teachers}
        options: dict[str, Any] = {"tasks": tasks, "teachers": teachers, "teacher_scores": scores or None}
        for seed in range(3):
            curve = line_curve(1_000_000, 20_000, slope=0.4 + 0.08 * group + 0.03 * seed)
            paths.append(write_run(name, seed, curve, lambdas=dict.fromkeys(teachers, lambda x: max(0.0, 1 - x / 4e5)), **options))
    return paths


@pytest.fixture(scope="session")
def population(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three members, four rounds of 250 frames: 0 goes on as 1 after the first, 2 as 0 after the third; 2 is the best.

    Members score 10 * (member + 1) * (round + 1), nothing in the first round of member 2.
    """
    root = tmp_path_factory.mktemp("population")
    folder = root / "runs" / "evolved-0"
    copies = {(0, 0): 1, (2, 2): 0}
    lineage = [
        {
            "round": turn,
            "frames": 250 * (turn + 1),
            "member": member,
            "values": {"alpha": 1.0 / (turn + 1), "rho/0": 1.0, "learning_rate": 1e-3 * (member + 1), "entropy_cost": 0.01},
            "score": None if (turn, member) == (0, 2) else 10.0 * (member + 1) * (turn + 1),
            "goes_on_as": copies.get((turn, member), member),
        }
        for turn in range(4)
        for member in range(3)
    ]
    curve = {250 * (turn + 1): 30.0 * (turn + 1) for turn in range(4)}
    lambdas = {"zoo:old": lambda frames: 250.0 / frames}
    options = {"tasks": {"easy": 10.0, "hard": -10.0}, "lambdas": lambdas, "teachers": ["zoo:old"]}
    best = writer(root)("evolved", 0, curve, folder="evolved-0/best", **options)
    (best / "finished.json").write_text(json.dumps({"frames": 1000, "member": 2}))
    writer(root)("member 0", 0, curve, folder="evolved-0/members/00", **options)
    (folder / "population.json").write_text("{}")
    (folder / "lineage.json").write_text(json.dumps(lineage))
    return folder
