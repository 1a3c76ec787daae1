"""The numbers agree with textbook oracles and do not depend on order or naming."""

from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from poolbench.stats.paired_test import (
    crossed,
    equivalent,
    guarded_half_width,
    guarded_p,
    holm,
    look_level,
    partial_conjunction,
    sign_flip_p,
    two_sided_p,
)

probabilities = st.floats(0, 1)
differences = hnp.arrays(
    np.float64,
    st.tuples(st.integers(2, 6), st.integers(2, 12)),
    elements=st.sampled_from([-1.0, 0.0, 1.0]),
)


def only_seeds_differ(means: np.ndarray, examples: int = 40) -> np.ndarray:
    """Differences (S, n) without any example or error part."""
    return np.repeat(means[:, None], examples, axis=1)


def test_mean_squares_agree_with_the_two_way_layout_written_out() -> None:
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


def test_many_comparisons_at_once_equal_each_alone() -> None:
    d = np.random.default_rng(1).integers(-1, 2, size=(3, 2, 5, 20))
    together = crossed(d)
    for index in np.ndindex(3, 2):
        alone = crossed(d[index])
        assert guarded_p(together)[index] == pytest.approx(guarded_p(alone))
        assert guarded_half_width(together, 0.05)[index] == pytest.approx(
            guarded_half_width(alone, 0.05)
        )


def test_p_over_seeds_alone_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.random((2, 8, 30)) < 0.7
    estimate = crossed(first.astype(float) - second)
    p = two_sided_p(estimate.delta, estimate.seed_variance, estimate.seeds - 1)
    assert p == pytest.approx(stats.ttest_rel(first.mean(axis=1), second.mean(axis=1)).pvalue)


def test_where_only_seeds_differ_the_guarded_test_is_the_paired_t_test() -> None:
    means = np.random.default_rng(3).normal(0.5, 1, size=6)
    estimate = crossed(only_seeds_differ(means))
    assert guarded_p(estimate) == pytest.approx(stats.ttest_1samp(means, 0).pvalue)


def test_where_only_examples_differ_the_crossed_test_is_the_t_test_over_examples() -> None:
    by_example = np.random.default_rng(4).normal(0.2, 1, size=50)
    estimate = crossed(np.repeat(by_example[None], 5, axis=0))
    assert guarded_p(estimate) == pytest.approx(stats.ttest_1samp(by_example, 0).pvalue)


@given(st.integers(0, 10_000), st.floats(0.05, 3))
def test_ties_are_statsmodels_tost_where_only_seeds_differ(seed: int, margin: float) -> None:
    means = np.random.default_rng(seed).normal(0.1, 1, size=9)
    p, _, _ = ttost_paired(means, np.zeros(9), -margin, margin)
    assert equivalent(crossed(only_seeds_differ(means)), margin, 0.05) == (p < 0.05)


@settings(max_examples=30, deadline=None)
@given(st.lists(probabilities, min_size=1, max_size=12))
def test_holm_agrees_with_statsmodels(p: list[float]) -> None:
    np.testing.assert_allclose(holm(np.array(p)), multipletests(p, method="holm")[1])


def test_holm_works_along_the_last_axis() -> None:
    p = np.random.default_rng(5).random((4, 6))
    np.testing.assert_array_equal(holm(p), [holm(row) for row in p])


@given(differences)
def test_swapping_the_poolers_flips_the_sign_and_nothing_else(d: np.ndarray) -> None:
    one, other = crossed(d), crossed(-d)
    assert one.delta == -other.delta
    assert guarded_p(one) == guarded_p(other)
    assert guarded_half_width(one, 0.05) == guarded_half_width(other, 0.05)


@given(differences, st.randoms(use_true_random=False))
def test_the_order_of_seeds_and_examples_changes_nothing(d: np.ndarray, random: Random) -> None:
    seeds, examples = (list(range(k)) for k in d.shape)
    random.shuffle(seeds)
    random.shuffle(examples)
    one, other = crossed(d), crossed(d[seeds][:, examples])
    assert one.delta == pytest.approx(other.delta, abs=1e-12)
    assert one.variance == pytest.approx(other.variance, abs=1e-12)
    assert guarded_half_width(one, 0.05) == pytest.approx(guarded_half_width(other, 0.05), abs=1e-9)


@given(differences, st.floats(0.001, 0.2))
def test_p_and_interval_tell_the_same(d: np.ndarray, alpha: float) -> None:
    estimate = crossed(d)
    p, half = guarded_p(estimate), guarded_half_width(estimate, alpha)
    assert 0 <= p <= 1
    if abs(p - alpha) > 1e-9 and estimate.variance > 1e-12:
        assert (p < alpha) == (abs(estimate.delta) > half)


def test_identical_predictions_tie() -> None:
    estimate = crossed(np.zeros((5, 30)))
    assert estimate.variance == 0
    assert guarded_p(estimate) == 1
    assert guarded_half_width(estimate, 0.05) == 0
    assert equivalent(estimate, 0.005, 0.05)


def test_the_same_difference_on_every_seed_and_example_is_certain() -> None:
    estimate = crossed(np.ones((5, 30)))
    assert guarded_p(estimate) == 0
    assert not equivalent(estimate, 0.005, 0.05)


@pytest.mark.parametrize("shape", [(1, 20), (5, 1), (1, 1)])
def test_one_seed_or_one_example_has_no_variance_to_speak_of(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 2 seeds and 2 examples"):
        crossed(np.zeros(shape))


def test_each_planned_look_spends_its_part_of_alpha() -> None:
    assert look_level(10, (5, 10, 20), 0.06) == (pytest.approx(0.02), True)
    assert look_level(7, (5, 10, 20), 0.06) == (pytest.approx(0.02), False)
    assert look_level(5, (5,), 0.05) == (0.05, True)


@pytest.mark.parametrize(
    ("p", "k"),
    [
        ([0.001, 0.01, 0.2], 2),  # 3 * .001, 2 * .01, .2
        ([0.02, 0.02, 0.02], 0),  # 3 * .02 already fails
        ([0.2, 0.001, 0.01], 2),
        ([0.01], 1),
        ([], 0),
    ],
)
def test_beats_on_at_least_k(p: list[float], k: int) -> None:
    assert partial_conjunction(np.array(p), 0.05) == k


@given(st.lists(st.floats(-1, 1).filter(lambda x: abs(x) > 1e-6), min_size=1, max_size=7))
def test_sign_flips_are_all_counted(d: list[float]) -> None:
    flipped = [
        abs(sum(s * x for s, x in zip(f, d, strict=True))) for f in product((-1, 1), repeat=len(d))
    ]
    expected = np.mean([total >= abs(sum(d)) - 1e-9 for total in flipped])
    assert sign_flip_p(np.array(d)) == pytest.approx(expected)


def test_six_datasets_are_the_fewest_that_reach_five_percent() -> None:
    assert sign_flip_p(np.ones(6)) == pytest.approx(2 / 64)
    assert sign_flip_p(np.ones(5)) > 0.05


def test_many_datasets_are_sampled_and_agree_with_the_normal_approximation() -> None:
    d = np.random.default_rng(6).normal(0.3, 1, size=40)
    z = d.sum() / np.sqrt(np.square(d).sum())
    assert sign_flip_p(d) == pytest.approx(2 * stats.norm.sf(abs(z)), abs=0.02)
    assert sign_flip_p(d) == sign_flip_p(d)
