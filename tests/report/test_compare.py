from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest

from kickstarting.report import compare_runs
from kickstarting.report.defaults import default_frames, default_levels
from kickstarting.report.resampled import frames_to_reach, seed_weights, value_at
from kickstarting.report.wording import interval_text, percent_text, value_text
from known import known

from .conftest import line_curve

compare = partial(compare_runs, out=None, bootstrap=300)


def test_the_papers_table_1_comes_out_of_its_own_numbers(write_run):
    """Schmitt et al. 2018, Table 1, in units of 1000 frames to a billion; levels lie on straight lines between given points."""
    scratch = {0: 0.0, 500: 24.1, 990: 30.0, 1000: 31.1, 2000: 37.5, 3260: 40.0, 8140: 50.0, 10000: 51.9}
    student = {0: 0.0, 130: 30.0, 500: 37.4, 1000: 39.4, 1390: 40.0, 2000: 42.4, 5310: 50.0, 10000: 56.9}
    paths = [write_run("scratch", 0, scratch), write_run("student", 0, student)]
    result = compare(paths, at_frames=[500, 1000, 2000, 10000], levels=[30, 40, 50])
    assert [s.value for s in result.groups[1].scores] == pytest.approx([37.4, 39.4, 42.4, 56.9], abs=0.1)
    assert [s.value for s in result.groups[0].frames_to][:3] == pytest.approx([990, 3260, 8140], rel=0.01)
    versus = known(result.groups[1].versus)
    # the paper divides by unrounded frames: 0.99/0.13 is 7.6, it prints 6.92
    assert [s.value for s in versus.speedups][:3] == pytest.approx([7.6, 2.35, 1.53], rel=0.01)
    assert [s.value for s in versus.improvements] == pytest.approx([55.2, 26.7, 13.1, 9.6], abs=0.5)


def test_straight_lines_by_hand(two_groups):
    result = compare(two_groups, at_frames=[100, 1000], levels=[30.0])
    scratch, student = result.groups
    assert (result.baseline, scratch.name, scratch.seeds, scratch.frames) == ("scratch", "scratch", (0, 1, 2), 1000)
    assert [s.value for s in scratch.scores] == pytest.approx([5.0, 50.0])
    assert [s.value for s in student.scores] == pytest.approx([10.0, 100.0])
    assert scratch.final.value == pytest.approx(48.75)
    assert [level.score for level in result.levels] == pytest.approx([30.0, 48.75])
    assert [f.value for f in scratch.frames_to] == pytest.approx([600.0, 975.0])
    assert [f.value for f in student.frames_to] == pytest.approx([300.0, 487.5])
    assert scratch.versus is None
    versus = known(student.versus)
    assert [s.value for s in versus.speedups] == pytest.approx([2.0, 2.0])
    assert [s.value for s in versus.improvements] == pytest.approx([100.0, 100.0])
    assert versus.final_improvement.value == pytest.approx(100.0)
    assert known(versus.probability_of_improvement).value == 1.0
    assert {task: e.value for task, e in student.tasks.items()} == pytest.approx({"easy": 107.5, "hard": 87.5})


def test_intervals_span_what_the_seeds_can_give(two_groups):
    result = compare(two_groups, at_frames=[1000], levels=[30.0], bootstrap=5000)
    score = result.groups[0].scores[0]
    # 27 equally likely draws: the extremes (1/27 = 3.7 % each) are within a 95 % interval
    assert (score.low, score.high) == pytest.approx((40.0, 60.0))
    speedup = known(result.groups[1].versus).speedups[0]
    assert 0.9 / 0.6 <= known(speedup.low) < 1.7 < 2.0 < 2.4 < known(speedup.high) <= 1.1 / 0.4


def test_the_same_seed_gives_the_same_intervals_whatever_else_is_compared(write_run, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        for seed in range(5):
            write_run(name, seed, line_curve(slope=rng.uniform(0.3, 0.9)), tasks={"t": 0.0})
    runs = tmp_path / "runs"
    two = [path for path in sorted(runs.iterdir()) if not path.name.startswith("b")]
    first, again = (compare([runs], bootstrap=200, at_frames=[500], levels=[20]) for _ in range(2))
    assert first == again
    assert compare(two, bootstrap=200, at_frames=[500], levels=[20]).groups[1] == first.groups[2]
    assert compare([runs], bootstrap=200, at_frames=[500], levels=[20], seed=1) != first


def test_interval_over_seeds_covers_the_true_score(write_run):
    rng, covered = np.random.default_rng(3), 0
    for trial in range(20):
        paths = [write_run(f"g{trial}", seed, {0: 0.0, 100: rng.normal(50.0, 5.0)}) for seed in range(10)]
        score = compare(paths, bootstrap=300, at_frames=[100], levels=[]).groups[0].scores[0]
        covered += known(score.low) <= 50.0 <= known(score.high)
    assert 16 <= covered <= 20


def test_a_level_that_is_never_reached_has_no_value(write_run):
    paths = [write_run("low", s, line_curve(slope=0.3)) for s in range(2)]
    paths += [write_run("high", s, line_curve(slope=0.9)) for s in range(2)]
    result = compare(paths, levels=[20.0, 60.0])
    low, high = result.groups
    assert [f.value is None for f in low.frames_to] == [False, True, False]
    assert high.frames_to[1].value == pytest.approx(666.7, abs=0.1)
    assert known(high.versus).speedups[1].value is None


def test_resamples_that_never_reach_leave_the_interval_open(write_run):
    paths = [write_run("a", seed, line_curve(slope=slope)) for seed, slope in enumerate((0.2, 0.5, 0.9))]
    reached = compare(paths, levels=[45.0]).groups[0].frames_to[0]
    assert reached.value == pytest.approx(45.0 / 160.0 * 3 * 1000, rel=1e-3)
    assert known(reached.low) < known(reached.value)
    assert reached.high == np.inf


def test_the_baselines_final_score_is_drawn_with_the_baseline(write_run):
    """Every resample of the baseline reaches its own final score, so the interval is closed, unlike at a fixed level."""
    paths = [write_run("a", seed, line_curve(slope=slope)) for seed, slope in enumerate((0.2, 0.5, 0.8))]
    base = compare(paths, levels=[48.75]).groups[0]
    assert base.frames_to[0].high == np.inf
    assert base.frames_to[1].high == pytest.approx(975.0)


def test_a_group_against_its_twin_is_no_faster(write_run):
    slopes = (0.4, 0.5, 0.7)
    paths = [write_run(name, seed, line_curve(slope=s)) for name in ("a", "b") for seed, s in enumerate(slopes)]
    versus = known(compare(paths, levels=[30.0]).groups[1].versus)
    assert versus.speedups[0].value == pytest.approx(1.0)
    assert known(versus.speedups[0].low) < 1.0 < known(versus.speedups[0].high)  # not paired by seed, so not exactly 1
    assert known(versus.final_improvement.low) < 0.0 < known(versus.final_improvement.high)


def test_one_seed_has_no_interval_and_neither_has_a_ratio_to_it(write_run):
    paths = [write_run("one", 0, line_curve(slope=0.5), tasks={"t": 0.0})]
    paths += [write_run("three", s, line_curve(slope=0.6 + 0.1 * s), tasks={"t": 0.0}) for s in range(3)]
    one, three = compare(paths).groups
    assert {e.low for e in (*one.scores, *one.frames_to, one.final, known(one.iqm))} == {None}
    assert three.final.low is not None
    versus = known(three.versus)
    assert versus.final_improvement.low is None
    assert known(versus.probability_of_improvement).low is None
    assert versus.speedups[-1].value == pytest.approx(1.4)
    three, one = compare(paths, baseline="three").groups
    assert one.frames_to[-1].low is None
    assert one.frames_to[-1].value is None  # 35 at its end, the baseline's final score 68.25


def test_a_curve_that_starts_above_a_level_gives_a_bound(write_run):
    paths = [write_run("slow", 0, line_curve()), write_run("ready", 0, {100: 40.0, 1000: 100.0})]
    slow, ready = compare(paths, levels=[30.0]).groups
    assert (ready.frames_to[0].value, ready.frames_to[0].bound, slow.frames_to[0].bound) == (100.0, "≤", "")
    faster = known(ready.versus).speedups[0]
    assert (faster.value, faster.bound) == (pytest.approx(3.0), "≥")
    turned = known(compare(paths, levels=[30.0], baseline="ready").groups[1].versus)
    assert (turned.speedups[0].value, turned.speedups[0].bound) == (pytest.approx(1 / 3), "≤")


def test_no_percentage_of_a_baseline_without_score(write_run):
    paths = [write_run("zero", 0, {0: 0.0, 100: 0.0}), write_run("b", 0, line_curve(100))]
    versus = known(compare(paths).groups[1].versus)
    assert versus.final_improvement.value is None


def test_no_percentage_of_a_baseline_around_zero(write_run):
    paths = [write_run("zero", seed, {0: 0.0, 100: score}) for seed, score in enumerate((-1.0, -0.5, 1.6))]
    paths += [write_run("b", seed, line_curve(100)) for seed in range(3)]
    improvement = known(compare(paths).groups[1].versus).final_improvement
    assert improvement.value is None
    assert value_text(improvement, percent_text) == "-"
    assert interval_text(improvement, percent_text) == ""


def test_the_baseline_comes_first_and_must_exist(two_groups):
    result = compare(two_groups, baseline="student")
    assert [group.name for group in result.groups] == ["student", "scratch"]
    assert known(result.groups[1].versus).speedups[-1].value is None  # scratch never gets there
    with pytest.raises(ValueError, match="baseline 'nobody' is not among the compared groups 'scratch', 'student'"):
        compare(two_groups, baseline="nobody")


def test_frames_beyond_every_run_and_no_resamples_are_refused(two_groups):
    with pytest.raises(ValueError, match="at_frames holds 2000, but the longest group ends at 1000"):
        compare(two_groups, at_frames=[2000])
    with pytest.raises(ValueError, match="bootstrap is 0"):
        compare(two_groups, bootstrap=0)


def test_passing_the_teacher(two_groups):
    result = compare(two_groups)
    (teacher,) = result.teachers
    assert (teacher.name, teacher.score, teacher.whole_suite) == ("old", 45.0, True)
    scratch, student = (group.passing[0] for group in result.groups)
    assert (scratch.passed, scratch.final) == (True, pytest.approx(48.75))
    assert scratch.frames.value == pytest.approx(900.0)
    assert student.frames.value == pytest.approx(450.0)


def test_a_teacher_of_some_tasks_is_compared_on_those(write_run):
    expert = {"expert": {"score": 70.0, "tasks": {"hard": 70.0}}}
    path = write_run("a", 0, line_curve(), tasks={"easy": 40.0, "hard": -40.0}, teacher_scores=expert)
    result = compare([path])
    passing = result.groups[0].passing[0]
    assert not result.teachers[0].whole_suite
    assert (passing.passed, passing.final, passing.frames.value) == (False, pytest.approx(57.5), None)


def test_lambda_is_averaged_from_the_first_line_on(two_groups):
    curve = compare(two_groups).groups[1].lambdas["old"]
    assert curve.frames[0] == 0
    assert np.interp([0, 100, 200, 900], curve.frames, curve.mean) == pytest.approx([1.0, 0.5, 0.0, 0.0], abs=0.01)


def test_notes_say_what_weakens_the_numbers(write_run):
    paths = [write_run("a", 0, line_curve(1000)), write_run("b", 0, line_curve(500), total_frames=1000, teachers=["t"])]
    notes = " ".join(compare(paths).notes)
    assert "Few seeds: a (1), b (1)" in notes
    assert "Seed 0 of b stopped at 500 of 1k frames" in notes
    assert "Unequal budgets: a 1k, b 500" in notes
    assert "what its teachers were trained for is not counted" in notes
    enough = [write_run("c", seed, line_curve(1000)) for seed in range(5)]
    assert compare(enough).notes == ()


def test_default_frames_are_round_and_end_with_the_budget():
    assert default_frames(0.0, 2_007_040) == (100_000, 200_000, 500_000, 2_007_040)
    assert default_frames(150_000.0, 2_000_000) == (200_000, 500_000, 1_000_000, 2_000_000)
    assert default_frames(1_500_000.0, 2_000_000) == (2_000_000,)


def test_default_levels_are_round_and_within_reach_of_all():
    assert default_levels([np.array([0.0, 51.9]), np.array([0.0, 56.9])]) == (10.0, 30.0, 50.0)
    assert default_levels([np.array([5.0, 51.9]), np.array([35.0, 56.9])]) == (40.0, 45.0, 50.0)
    assert default_levels([np.array([0.0, 51.9]), np.array([60.0, 90.0])])[-1] <= 51.9
    assert default_levels([np.array([-12.0, 50.0])]) == (10.0, 30.0, 50.0)
    assert default_levels([np.array([3.0, 3.0])]) == ()


def test_reaching_is_linear_between_points_and_first():
    frames = np.array([0.0, 10.0, 20.0, 30.0])
    averages = np.array([[0.0, 4.0, 2.0, 9.0], [3.0, 3.0, 3.0, 3.0], [0.0, 0.0, 1.0, 2.0]])
    np.testing.assert_allclose(frames_to_reach(frames, averages, 3.0), [7.5, 0.0, np.inf])
    np.testing.assert_allclose(frames_to_reach(frames, averages, np.array([9.0, 4.0, 1.5])), [30.0, np.inf, 25.0])
    np.testing.assert_allclose(value_at(frames, averages, 15), [3.0, 3.0, 0.5])
    assert np.isnan(value_at(frames, averages, 31)).all()


def test_seed_weights_are_draws_with_replacement():
    weights = seed_weights(3, 4000, np.random.default_rng(0))
    np.testing.assert_allclose(weights[0], 1 / 3)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert np.mean(weights[1:, 0] == 0.0) == pytest.approx((2 / 3) ** 3, abs=0.03)
    assert seed_weights(1, 4000, np.random.default_rng(0)).shape == (1, 1)


def test_the_dictionary_is_strict_json_and_holds_infinite_ends_as_text(write_run):
    paths = [write_run("a", seed, line_curve(slope=slope)) for seed, slope in enumerate((0.2, 0.5, 0.9))]
    found = compare(paths, levels=[45.0, 99.0]).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["groups"][0]["frames_to"][0]["high"] == "inf"
    assert found["groups"][0]["frames_to"][1]["value"] is None
