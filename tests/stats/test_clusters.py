"""Sums over dependent examples equal a Python double loop over all pairs of examples."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolbench.stats.clusters import Clusters

# Few texts: pairs share one text or both, in either order, and a text may be paired with itself.
pairs_of_texts = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12)


def loop(values: np.ndarray, groups: np.ndarray) -> float:
    texts = [set(np.atleast_1d(group).tolist()) for group in groups]
    return sum(
        values[i] * values[j]
        for i, j in product(range(len(values)), repeat=2)
        if texts[i] & texts[j]
    )


@given(pairs_of_texts)
def test_pairs_that_share_a_text(pairs: list[tuple[int, int]]) -> None:
    groups = np.array(pairs)
    values = np.random.default_rng(0).normal(size=(3, len(pairs)))
    found = Clusters(groups, len(groups)).squares(values)
    for row, of_row in zip(values, found, strict=True):
        assert of_row == pytest.approx(max(loop(row, groups), float(row @ row)))
    dependent = loop(np.ones(len(pairs)), groups)
    assert Clusters(groups, len(pairs)).number == pytest.approx(len(pairs) ** 2 / dependent)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_clusters(clusters: list[int]) -> None:
    groups, values = np.array(clusters), np.random.default_rng(0).normal(size=len(clusters))
    assert Clusters(groups, len(groups)).squares(values) == pytest.approx(loop(values, groups))
    assert Clusters(groups, len(groups)).number == len(set(clusters))


def test_the_number_of_independent_clusters() -> None:
    assert Clusters(None, 7).number == 7
    apart = np.arange(14).reshape(7, 2)
    assert Clusters(apart, 7).number == 7
    assert Clusters(np.repeat(apart, 3, axis=0), 21).number == 7
    hub = np.stack([np.zeros(9, int), np.arange(1, 10)], axis=1)
    assert Clusters(hub, 9).number == 1  # one text is in every pair


def test_the_variance_is_never_below_that_of_independent_pairs() -> None:
    """Residuals sum to 0, so a text in every pair would seem to leave no variance at all."""
    hub = np.stack([np.zeros(9, int), np.arange(1, 10)], axis=1)
    values = np.random.default_rng(0).normal(size=9)
    values -= values.mean()
    assert loop(values, hub) == pytest.approx(0, abs=1e-12)
    assert Clusters(hub, len(hub)).squares(values) == pytest.approx(values @ values)
