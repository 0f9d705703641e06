from __future__ import annotations

import json

import numpy as np
import pytest

from kickstarting.report.groups import group_runs
from kickstarting.report.runs import TeacherEntry, load_run, load_runs

from .conftest import line_curve


def test_a_run_is_read_with_its_gaps(write_run):
    directory = write_run(
        "a",
        3,
        {10: None, 20: 5.0, 30: 7.0},
        tasks={"t": 1.0},
        lambdas={"old": lambda f: f / 10},
        teachers=["*=ref"],
        teacher_scores={"old": {"score": 50, "tasks": {"t": 51}}},
        total_frames=40,
    )
    run = load_run(directory)
    assert (run.name, run.seed, run.suite, run.total_frames, run.teachers) == ("a", 3, "toy", 40, (TeacherEntry("*", "ref"),))
    np.testing.assert_array_equal(run.frames, [10, 20, 30])
    np.testing.assert_array_equal(run.curve("score"), [[20, 30], [5.0, 7.0]])
    np.testing.assert_array_equal(run.curve("task_score/t"), [[20, 30], [6.0, 8.0]])
    np.testing.assert_array_equal(run.curve("lambda/old"), [[10, 20, 30], [1.0, 2.0, 3.0]])
    assert run.teacher_scores["old"].tasks == {"t": 51.0}


def test_a_torn_last_line_is_skipped_and_a_torn_middle_line_is_not(write_run):
    directory = write_run("a", 0, {10: 1.0, 20: 2.0})
    path = directory / "metrics.jsonl"
    whole = path.read_text()
    path.write_text(whole + '{"frames": 30, "score": 3.')
    np.testing.assert_array_equal(load_run(directory).frames, [10, 20])
    path.write_text('{"frames": 5, "sco\n' + whole)
    with pytest.raises(ValueError, match=r"line 1 of .*metrics\.jsonl"):
        load_run(directory)


def test_what_a_resumed_run_logs_again_replaces_what_it_had_logged(write_run):
    directory = write_run("a", 0, {10: 1.0, 20: 2.0, 30: 3.0})
    with (directory / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"frames": 20, "score": 22.0}) + "\n")
        file.write(json.dumps({"frames": 30, "score": 33.0}) + "\n")
    np.testing.assert_array_equal(load_run(directory).curve("score"), [[10, 20, 30], [1.0, 22.0, 33.0]])


def test_runs_are_found_below_a_folder_but_not_inside_a_run(write_run, tmp_path):
    first, second = write_run("a", 0, {10: 1.0}), write_run("a", 1, {10: 1.0})
    inside = first / "checkpoints" / "000"
    inside.mkdir(parents=True)
    (inside / "config.json").write_text("{}")
    runs = load_runs([tmp_path])
    assert [run.directory for run in runs] == [first, second]


def test_a_run_named_twice_counts_once(write_run, tmp_path):
    first = write_run("a", 0, {10: 1.0})
    assert len(load_runs([first, tmp_path, first / ".." / first.name])) == 1


def test_two_runs_with_one_name_and_seed_are_refused(write_run):
    paths = [write_run("a", 0, {10: 1.0}, folder=folder) for folder in ("one", "two")]
    with pytest.raises(ValueError, match=r"one and .*two are both run 'a' with seed 0; leave one out"):
        load_runs(paths)


def test_runs_of_two_suites_are_refused(write_run):
    paths = [write_run("a", 0, {10: 1.0}, suite="minigrid"), write_run("b", 0, {10: 1.0}, suite="atari")]
    with pytest.raises(ValueError, match=r"a-0 is of suite 'minigrid' but .*b-0 is of suite 'atari'"):
        load_runs(paths)


def test_what_is_missing_is_named(write_run, tmp_path):
    with pytest.raises(ValueError, match=r"no directory .*nowhere"):
        load_runs([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty holds no config\.json"):
        load_runs([tmp_path / "empty"])
    with pytest.raises(ValueError, match="name at least one"):
        load_runs([])
    directory = write_run("a", 0, {10: 1.0})
    (directory / "metrics.jsonl").unlink()
    with pytest.raises(ValueError, match=r"metrics\.jsonl is missing"):
        load_runs([directory])
    other = write_run("b", 0, {10: 1.0})
    (other / "config.json").write_text('{"name": "b", "seed": 0, "total_frames": 10}')
    with pytest.raises(ValueError, match="has no 'suite'"):
        load_runs([other])


def test_a_run_without_a_score_is_refused(write_run):
    directory = write_run("a", 0, {10: None, 20: None})
    with pytest.raises(ValueError, match="2 lines but none with a score"):
        load_run(directory)


def test_a_group_ends_with_its_shortest_run_and_begins_when_all_seeds_have_a_score(write_run):
    write_run("a", 0, {0: None, 100: 10.0, 1000: 100.0})
    path = write_run("a", 1, {0: 0.0, 500: 50.0}).parent
    (group,) = group_runs(load_runs([path]))
    assert (group.frames[0], group.frames[-1], group.budget) == (100, 500, 500)
    np.testing.assert_allclose(group.curves("score"), np.stack([group.frames / 10.0] * 2))


def test_seeds_that_share_no_frames_are_refused(write_run):
    paths = [write_run("a", 0, {10: 1.0, 20: 1.0}), write_run("a", 1, {30: 1.0})]
    with pytest.raises(ValueError, match=r"a-1 has no score before 30 frames and .*a-0 none after 20"):
        group_runs(load_runs(paths))


def test_differing_tasks_are_refused(write_run):
    paths = [write_run("a", 0, {10: 1.0}, tasks={"x": 0.0}), write_run("b", 0, {10: 1.0}, tasks={"x": 0.0, "y": 0.0})]
    with pytest.raises(ValueError, match="only one of them has y"):
        group_runs(load_runs(paths))


def test_final_is_the_mean_of_the_last_twentieth_of_the_frames(write_run):
    (group,) = group_runs(load_runs([write_run("a", 0, line_curve())]))
    assert group.final(group.curves("score")) == pytest.approx([97.5])


def test_smoothing_is_a_trailing_mean_over_frames_and_off_by_default(write_run):
    path = write_run("a", 0, {0: 0.0, 100: 10.0, 150: 40.0, 300: 60.0})
    for window, expected in ((None, [0.0, 10.0, 40.0, 60.0]), (150, [0.0, 5.0, 25.0, 60.0])):
        (group,) = group_runs(load_runs([path]), window)
        at = [np.abs(group.frames - frames).argmin() for frames in (0, 100, 150, 300)]
        np.testing.assert_allclose(group.curves("score")[0, at], expected, atol=0.2)
