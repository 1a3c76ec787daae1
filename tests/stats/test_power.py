"""Advice on seeds and examples: enough is enough, and one less is not."""

import numpy as np
import pytest

from poolbench.stats.paired_test import crossed
from poolbench.stats.power import (
    MOST_SEEDS,
    Components,
    components,
    examples_needed,
    predicted_power,
    seeds_needed,
    seeds_range,
    smallest_effect,
)

PARTS = Components(seed=1e-4, example=0.05, error=0.2)


def test_components_come_back_from_their_expected_mean_squares() -> None:
    parts = components(500 * 1e-4 + 0.2, 5 * 0.05 + 0.2, 0.2, seeds=5, examples=500)
    assert (parts.seed, parts.example, parts.error) == pytest.approx((1e-4, 0.05, 0.2))


def test_a_negative_component_is_none() -> None:
    parts = components(0.1, 0.1, 0.2, seeds=5, examples=500)
    assert (parts.seed, parts.example) == (0, 0)


def test_power_grows_with_seeds_examples_and_effect() -> None:
    base = predicted_power(PARTS, 5, 1000, 0.02, 0.05)
    assert base < predicted_power(PARTS, 10, 1000, 0.02, 0.05)
    assert base < predicted_power(PARTS, 5, 2000, 0.02, 0.05)
    assert base < predicted_power(PARTS, 5, 1000, 0.03, 0.05)
    assert base > predicted_power(PARTS, 5, 1000, 0.02, 0.01)


def test_without_an_effect_power_is_half_of_alpha() -> None:
    assert predicted_power(PARTS, 8, 1000, 0.0, 0.05) <= 0.025 + 1e-9


def test_the_advised_seeds_are_enough_and_one_less_is_not() -> None:
    needed = int(seeds_needed(PARTS, 2000, 0.025, 0.05))
    assert 2 < needed < MOST_SEEDS
    assert predicted_power(PARTS, needed, 2000, 0.025, 0.05) >= 0.8
    assert predicted_power(PARTS, needed - 1, 2000, 0.025, 0.05) < 0.8


def test_an_effect_under_the_floor_is_out_of_reach_of_seeds() -> None:
    floor = float(smallest_effect(PARTS, 2000, 0.05))
    assert floor == pytest.approx(2.8 * np.sqrt(0.05 / 2000), rel=0.001)
    assert seeds_needed(PARTS, 2000, 0.9 * floor, 0.05) == np.inf
    assert seeds_needed(PARTS, 2000, 1.2 * floor, 0.05) < np.inf


def test_the_advised_examples_bring_the_floor_down_to_the_effect() -> None:
    n = int(examples_needed(PARTS, 0.01, 0.05))
    assert smallest_effect(PARTS, n, 0.05) <= 0.01 < smallest_effect(PARTS, n - 1, 0.05)


def test_no_variance_needs_no_seeds() -> None:
    nothing = Components(seed=0.0, example=0.0, error=0.0)
    assert seeds_needed(nothing, 100, 0.005, 0.05) == 2


def test_the_range_brackets_and_is_the_same_each_time() -> None:
    d = np.random.default_rng(0).integers(-1, 2, (5, 400)).astype(float)
    about, low, high = seeds_range(crossed(d), 0.05, 0.05)
    assert low <= high
    assert low <= about <= high
    assert seeds_range(crossed(d), 0.05, 0.05) == (about, low, high)
