"""Advice on seeds and examples: the advised number is enough, and one less is not."""

import numpy as np
import pytest

from poolbench.stats.paired_test import Crossed, crossed
from poolbench.stats.power import (
    MOST_SEEDS,
    examples_needed,
    predicted_power,
    seeds_needed,
    seeds_range,
    smallest_effect,
)


def pilot(seed: float = 1e-4, example: float = 0.05, error: float = 0.2, n: int = 1000) -> Crossed:
    """Five seeds with the mean squares expected for these variance components."""
    return Crossed(0.0, n * seed + error, 5 * example + error, error, seeds=5, examples=n)


def test_the_floor_depends_on_the_example_component_alone() -> None:
    expected = pytest.approx(2.8 * np.sqrt(0.05 / 1000), rel=0.001)
    assert smallest_effect(pilot(), 0.05) == expected
    assert smallest_effect(pilot(seed=0.01, error=0.9), 0.05) == expected
    below_zero = Crossed(0.0, 0.1, 0.1, 0.2, seeds=5, examples=1000)
    assert smallest_effect(below_zero, 0.05) == 0


def test_power_grows_with_seeds_examples_and_effect() -> None:
    base = predicted_power(pilot(), 5, 0.02, 0.05)
    assert base < predicted_power(pilot(), 10, 0.02, 0.05)
    assert base < predicted_power(pilot(n=2000), 5, 0.02, 0.05)
    assert base < predicted_power(pilot(), 5, 0.03, 0.05)
    assert base > predicted_power(pilot(), 5, 0.02, 0.01)
    assert predicted_power(pilot(), 8, 0.0, 0.05) <= 0.025 + 1e-9


def test_the_advised_seeds_are_enough_and_one_less_is_not() -> None:
    needed = int(seeds_needed(pilot(n=2000), 0.025, 0.05))
    assert 2 < needed < MOST_SEEDS
    assert predicted_power(pilot(n=2000), needed, 0.025, 0.05) >= 0.8
    assert predicted_power(pilot(n=2000), needed - 1, 0.025, 0.05) < 0.8


def test_no_number_of_seeds_detects_an_effect_below_the_floor() -> None:
    floor = float(smallest_effect(pilot(), 0.05))
    assert seeds_needed(pilot(), 0.9 * floor, 0.05) == np.inf
    assert seeds_needed(pilot(), 1.2 * floor, 0.05) < np.inf


def test_the_advised_examples_lower_the_floor_to_the_effect() -> None:
    n = int(examples_needed(pilot(), 0.01, 0.05))
    assert smallest_effect(pilot(n=n), 0.05) <= 0.01 < smallest_effect(pilot(n=n - 1), 0.05)


def test_without_variance_the_fewest_seeds_are_enough() -> None:
    assert seeds_needed(pilot(0.0, 0.0, 0.0), 0.005, 0.05) == 2


def test_the_range_contains_the_estimate_and_is_reproducible() -> None:
    estimate = crossed(np.random.default_rng(0).integers(-1, 2, (5, 400)).astype(float))
    about, low, high = seeds_range(estimate, 0.05, 0.05)
    assert low <= about <= high
    assert seeds_range(estimate, 0.05, 0.05) == (about, low, high)
