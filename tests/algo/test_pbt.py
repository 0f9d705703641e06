"""Exploit and explore, on plain records."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import trapezoid

from kickstarting.algo.pbt import Range, draw, draw_other, perturb, significantly_better

RANGES = {"alpha": Range(1e-3, 2.0), "learning_rate": Range(1e-4, 1e-2)}


def test_welchs_test_by_hand():
    """t and the degrees of freedom of Welch's formula, for samples of unequal size and spread."""
    theirs, ours = [52.0, 61.0, 57.0, 66.0], [41.0, 50.0, 47.0, 38.0, 44.0, 52.0]
    a, b = (np.var(x, ddof=1) / len(x) for x in (theirs, ours))
    t = (np.mean(theirs) - np.mean(ours)) / math.sqrt(a + b)
    freedom = (a + b) ** 2 / (a**2 / (len(theirs) - 1) + b**2 / (len(ours) - 1))
    x = np.linspace(-60, t, 400_001)  # the integral of Student's density up to t
    constant = math.gamma((freedom + 1) / 2) / (math.sqrt(freedom * math.pi) * math.gamma(freedom / 2))
    p_value = 1.0 - trapezoid(constant * (1 + x**2 / freedom) ** (-(freedom + 1) / 2), x)
    assert significantly_better(theirs, ours, significance=p_value * 1.02)
    assert not significantly_better(theirs, ours, significance=p_value * 0.98)


def test_better_by_chance_is_not_significant():
    rng = np.random.default_rng(0)
    calls = [significantly_better(rng.normal(50, 10, 20).tolist(), rng.normal(50, 10, 20).tolist()) for _ in range(2000)]
    assert 0.03 < np.mean(calls) < 0.07  # the level of the test


def test_a_margin_is_of_the_means():
    assert significantly_better([55.2, 55.2], [50.0, 50.0], test="margin")
    assert not significantly_better([54.8, 54.8], [50.0, 50.0], test="margin")


@pytest.mark.parametrize("test", ["welch", "margin"])
def test_without_scores_nobody_is_better(test):
    assert not significantly_better([], [1.0, 2.0], test=test)
    assert not significantly_better([9.0], [1.0, 2.0], test=test)


def test_scores_without_spread():
    assert significantly_better([1.0, 1.0], [0.0, 0.0])
    assert not significantly_better([0.0, 0.0], [0.0, 0.0])


@given(seed=st.integers(0, 10**6), start=st.floats(1e-3, 2.0))
def test_perturbed_values_stay_in_range(seed, start):
    rng = np.random.default_rng(seed)
    values = {"alpha": start, "learning_rate": 1e-4}
    for _ in range(20):
        values = perturb(values, RANGES, rng, probability=0.9, factor=3.0)
        assert all(RANGES[name].low <= value <= RANGES[name].high for name, value in values.items())


def test_perturbing_has_its_probability_and_does_not_drift():
    rng, wide = np.random.default_rng(0), {"x": Range(1e-9, 1e9)}
    logs = np.array([math.log(perturb({"x": 1.0}, wide, rng)["x"], 1.2) for _ in range(20_000)])
    assert set(np.round(logs, 9)) == {-1.0, 0.0, 1.0}
    assert abs((logs != 0).mean() - 0.33) < 0.02
    assert abs(logs.mean()) < 0.02
    assert perturb({"x": 1.0}, wide, rng, probability=0.0) == {"x": 1.0}


def test_starts_are_log_uniform_in_their_ranges():
    rng = np.random.default_rng(0)
    logs = np.log([draw(RANGES, rng)["learning_rate"] for _ in range(5000)])
    low, high = np.log(RANGES["learning_rate"])
    assert low <= logs.min()
    assert logs.max() <= high
    assert abs(np.median(logs) - (low + high) / 2) < 0.1


def test_another_member_is_never_oneself_and_anybody_else():
    rng = np.random.default_rng(0)
    assert {draw_other(2, 4, rng) for _ in range(200)} == {0, 1, 3}
