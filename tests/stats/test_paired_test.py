"""The paired test agrees with scipy and statsmodels, and does not depend on order or naming."""

from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from poolbench.stats.paired_test import (
    crossed,
    guarded_half_width,
    guarded_p,
    holm,
    paired,
    two_sided_p,
)

differences = hnp.arrays(
    np.float64,
    st.tuples(st.integers(2, 6), st.integers(2, 12)),
    elements=st.sampled_from([-1.0, 0.0, 1.0]),
)


def only_seeds_differ(means: np.ndarray, examples: int = 40) -> np.ndarray:
    """Differences (S, n) that are the same on every example."""
    return np.repeat(means[:, None], examples, axis=1)


def fifths(gain: float = 1.0) -> np.ndarray:
    """Differences (5, 50): each seed gains on its own fifth of the examples, and only there."""
    return gain * np.repeat(np.eye(5), 10, axis=1)


def test_mean_squares_agree_with_the_two_way_layout_as_a_loop() -> None:
    d = np.random.default_rng(0).normal(size=(4, 7)) + np.arange(7) + np.arange(4)[:, None]
    estimate = crossed(d)
    grand = d.mean()
    ss_seed = sum(7 * (d[s].mean() - grand) ** 2 for s in range(4))
    ss_example = sum(4 * (d[:, i].mean() - grand) ** 2 for i in range(7))
    ss_error = sum(
        (d[s, i] - d[s].mean() - d[:, i].mean() + grand) ** 2
        for s, i in product(range(4), range(7))
    )
    assert estimate.delta == pytest.approx(grand)
    assert estimate.ms_seed == pytest.approx(ss_seed / 3)
    assert estimate.ms_example == pytest.approx(ss_example / 6)
    assert estimate.ms_error == pytest.approx(ss_error / 18)


def test_comparisons_computed_together_equal_each_alone() -> None:
    d = np.random.default_rng(1).integers(-1, 2, size=(3, 2, 5, 20))
    together = crossed(d)
    for index in np.ndindex(3, 2):
        alone = crossed(d[index])
        assert guarded_p(together)[index] == pytest.approx(guarded_p(alone))
        half = guarded_half_width(alone, 0.05)
        assert guarded_half_width(together, 0.05)[index] == pytest.approx(half)


def test_the_seed_guard_is_the_paired_t_test_of_scipy() -> None:
    first, second = np.random.default_rng(2).random((2, 8, 30)) < 0.7
    estimate = crossed(first.astype(float) - second)
    p = two_sided_p(estimate.delta, *estimate.guards[1])
    oracle = stats.ttest_rel(first.mean(axis=1), second.mean(axis=1)).pvalue
    assert p == pytest.approx(oracle)
    assert guarded_p(estimate) >= oracle - 1e-12


def test_where_only_seeds_differ_it_is_the_t_test_over_seeds() -> None:
    means = np.random.default_rng(3).normal(0.5, 1, size=6)
    oracle = stats.ttest_1samp(means, 0).pvalue
    assert guarded_p(crossed(only_seeds_differ(means))) == pytest.approx(oracle)


def test_where_only_examples_differ_it_is_the_t_test_over_examples() -> None:
    by_example = np.random.default_rng(4).normal(0.2, 1, size=50)
    oracle = stats.ttest_1samp(by_example, 0).pvalue
    assert guarded_p(crossed(np.repeat(by_example[None], 5, axis=0))) == pytest.approx(oracle)


@given(st.integers(0, 10_000), st.floats(0.05, 3))
def test_a_tie_is_the_tost_of_statsmodels_where_only_seeds_differ(seed: int, margin: float) -> None:
    means = np.random.default_rng(seed).normal(0.1, 1, size=9)
    p, _, _ = ttost_paired(means, np.zeros(9), -margin, margin)
    estimate = crossed(only_seeds_differ(means))
    tied = abs(estimate.delta) + guarded_half_width(estimate, 2 * 0.05) < margin
    assert tied == (p < 0.05)


def test_holm_agrees_with_statsmodels() -> None:
    p = np.random.default_rng(5).random((4, 8)).round(1) ** 3  # with ties, zeros and ones
    oracle = [multipletests(row, method="holm")[1] for row in p]
    np.testing.assert_allclose(holm(p), oracle)


@given(differences)
def test_swapping_the_poolers_flips_only_the_sign(d: np.ndarray) -> None:
    one, other = crossed(d), crossed(-d)
    assert one.delta == -other.delta
    assert guarded_p(one) == guarded_p(other)
    assert guarded_half_width(one, 0.05) == guarded_half_width(other, 0.05)


@given(differences, st.randoms(use_true_random=False))
def test_the_order_of_seeds_and_examples_has_no_effect(d: np.ndarray, random: Random) -> None:
    seeds, examples = (list(range(k)) for k in d.shape)
    random.shuffle(seeds)
    random.shuffle(examples)
    one, other = crossed(d), crossed(d[seeds][:, examples])
    assert one.delta == pytest.approx(other.delta, abs=1e-12)
    assert guarded_half_width(one, 0.05) == pytest.approx(guarded_half_width(other, 0.05), abs=1e-6)


@given(differences, st.floats(0.001, 0.2))
def test_p_and_interval_agree(d: np.ndarray, alpha: float) -> None:
    estimate = crossed(d)
    p, half = guarded_p(estimate), guarded_half_width(estimate, alpha)
    assert 0 <= p <= 1
    if abs(p - alpha) > 1e-9 and half > 1e-6:
        assert (p < alpha) == (abs(estimate.delta) > half)


def test_differences_without_any_spread_are_certain() -> None:
    same, one_better = crossed(np.zeros((5, 30))), crossed(np.ones((5, 30)))
    assert (guarded_p(same), guarded_p(one_better)) == (1, 0)
    assert guarded_half_width(same, 0.05) == guarded_half_width(one_better, 0.05) == 0


def test_seeds_that_gain_on_different_examples_are_not_certain() -> None:
    """All seed means and all example means are equal: only the residual shows the spread."""
    estimate = crossed(fifths())
    assert estimate.ms_seed == pytest.approx(0, abs=1e-20)
    assert estimate.ms_example == pytest.approx(0, abs=1e-20)
    # A t-test over the 250 differences, with 49 degrees of freedom and two-way residuals.
    standard_error = np.sqrt(40 / (4 * 49) / 250)
    half = stats.t.isf(0.025, 49) * standard_error
    assert guarded_half_width(estimate, 0.05) == pytest.approx(half)
    assert guarded_p(estimate) == pytest.approx(2 * stats.t.sf(0.2 / standard_error, 49))
    assert 0 < guarded_p(estimate) < 1


def test_clusters_of_one_example_change_nothing() -> None:
    d = np.random.default_rng(7).normal(size=(3, 4, 30))
    one, other = crossed(d), crossed(d, np.random.default_rng(8).permutation(30))
    for name in ("delta", "ms_seed", "ms_example", "ms_error"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name))
    np.testing.assert_allclose(guarded_half_width(other, 0.05), guarded_half_width(one, 0.05))


@pytest.mark.parametrize("seeds", [1, 5])
def test_where_only_examples_differ_clusters_give_the_robust_variance_of_statsmodels(
    seeds: int,
) -> None:
    """One seed: nothing was trained."""
    rng = np.random.default_rng(9)
    groups = np.sort(rng.integers(0, 12, 60))
    by_example = rng.normal(size=12)[groups] + rng.normal(size=60)
    fit = OLS(by_example, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": groups})
    estimate = paired(np.repeat(by_example[None], seeds, axis=0), groups)
    half = stats.t.isf(0.025, 11) * fit.bse[0]
    assert guarded_half_width(estimate, 0.05) == pytest.approx(half)


@pytest.mark.parametrize("shape", [(1, 20), (5, 1)])
def test_one_seed_or_one_example_has_no_variance(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        crossed(np.zeros(shape))


def test_where_nothing_was_trained_it_is_the_t_test_over_examples() -> None:
    d = np.random.default_rng(6).normal(0.2, 1, size=(3, 1, 50))
    estimate = paired(d)
    oracle = stats.ttest_1samp(d[:, 0], 0, axis=1)
    np.testing.assert_allclose(guarded_p(estimate), oracle.pvalue)
    half = np.ptp(oracle.confidence_interval(0.95), axis=0) / 2
    np.testing.assert_allclose(guarded_half_width(estimate, 0.05), half)


def test_pairs_of_distinct_texts_are_independent() -> None:
    d = np.random.default_rng(7).normal(size=(4, 30))
    pairs = np.random.default_rng(8).permutation(60).reshape(30, 2)
    for of in (d, d[:1]):
        once, again = paired(of), paired(of, pairs)
        np.testing.assert_allclose(guarded_half_width(again, 0.05), guarded_half_width(once, 0.05))
