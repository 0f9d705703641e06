"""Short names, one yardstick for many experts, and who was listened to when."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest

from kickstarting.report import compare_runs, to_markdown
from kickstarting.report.comparison import TeacherResult
from kickstarting.report.figures import curves_figure, tasks_figure, teachers_figure
from kickstarting.report.figures.teachers import SHADES, voices
from kickstarting.report.provenance import short_reference
from kickstarting.report.runs import load_runs
from kickstarting.report.tables import experts_table, final_table
from kickstarting.report.teachers import name_teachers, yardsticks
from kickstarting.teachers.references import parse_reference
from known import known

from .conftest import bars, line_curve, xs

compare = partial(compare_runs, out=None, bootstrap=50)


@pytest.mark.parametrize(
    ("entries", "logged", "names"),
    [
        (["door_key=/home/me/expert-door_key-0"], ["/home/me/expert-door_key-0"], ["door_key"]),
        (["zoo:grid-8-small"], ["zoo:grid-8-small"], ["zoo:grid-8-small"]),
        (["a_*=zoo:x", "b_*=zoo:x"], ["a_*=zoo:x", "b_*=zoo:x"], ["a_*", "b_*"]),  # a reference given twice is logged in full
        (["runs/one/best", "runs/two/best"], ["runs/one/best", "runs/two/best"], ["one/best", "two/best"]),
        (["a=runs/x", "a=runs/y"], ["runs/x", "runs/y"], ["a=x", "a=y"]),
        (["runs/lr=3/old"], ["runs/lr=3/old"], ["old"]),
        ([{"pattern": "*", "ref": "runs/lr=3/old", "sha256": "0", "adapters": []}], ["runs/lr=3/old"], ["old"]),
        ([{"pattern": "a/*", "ref": "zoo:x"}, {"pattern": "b", "ref": "zoo:x"}], ["a/*=zoo:x", "b=zoo:x"], ["a/*", "b"]),
    ],
)
def test_a_teachers_name_is_its_pattern_or_the_end_of_its_path(write_run, entries, logged, names):
    lambdas = {reference: lambda frames: 1.0 for reference in logged}
    scores = {reference: {"score": 1.0} for reference in logged}
    (run,) = name_teachers(load_runs([write_run("a", 0, {10: 1.0}, teachers=entries, lambdas=lambdas, teacher_scores=scores)]))
    assert list(run.teacher_names) == list(run.names("lambda/")) == list(run.teacher_scores) == names


def test_a_short_reference_has_no_folders():
    assert short_reference(parse_reference("door_*=/home/me/runs/expert/")) == "door_*=expert"
    assert short_reference(parse_reference("/home/me/lr=3/expert")) == "expert"


def test_many_experts_are_one_yardstick(experts):
    result = compare(experts)
    assert [teacher.name for teacher in result.teachers] == [f"task_{k}" for k in range(6)]
    (together,) = result.yardsticks
    assert (together.name, together.score, together.whole_suite, together.experts) == ("6 experts", 65.0, True, 6)
    scratch, student = result.groups[0].passing[0], result.groups[1].passing[0]
    assert (scratch.passed, scratch.tasks, scratch.tasks_passed) == (False, 6, 1)  # 48.75 is above the first one's 40 only
    assert (student.passed, student.tasks_passed) == (True, 6)
    assert student.frames.value == pytest.approx(650.0)


def test_experts_that_overlap_are_together_the_best_on_each_task(write_run):
    scores = {"a": {"score": 30.0, "tasks": {"x": 20.0, "y": 40.0}}, "b": {"score": 60.0, "tasks": {"y": 60.0}}}
    run = write_run("s", 0, line_curve(), tasks={"x": 0.0, "y": 0.0, "z": 0.0}, teacher_scores=scores)
    (union,) = compare([run]).yardsticks
    assert (union.tasks, union.score, union.whole_suite) == ({"x": 20.0, "y": 60.0}, 40.0, False)


def test_of_many_teachers_of_the_whole_suite_the_best_is_the_yardstick():
    teachers = [TeacherResult(f"t{k}", float(k), {"x": float(k)}, True) for k in range(6)]
    assert [(t.name, t.score) for t in yardsticks(teachers, [])] == [("t5, best of 6", 5.0)]
    assert yardsticks(teachers[:3], []) == tuple(teachers[:3])


def test_groups_with_other_teachers_for_a_task_are_each_held_against_their_own_and_all_others(write_run):
    def student(name, references):
        scores = {f"runs/{ref}": {"score": at, "tasks": {task: at}} for task, (ref, at) in references.items()}
        entries = [f"{task}=runs/{ref}" for task, (ref, _) in references.items()]
        return write_run(name, 0, line_curve(), tasks={"x": 0.0, "y": 0.0}, teachers=entries, teacher_scores=scores)

    good = student("good", {"x": ("expert-x", 80.0), "y": ("expert-y", 60.0)})
    mixed = student("mixed", {"x": ("random", 0.0), "y": ("expert-y", 60.0)})
    result = compare([good, mixed])
    assert [teacher.name for teacher in result.teachers] == ["x=expert-x", "y", "x=random"]
    assert [(t.name, t.score) for t in result.yardsticks] == [("2 experts of good", 70.0), ("2 experts of mixed", 30.0)]
    assert not any("Not every run" in note for note in result.notes)
    labels = [text.get_text() for text in known(tasks_figure(result)).legends[0].get_texts()]
    assert labels[2:] == ["2 experts of good", "2 experts of mixed"]


def test_experts_have_one_column_together_and_a_table_of_their_own(experts, two_groups):
    result = compare(experts)
    passes = [column.title for column in final_table(result).columns if column.heading == "Passes"]
    assert passes == ["6 experts (65.0)"]
    table = known(experts_table(result))
    assert [column.title for column in table.columns] == ["alone", "scratch", "together", "progress"]
    assert [cell.text for cell in table.rows[5].cells] == ["90.0", "48.8", "97.5", "97.5"]
    assert "above on 1 of 6 tasks" in to_markdown(result)
    assert "| task_5 | 90.0 | 48.8 | 97.5 | 97.5 |" in to_markdown(result)
    assert experts_table(compare(two_groups)) is None


def test_nothing_names_the_folders_of_teachers_and_their_difference_over_seeds_is_noted(experts):
    result = compare(experts)
    assert "/somewhere" not in json.dumps(result.to_dict())
    assert "Not every run has the same teacher for task_0, task_1 and 4 more; its score is the mean of theirs." in result.notes


def test_experts_have_one_marker_on_each_task_and_one_entry_in_the_legend(experts):
    figure = known(tasks_figure(compare(experts)))
    (axes,) = figure.axes
    markers = [xs(line)[0] for line in axes.lines if line.get_marker() == "D"]
    assert markers == [40.0, 50.0, 60.0, 70.0, 80.0, 90.0]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["scratch (2 seeds)", "together (2 seeds)", "progress (2 seeds)", "the task's own teacher"]


def test_teachers_of_the_same_weight_are_one_voice(experts):
    _, together, progress = compare(experts).groups
    assert [voice.label for voice in voices(together)] == ["task_0 and 5 more"]
    assert [voice.label for voice in voices(progress)] == [f"task_{k}" for k in range(6)]
    (voice,) = voices(together)
    np.testing.assert_allclose(voice.weights, np.maximum(0.0, 1.0 - voice.frames / 500.0), atol=0.01)


def test_many_voices_are_a_map_and_a_band(experts):
    result = compare(experts)
    _, axes = known(teachers_figure(result)).axes
    assert axes.get_title(loc="left") == "progress"
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"task_{k}" for k in range(6)]  # the first let go on top
    ends = {round(bar.get_y() + bar.get_height() / 2): bar.get_x() + bar.get_width() for bar in bars(axes)[::-1]}
    assert [round(ends[k] / 100) for k in range(6)] == [1, 2, 3, 4, 5, 6]
    faintest_to_full = {round(known(bar.get_alpha()), 4) for bar in axes.patches}
    assert len(faintest_to_full) == SHADES
    bottom = curves_figure(result).axes[1]
    assert (len(bottom.lines), len(bottom.collections)) == (2, 1)  # one voice; the mean of many, and their range


def test_without_many_voices_there_is_no_map(two_groups):
    assert teachers_figure(compare(two_groups)) is None


def test_a_few_voices_are_lines_with_a_legend(write_run):
    lambdas = {name: lambda x, n=n: max(0.0, 1.0 - x / n) for name, n in (("a", 100), ("b", 100), ("c", 600))}
    result = compare([write_run("s", 0, line_curve(), lambdas=lambdas)])
    bottom = curves_figure(result).axes[1]
    assert [text.get_text() for text in known(bottom.get_legend()).get_texts()] == ["a, b", "c"]
    assert len({str(line.get_linestyle()) for line in bottom.lines}) == 2
    assert teachers_figure(result) is None
