from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kickstarting.report import scores


def mean(matrix: np.ndarray) -> np.ndarray:
    """Over runs and tasks: [..., R, K] -> [...]."""
    return np.asarray(matrix.mean(axis=(-2, -1)))


def test_aggregates_by_hand():
    matrix = np.array([[0.0, 10.0, 80.0], [20.0, 30.0, 100.0]])  # 2 runs, 3 tasks
    assert mean(matrix) == pytest.approx(40.0)
    assert scores.median(matrix) == pytest.approx(20.0)  # of the task means 10, 20, 90
    assert scores.iqm(matrix) == pytest.approx(
        np.mean([10.0, 20.0, 30.0, 80.0])
    )  # a quarter of 6, rounded down, is cut off each end


def test_iqm_ignores_an_outlier_that_moves_the_mean():
    matrix = np.arange(8.0).reshape(2, 4)
    spoiled = matrix.copy()
    spoiled[1, 3] = 1e6
    assert scores.iqm(spoiled) == scores.iqm(matrix)
    assert mean(spoiled) > mean(matrix)


def test_aggregates_of_resamples_equal_those_one_by_one():
    batch = np.random.default_rng(0).normal(size=(7, 3, 5))
    for statistic in (mean, scores.median, scores.iqm):
        np.testing.assert_allclose(statistic(batch), [statistic(matrix) for matrix in batch])


def test_probability_of_improvement_by_hand():
    x, y = np.array([[1.0, 0.0], [3.0, 0.0]]), np.array([[2.0, 0.0], [0.0, 0.0]])
    # task 1: 1>2 no, 1>0 yes, 3>2 yes, 3>0 yes -> 3/4; task 2: all ties -> 1/2
    assert scores.probability_of_improvement(x, y) == pytest.approx((0.75 + 0.5) / 2)


@given(st.integers(0, 10_000))
@settings(deadline=None)
def test_improvements_either_way_sum_to_one(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 4, size=(3, 2)).astype(float), rng.integers(0, 4, size=(4, 2)).astype(float)
    both = scores.probability_of_improvement(x, y) + scores.probability_of_improvement(y, x)
    assert both == pytest.approx(1.0)


def test_bootstrap_is_reproducible_and_follows_its_generator():
    matrix = np.random.default_rng(1).normal(size=(4, 3))

    def draw(seed: int) -> np.ndarray:
        return scores.stratified_bootstrap(mean, matrix, repetitions=50, rng=np.random.default_rng(seed))

    np.testing.assert_array_equal(draw(5), draw(5))
    assert not np.array_equal(draw(5), draw(6))


def test_bootstrap_resamples_every_task_on_its_own_and_never_mixes_tasks():
    matrix = np.array([[0.0, 100.0], [1.0, 101.0]])
    drawn = scores.stratified_bootstrap(lambda x: x, matrix, repetitions=200, rng=np.random.default_rng(0))
    assert set(drawn[..., 0].ravel()) == {0.0, 1.0}
    assert set(drawn[..., 1].ravel()) == {100.0, 101.0}
    assert np.any(drawn[..., 0] != drawn[..., 1] - 100.0)  # the rows of the two tasks differ


def test_bootstrap_interval_covers_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        matrix = rng.normal(loc=3.0, size=(20, 2))
        samples = scores.stratified_bootstrap(mean, matrix, repetitions=300, rng=rng)
        low, high = scores.percentile_interval(samples)
        covered += low <= 3.0 <= high
    assert 0.90 <= covered / 300 <= 0.98


def test_interval_ends_are_order_statistics():
    low, high = scores.percentile_interval(np.arange(101.0)[::-1], confidence=0.9)
    assert (low, high) == (5.0, 95.0)


def test_interval_is_infinite_only_where_enough_samples_are():
    samples = np.arange(1000.0)
    samples[-1] = np.inf
    assert scores.percentile_interval(samples)[1] < 1000.0
    samples[-50:] = np.inf
    assert scores.percentile_interval(samples) == (24.0, np.inf)


def test_undefined_samples_widen_the_interval_at_both_ends():
    samples = np.arange(100.0)
    samples[40:60] = np.nan
    assert scores.percentile_interval(samples) == (-np.inf, np.inf)
