"""Run directories made by hand, with curves whose statistics are known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

WriteRun = Callable[..., Path]


def line_curve(total: int = 1000, step: int = 10, *, slope: float = 1.0) -> dict[int, float]:
    """Score at frames: a straight line from 0 at 0 to 100 * slope at the end."""
    return {frames: 100.0 * slope * frames / total for frames in range(0, total + 1, step)}


def writer(root: Path) -> WriteRun:
    def write(
        name: str,
        seed: int,
        scores: Mapping[int, float | None],
        *,
        tasks: Mapping[str, float] | None = None,
        lambdas: Mapping[str, Callable[[int], float]] | None = None,
        teacher_scores: Mapping[str, Any] | None = None,
        suite: str = "toy",
        total_frames: int | None = None,
        teachers: Sequence[str] = (),
        folder: str | None = None,
    ) -> Path:
        """tasks: name -> what its score has above the suite's; they should sum to 0."""
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
        (directory / "config.json").write_text(json.dumps(config))
        lines = []
        for frames, score in scores.items():
            line: dict[str, Any] = {"frames": frames, "seconds": frames / 100.0, "frames_per_second": 100.0, "score": score}
            if score is not None:
                line |= {f"task_score/{task}": score + above for task, above in (tasks or {}).items()}
            line |= {f"lambda/{teacher}": weight(frames) for teacher, weight in (lambdas or {}).items()}
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
