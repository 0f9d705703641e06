"""The paper's experiments as commands: every sweep is sound at every scale, and `tiny` runs it to its report."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from kickstarting.config import Config
from kickstarting.launch.sweep import Evolution
from kickstarting.reproduce import experiments, reproduce
from kickstarting.reproduce.lab import SCALES, Lab
from kickstarting.suites import load_suite


def plan(name: str, scale: str, seeds: int = 2) -> Lab:
    lab = Lab(SCALES[scale], Path("out"), seeds)
    experiments()[name].sweep(lab)
    return lab


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", experiments())
def test_a_sweep_is_sound(name: str, scale: str) -> None:
    lab = plan(name, scale)
    names = set()
    for path, job in lab.runs.items():
        config = job.config if isinstance(job, Evolution) else job
        config.check()
        if isinstance(job, Evolution):
            job.population.check(config)
        tasks = [task.name for task in load_suite(config.suite).tasks]
        for teacher in config.references:
            assert teacher.pattern == "*" or teacher.pattern in tasks
            assert Path(teacher.ref) in lab.runs, "a teacher that nobody trains"
        if path in lab.compared:
            names.add(config.name)
    assert experiments()[name].BASELINE in names
    assert len(names) > 1
    assert len(lab.compared) == len(set(lab.compared))


@pytest.mark.parametrize("scale", SCALES)
def test_experiments_that_share_a_directory_share_equal_runs(scale: str) -> None:
    seen: dict[Path, Config | Evolution] = {}
    shared = 0
    for name in experiments():
        for path, job in plan(name, scale).runs.items():
            shared += path in seen
            assert seen.setdefault(path, job) == job, path
    assert shared


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "expert"}, "'expert'; did you mean experts"),
        ({"scale": "cpus"}, "'cpus'; did you mean cpu"),
        ({"seeds": 0}, "seeds is 0"),
    ],
)
def test_bad_input_is_said_before_any_work(tmp_path, arguments, message) -> None:
    options = {"name": "experts", "scale": "tiny", "seeds": None, **arguments}
    with pytest.raises(ValueError, match=message):
        reproduce(**options, out=tmp_path, resume=False, jobs=0, console=Console(file=io.StringIO()))
    assert not list(tmp_path.iterdir())


def test_an_experiment_that_was_begun_wants_resume(tmp_path) -> None:
    (tmp_path / "experts").mkdir()
    (tmp_path / "experts" / "experiment.json").write_text("{}")
    with pytest.raises(ValueError, match="was begun already; add --resume"):
        reproduce("experts", scale="tiny", seeds=1, out=tmp_path, resume=False, jobs=0, console=Console(file=io.StringIO()))


@pytest.mark.slow
@pytest.mark.parametrize("name", experiments())
def test_tiny_runs_to_its_report(name: str, tmp_path_factory) -> None:
    out = tmp_path_factory.getbasetemp() / "reproduce"  # shared, as a user's is
    comparison = reproduce(name, scale="tiny", seeds=1, out=out, resume=False, jobs=0, console=Console(file=io.StringIO()))
    assert comparison.baseline == experiments()[name].BASELINE
    assert all(run.frames >= 0.98 * run.total_frames for run in comparison.runs)
    assert {"report.html", "curves.png", "curves.svg", "table.md", "comparison.json"} <= {p.name for p in (out / name).iterdir()}
    assert json.loads((out / name / "experiment.json").read_text())["scale"] == "tiny"
