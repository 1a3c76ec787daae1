"""The mean of the runs of one configuration, and its interval."""

import numpy as np
import pytest
from scipy import stats

from poolbench.stats.means import mean_over_seeds
from poolbench.stats.paired_test import crossed, guarded_half_width


def test_a_mean_over_seeds_has_the_guarded_interval_in_percent() -> None:
    scores = [np.array(row, dtype=float) for row in np.random.default_rng(5).random((5, 80)) < 0.8]
    found = mean_over_seeds([None] * 5, scores, "accuracy")
    half = 100 * guarded_half_width(crossed(np.stack(scores)), 0.05)
    assert found.value == pytest.approx(100 * np.mean(scores))
    assert found.interval == pytest.approx((found.value - half, min(found.value + half, 100)))
    assert mean_over_seeds([0.5] * 5, scores, "accuracy").value == 50


def test_a_mean_of_seeds_that_err_on_different_examples_has_an_interval() -> None:
    first = np.arange(60) % 2.0
    found = mean_over_seeds([None, None], [first, 1 - first], "accuracy")
    assert found.value == 50
    assert found.interval is not None
    assert found.interval[1] - found.interval[0] > 20


def test_a_mean_without_a_common_test_set_has_no_interval() -> None:
    for scores in ([np.ones(5)], [np.ones(5), np.ones(6)], [np.ones(1)] * 2):
        found = mean_over_seeds([None] * len(scores), scores, "accuracy")
        assert (found.value, found.interval) == (100, None)


def test_the_mean_of_a_run_that_trained_nothing_has_the_interval_of_its_examples() -> None:
    scores = np.random.default_rng(0).normal(0.02, 1, 80)
    found = mean_over_seeds([None], [scores], "spearman", trained=False)
    low, high = stats.ttest_1samp(scores, 0).confidence_interval(0.95)
    assert found.interval == pytest.approx((100 * low, 100 * high))
    clustered = mean_over_seeds(
        [None],
        [np.repeat(scores, 4)],
        "spearman",
        groups=np.repeat(np.arange(80), 4),
        trained=False,
    )
    assert clustered.interval == pytest.approx(found.interval)


def test_only_a_correlation_may_be_below_zero() -> None:
    scores = np.array([-0.5, 0.5] * 20)
    for metric, expected in (("pearson", True), ("accuracy", False)):
        found = mean_over_seeds([None], [scores], metric, trained=False)
        assert found.interval is not None
        assert (found.interval[0] < 0) == expected
