"""Advice on seeds and examples: the advised number is enough, and one less is not."""

import numpy as np
import pytest
from scipy import stats

from poolbench.stats.paired_test import Crossed, crossed, guarded_p
from poolbench.stats.power import (
    MOST_SEEDS,
    examples_needed,
    needed,
    predicted_power,
    seeds_needed,
    seeds_range,
    smallest_difference,
    typical_difference,
)


def pilot(seed: float = 1e-4, example: float = 0.05, error: float = 0.2, n: int = 1000) -> Crossed:
    """Five seeds with the mean squares expected for these variance components."""
    return Crossed(0.0, n * seed + error, 5 * example + error, error, seeds=5, examples=n)


def simulated(pilot: Crossed, seeds: int, examples: int, effect: float, draws: int = 300):
    """Normal differences (R, S, n) with the variance components of a pilot."""
    rng = np.random.default_rng(0)
    seed = np.sqrt((pilot.ms_seed - pilot.ms_error) / pilot.examples)
    example = np.sqrt((pilot.ms_example - pilot.ms_error) / pilot.seeds)
    return (
        effect
        + seed * rng.standard_normal((draws, seeds, 1))
        + example * rng.standard_normal((draws, 1, examples))
        + np.sqrt(pilot.ms_error) * rng.standard_normal((draws, seeds, examples))
    )


def test_power_grows_with_seeds_examples_and_effect() -> None:
    base = predicted_power(pilot(), 5, 1000, 0.02, 0.05)
    assert base < predicted_power(pilot(), 10, 1000, 0.02, 0.05)
    assert base < predicted_power(pilot(), 5, 2000, 0.02, 0.05)
    assert base < predicted_power(pilot(), 5, 1000, 0.03, 0.05)
    assert base > predicted_power(pilot(), 5, 1000, 0.02, 0.01)
    assert predicted_power(pilot(), 8, 1000, 0.0, 0.05) <= 0.025 + 1e-9


def test_power_over_seeds_alone_is_the_noncentral_t_of_scipy() -> None:
    found = predicted_power(pilot(example=0.0, error=0.0), 6, 1000, 0.02, 0.05)
    oracle = stats.nct.sf(stats.t.isf(0.025, 5), 5, 0.02 / np.sqrt(1e-4 / 6))
    assert found == pytest.approx(oracle)
    assert predicted_power(pilot(0.0, 0.05, 0.0, n=10**7), 5, 10**7, 0.5, 0.05) == 1


def test_the_advised_number_is_enough_and_one_less_is_not() -> None:
    seeds = int(seeds_needed(pilot(n=2000), 0.025, 0.05))
    assert 2 < seeds < MOST_SEEDS
    assert predicted_power(pilot(n=2000), seeds, 2000, 0.025, 0.05) >= 0.8
    assert predicted_power(pilot(n=2000), seeds - 1, 2000, 0.025, 0.05) < 0.8
    n = int(examples_needed(pilot(seed=0.0), 0.01, 0.05))
    assert predicted_power(pilot(seed=0.0), 5, n, 0.01, 0.05) >= 0.8
    assert predicted_power(pilot(seed=0.0), 5, n - 1, 0.01, 0.05) < 0.8


@pytest.mark.parametrize(
    ("dominates", "seed", "example", "error"),
    [
        ("example", 0.0, 0.05, 0.02),
        ("seed", 2e-4, 0.001, 0.02),
        ("residual", 0.0, 0.001, 0.4),
        ("both", 2e-4, 0.05, 0.05),
    ],
)
def test_more_of_what_dominates_is_advised_and_has_the_promised_power(
    dominates: str, seed: float, example: float, error: float
) -> None:
    study = pilot(seed, example, error, n=500)
    seeds, examples = needed(study, 0.02, 0.05)
    assert (seeds > 5) == (dominates != "example")
    assert (examples > 500) == (dominates in ("example", "both"))
    p = guarded_p(crossed(simulated(study, int(seeds), int(examples), 0.02)))
    assert np.mean(p <= 0.05) == pytest.approx(0.8, abs=0.08)


def test_what_suffices_needs_nothing_more() -> None:
    assert needed(pilot(0.0, 0.001, 0.01), 0.1, 0.05) == (5, 1000)
    assert seeds_needed(pilot(0.0, 0.0, 0.0), 0.005, 0.05) == 2
    assert max(needed(pilot(seed=1.0), 1e-4, 0.05)) == np.inf


def test_no_number_of_seeds_alone_replaces_examples() -> None:
    floor = 2.8 * np.sqrt(0.05 / 1000)
    assert seeds_needed(pilot(), 0.9 * floor, 0.05) == np.inf
    assert seeds_needed(pilot(), 1.3 * floor, 0.05) < np.inf


def test_the_smallest_difference_is_found_with_the_power() -> None:
    for seeds, examples in ((5, 1000), (2, 300), (30, 5000)):
        effect = smallest_difference(pilot(), seeds, examples, 0.01)
        assert predicted_power(pilot(), seeds, examples, effect, 0.01) == pytest.approx(0.8)
    assert smallest_difference(pilot(0.0, 0.0, 0.0), 5, 1000, 0.05) == 0


def test_before_training_the_difference_is_that_of_measured_components() -> None:
    low, high = typical_difference(5, 2530, comparisons=4)
    assert 1 < low < high < 6
    assert typical_difference(10, 2530, comparisons=4)[1] < high
    assert typical_difference(5, 25_300, comparisons=4)[0] < low
    assert typical_difference(5, 2530, comparisons=9)[1] > high


def test_clusters_scale_with_the_examples() -> None:
    groups = np.arange(400) // 4
    rng = np.random.default_rng(0)
    d = np.repeat(rng.normal(size=(5, 100)), 4, axis=1)
    estimate = crossed(d, groups)
    alone = crossed(d[:, ::4])
    assert predicted_power(estimate, 5, 800, 0.1, 0.05) == pytest.approx(
        predicted_power(alone, 5, 200, 0.1, 0.05)
    )


def test_the_range_contains_the_estimate_and_is_reproducible() -> None:
    estimate = crossed(np.random.default_rng(0).integers(-1, 2, (5, 400)).astype(float))
    low, high = seeds_range(estimate, 0.05, 0.05)
    assert low <= seeds_needed(estimate, 0.05, 0.05) <= high
    assert seeds_range(estimate, 0.05, 0.05) == (low, high)
