"""Schedules: their ends, their shape, and how they are written."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickstarting.algo.parsing import parse_frames, parse_schedule, written
from kickstarting.algo.schedules import (
    Constant,
    Cosine,
    Evidence,
    Exponential,
    Linear,
    Piecewise,
    Progress,
    Schedule,
    Step,
)

TOTAL = 1_000_000


@pytest.mark.parametrize(
    ("spec", "points"),
    [
        ("0.5", {0: 0.5, TOTAL: 0.5}),
        (0.25, {0: 0.25, TOTAL: 0.25}),
        ("constant:2", {0: 2.0, TOTAL: 2.0}),
        ("step:0:1:5%", {0: 0.0, 49_999: 0.0, 50_000: 1.0, TOTAL: 1.0}),
        ("linear:1:0:20%", {0: 1.0, 50_000: 0.75, 200_000: 0.0, TOTAL: 0.0}),
        ("linear:2:0.5:100k", {0: 2.0, 50_000: 1.25, 100_000: 0.5, TOTAL: 0.5}),
        ("cosine:1:0:20%", {0: 1.0, 50_000: (1 + 0.5**0.5) / 2, 100_000: 0.5, 200_000: 0.0, TOTAL: 0.0}),
        ("cosine:1:0.5:0.4M", {0: 1.0, 200_000: 0.75, 400_000: 0.5, TOTAL: 0.5}),
        ("exponential:1:10%", {0: 1.0, 50_000: 0.5**0.5, 100_000: 0.5, 300_000: 0.125, TOTAL: 2.0**-10}),
        ("exponential:1:10%:0.2", {0: 1.0, 200_000: 0.25, 300_000: 0.2, TOTAL: 0.2}),
        ("progress:3", {0: 3.0, TOTAL: 3.0}),
        ("progress:3:50%", {0: 3.0, 499_999: 3.0, 500_000: 0.0, TOTAL: 0.0}),
        ("evidence:3", {0: 3.0, 300_000: 3.0, 450_000: 1.5, 600_000: 0.0, TOTAL: 0.0}),
        ("piecewise:0=linear:1:0:20%;10%=constant:2", {0: 1.0, 50_000: 0.75, 99_999: 0.500005, 100_000: 2.0, TOTAL: 2.0}),
    ],
)
def test_values(spec: str | float, points: dict[int, float]) -> None:
    schedule = parse_schedule(spec, TOTAL)
    assert {frames: schedule.at(frames) for frames in points} == pytest.approx(points, abs=1e-12)


@pytest.mark.parametrize("kind", ["linear:1:0.1:30%", "cosine:1:0.1:30%", "exponential:1:5%:0.1", "progress:1:30%"])
@given(st.tuples(st.integers(0, 2 * TOTAL), st.integers(0, 2 * TOTAL)).map(sorted))
def test_never_rises_and_stays_between_its_ends(kind: str, frames: list[int]) -> None:
    schedule = parse_schedule(kind, TOTAL)
    earlier, later = (schedule.at(f) for f in frames)
    rounding = 1e-12
    assert 1.0 >= earlier >= later - rounding
    assert later >= (0.0 if schedule.uses_progress else 0.1) - rounding


def test_a_schedule_may_rise() -> None:
    schedule = parse_schedule("linear:0:1:10%", TOTAL)
    assert [schedule.at(f) for f in (0, 25_000, TOTAL)] == [0.0, 0.25, 1.0]


TEXTS = (
    "constant:2",
    "step:0:1:5%",
    "linear:2:0.5:20%",
    "cosine:1:0.1:20%",
    "exponential:1:10%",
    "exponential:1:10%:0.2",
    "progress:3",
    "progress:3:50%",
    "evidence:1",
    "evidence:2:5%:40%",
)


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("longer", [None, 3])
@given(st.floats(1e-4, 1e4), st.integers(0, 2 * TOTAL), st.floats(0, 1))
def test_a_scaled_schedule_has_the_same_shape_and_says_so(
    kind: str, longer: int | None, factor: float, frames: int, progress: float
) -> None:
    schedule = parse_schedule(kind, TOTAL)
    scaled = schedule.scaled(factor, longer and longer * schedule.horizon)
    assert parse_schedule(scaled.spec, 1) == scaled, "horizons are written in frames"
    assert scaled.at(frames * (longer or 1), progress) == pytest.approx(factor * schedule.at(frames, progress))


numbers, positive, lengths = st.floats(-1e9, 1e9), st.floats(0, 1e9), st.floats(1e-6, 1e12)
single = st.one_of(
    st.tuples(st.just(Constant), numbers),
    st.tuples(st.sampled_from([Step, Linear, Cosine]), numbers, numbers, lengths),
    st.tuples(st.just(Exponential), positive, lengths, positive),
    st.tuples(st.just(Progress), numbers, lengths | st.just(math.inf)),
    st.tuples(st.just(Evidence), numbers, lengths, lengths),
)
drawn = st.tuples(single, st.lists(st.tuples(lengths, single), max_size=3, unique_by=lambda piece: piece[0]))


def made(drawn: tuple) -> Schedule:
    """Of any kind; piecewise if there are later pieces."""
    (kind, *fields), later = drawn
    first = kind(*fields)
    pieces = [(since, kind(*fields)) for since, (kind, *fields) in sorted(later, key=lambda piece: piece[0])]
    return Piecewise(((0.0, first), *pieces)) if pieces else first


@given(drawn)
def test_what_is_written_is_read_again_exactly(drawn: tuple) -> None:
    schedule = made(drawn)
    assert parse_schedule(schedule.spec, TOTAL) == schedule


@given(drawn, st.integers(0, 2 * 10**12), st.floats(-1, 2))
def test_every_value_lies_between_the_lowest_and_the_highest(drawn: tuple, frames: int, progress: float) -> None:
    schedule = made(drawn)
    value, rounding = schedule.at(frames, progress), 1e-9 * max(abs(schedule.lowest), abs(schedule.highest))
    assert schedule.lowest - rounding <= value <= schedule.highest + rounding


@given(drawn, st.integers(0, 10**9), st.floats(0, 1))
def test_a_stretched_schedule_takes_twice_the_frames(drawn: tuple, frames: int, progress: float) -> None:
    """Doubling is exact in floating point."""
    schedule = made(drawn)
    longer = schedule.changed(frames=lambda x: 2 * x)
    assert longer.at(2 * frames, progress) == schedule.at(frames, progress)
    assert (longer.lowest, longer.highest) == (schedule.lowest, schedule.highest)


def test_evidence_is_stretched_with_its_release() -> None:
    stretched = parse_schedule("evidence:1", TOTAL).changed(frames=lambda x: x / 2)
    assert stretched == Evidence(1.0, release=50_000.0, horizon=300_000.0)
    assert stretched.scaled(2.0, horizon=7.0) == Evidence(2.0, release=50_000.0, horizon=7.0)


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("1e-3", "0.001"),
        ("constant:1", "1"),
        ("linear:3e-3:3e-4:20k", "linear:0.003:0.0003:2%"),
        ("exponential:1:10%:0.2", "exponential:1:10%:0.2"),
        ("progress:1", "progress:1"),
        ("evidence:1", "evidence:1:10%:60%"),
        ("piecewise:0=1;20k=step:1:0:50%", "piecewise:0%=1;2%=step:1:0:50%"),
    ],
)
def test_what_is_written_for_people_is_about_runs_of_any_length(text: str, shares: str) -> None:
    schedule = parse_schedule(text, TOTAL)
    assert written(schedule, TOTAL) == shares
    assert parse_schedule(shares, TOTAL) == schedule


def test_pieces_know_what_their_kinds_know() -> None:
    schedule = parse_schedule("piecewise:0=linear:1:0:20%;50%=progress:3", TOTAL)
    assert schedule.uses_progress
    assert (schedule.start, schedule.lowest, schedule.highest) == (1.0, 0.0, 3.0)
    assert schedule.now(499_999) == parse_schedule("linear:1:0:20%", TOTAL)
    assert schedule.at(TOTAL, 0.5) == schedule.now(TOTAL).at(TOTAL, 0.5) == 1.5


@pytest.mark.parametrize("kind", ["linear:1:0:50%", "cosine:1:0:50%", "exponential:1:50%", "constant:1"])
def test_only_progress_reads_progress(kind: str) -> None:
    schedule = parse_schedule(kind, TOTAL)
    assert not schedule.uses_progress
    assert schedule.at(100_000, 0.9) == schedule.at(100_000, 0.0)


def test_progress_falls_with_the_distance_to_the_teacher_for_each_task() -> None:
    schedule = parse_schedule("progress:2:1M", TOTAL)
    assert schedule.uses_progress
    assert schedule.at(10, 0.25) == 1.5
    progress = np.array([-0.5, 0.0, 0.25, 1.0, 1.5])  # below random and above the teacher are clipped
    np.testing.assert_allclose(schedule.at(10, progress), [2.0, 2.0, 1.5, 0.0, 0.0])
    np.testing.assert_array_equal(schedule.at(TOTAL, progress), np.zeros(5))


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("250000", 250_000),
        ("2.5e5", 250_000),
        ("250k", 250_000),
        ("1.5M", 1_500_000),
        ("1.5m", 1_500_000),
        ("10B", 10**10),
        ("20%", 200_000),
        ("0.5%", 5_000),
        (" 3 ", 3),
    ],
)
def test_frames(text: str, frames: float) -> None:
    assert parse_frames(text, TOTAL) == pytest.approx(frames)


@pytest.mark.parametrize("text", ["0", "-5", "0%", "ten", "", "%", "inf", "nan", "5x"])
def test_refuses_what_is_no_number_of_frames(text: str) -> None:
    with pytest.raises(ValueError, match=r"no positive number of frames|is not a number|is not finite"):
        parse_frames(text, TOTAL)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("liner:1:0:20%", "did you mean linear"),
        ("cos:1:0:20%", "did you mean cosine"),
        ("zzz:1", "known: constant, step, linear, cosine, exponential, progress"),
        ("linear:1:0", "2 numbers; linear takes 3 .*linear:1:0:20%"),
        ("constant:1:2", "2 numbers; constant takes 1 "),
        ("exponential:1", "1 numbers; exponential takes 2 to 3"),
        ("linear:one:0:20%", "'one' in schedule 'linear:one:0:20%' is not a number"),
        ("linear:1:0:-20%", "'-20%' is no positive number of frames"),
        ("constant:nan", "'nan' .* is not finite"),
        ("linear", "not a number|linear takes 3"),
        ("evidence:1:2:3:4", "4 numbers; evidence takes 1 to 3, as in evidence:1:10%:60%"),
        ("piecewise:5%=1", "begins at 50000 frames, not at 0; write it as in piecewise:0="),
        ("piecewise:0=1;5%=2;4%=3", "frames do not rise"),
        ("piecewise:0=1;five=2", "'five' .* is not a number"),
        ("piecewise:", "'' in schedule '' is not a number"),
    ],
)
def test_errors_name_the_remedy(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_schedule(spec, TOTAL)
