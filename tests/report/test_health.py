"""What runs said about themselves, in the report."""

from __future__ import annotations

import json

from kickstarting.report import compare_runs
from kickstarting.report.comparison import Spell
from kickstarting.runs.health import BY_NAME

from .conftest import line_curve
from .test_page import Balanced


def during(*spells: tuple[int, int]):
    """1 in these frames, ends included."""
    return lambda frames: float(any(since <= frames <= until for since, until in spells))


def never(frames: int) -> float:
    return 0.0


def text_of(page: str) -> str:
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    return parser.text


def test_what_stood_at_the_end_and_what_came_and_went(write_run, tmp_path):
    health = {"below_teacher": during((300, 1000)), "off_policy": during((0, 90), (500, 590)), "no_reward": never}
    path = write_run("student", 3, line_curve(), health=health, schedule="linear:1:0:15%")
    (run,) = compare_runs([path], out=tmp_path / "out").runs
    assert run.health is not None
    assert [(spell.diagnosis, spell.since, spell.until) for spell in run.health] == [
        ("off_policy", 0, 100),
        ("below_teacher", 300, None),
        ("off_policy", 500, 600),
    ]
    text = text_of((tmp_path / "out" / "report.html").read_text())
    stood, passed = text.index("the student was let go below its teacher"), text.index("V-trace clips nearly everywhere")
    assert stood < passed
    assert "since 300, to the end" in text
    assert "500 to 600, passed" in text
    assert "--schedule linear:1:0:30% instead of linear:1:0:15%" in text
    assert "no reward was ever seen" not in text
    saved = json.loads((tmp_path / "out" / "comparison.json").read_text())["runs"][0]["health"]
    assert Spell(**saved[1]) == run.health[1]


def test_healthy_and_unwatched_runs_are_named_once(write_run, tmp_path):
    paths = [write_run("student", seed, line_curve(), health=dict.fromkeys(BY_NAME, never)) for seed in (0, 1)]
    paths += [write_run("scratch", 0, line_curve())]
    comparison = compare_runs(paths, out=tmp_path / "out")
    assert [run.health for run in comparison.runs] == [None, (), ()]
    text = text_of((tmp_path / "out" / "report.html").read_text())
    assert "Nothing was wrong with student (seeds 0, 1)." in text
    assert "Nobody watched scratch (seed 0)." in text


def test_runs_that_did_not_watch_themselves_have_no_section(write_run, tmp_path):
    compare_runs([write_run("scratch", 0, line_curve())], out=tmp_path / "out")
    text = text_of((tmp_path / "out" / "report.html").read_text())
    assert "while they ran" not in text
    assert "Nobody watched" not in text


def test_a_diagnosis_of_another_version_keeps_its_name_and_no_folder_is_told(write_run, tmp_path):
    health = {"tired": during((500, 1000)), "below_teacher": during((500, 1000))}
    path = write_run("student", 0, line_curve(), health=health, schedule="/somewhere/private/best/schedule.json")
    compare_runs([path], out=tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "tired" in text_of(page)
    assert "progress:1 instead of schedule.json" in text_of(page)
    assert "/somewhere" not in page + (tmp_path / "out" / "comparison.json").read_text()
