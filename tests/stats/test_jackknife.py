"""Pseudo-values equal those of a loop that computes the metric without each example."""

import time
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from poolbench.stats.jackknife import (
    macro_f1_scores,
    multilabel_f1_scores,
    pearson_scores,
    spearman_scores,
)


def left_out(metric: Callable[..., float], *arrays: np.ndarray) -> list[float]:
    """Pseudo-values by their definition."""
    n, whole = len(arrays[0]), metric(*arrays)
    without = [metric(*(np.delete(a, i, axis=0) for a in arrays)) for i in range(n)]
    return [n * whole - (n - 1) * each for each in without]


def macro_f1(labels: list[int], predictions: list[int], classes: list[int]) -> float:
    """Macro-F1 over the given classes, as a Python loop."""
    total = 0.0
    for c in classes:
        hits = sum(t == c and p == c for t, p in zip(labels, predictions, strict=True))
        true, predicted = labels.count(c), predictions.count(c)
        total += 2 * hits / (true + predicted) if true + predicted else 0.0
    return total / len(classes)


classes = st.integers(2, 5)
pairs_of_classes = classes.flatmap(
    lambda c: st.lists(
        st.tuples(st.integers(0, c - 1), st.integers(0, c - 1)), min_size=2, max_size=25
    )
)


@given(pairs_of_classes)
def test_pseudo_values_equal_leaving_each_example_out(pairs: list[tuple[int, int]]) -> None:
    labels, predictions = [t for t, _ in pairs], [p for _, p in pairs]
    present, n = sorted(set(labels)), len(pairs)
    expected = [
        n * macro_f1(labels, predictions, present)
        - (n - 1)
        * macro_f1(labels[:i] + labels[i + 1 :], predictions[:i] + predictions[i + 1 :], present)
        for i in range(n)
    ]
    scores = macro_f1_scores(np.array(labels), np.array(predictions))
    np.testing.assert_allclose(scores, expected, atol=1e-9)


def test_the_mean_of_the_pseudo_values_is_close_to_the_metric() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(4, p=[0.5, 0.3, 0.15, 0.05], size=2000)
    predictions = np.where(rng.random(2000) < 0.8, labels, rng.integers(0, 4, 2000))
    scores = macro_f1_scores(labels, predictions)
    metric = macro_f1(labels.tolist(), predictions.tolist(), [0, 1, 2, 3])
    assert scores.mean() == pytest.approx(metric, abs=1e-3)


def test_runs_scored_together_equal_runs_scored_alone() -> None:
    rng = np.random.default_rng(1)
    labels, predictions = rng.integers(0, 3, 60), rng.integers(0, 3, (2, 4, 60))
    together = macro_f1_scores(labels, predictions)
    assert together.shape == (2, 4, 60)
    for index in np.ndindex(2, 4):
        np.testing.assert_allclose(together[index], macro_f1_scores(labels, predictions[index]))


def multilabel_f1(average: str) -> Callable[..., float]:
    """F1 of labels as a Python loop over cells."""

    def metric(targets: np.ndarray, outputs: np.ndarray) -> float:
        cells = [
            (c, bool(t), o > 0)
            for true, out in zip(targets.tolist(), outputs.tolist(), strict=True)
            for c, (t, o) in enumerate(zip(true, out, strict=True))
        ]
        columns = range(targets.shape[1])
        found = []
        for which in [[c] for c in columns] if average == "macro" else [list(columns)]:
            hits = sum(t and p for c, t, p in cells if c in which)
            total = sum(t + p for c, t, p in cells if c in which)
            found.append(2 * hits / total if total else 0.0)
        return sum(found) / len(found)

    return metric


@pytest.mark.parametrize("average", ["micro", "macro"])
@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(2, 8), st.integers(1, 4), st.just(2)),
        elements=st.sampled_from([-1.0, 0.0, 1.0]),
    )
)
def test_f1_of_labels(average: str, drawn: np.ndarray) -> None:
    targets, outputs = (drawn[..., 0] > 0).astype(np.int8), drawn[..., 1].astype(np.float32)
    found = multilabel_f1_scores(targets, outputs, average)
    np.testing.assert_allclose(found, left_out(multilabel_f1(average), targets, outputs), atol=1e-9)


@pytest.mark.parametrize("average", ["micro", "macro"])
def test_f1_of_labels_is_that_of_torchmetrics(average: str) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    rng = np.random.default_rng(0)
    # The last label never applies.
    targets = (rng.random((3000, 4)) < [0.5, 0.2, 0.1, 0]).astype(np.int8)
    outputs = (targets - 0.5 + rng.normal(size=(3000, 4))).astype(np.float32)
    arrays = torch.from_numpy(outputs), torch.from_numpy(targets).long()
    expected = functional.multilabel_f1_score(*arrays, num_labels=4, average=average)
    found = multilabel_f1_scores(targets, outputs, average)
    assert found.mean() == pytest.approx(float(expected), abs=1e-3)


def correlation(of_scipy: Callable[..., object]) -> Callable[..., float]:
    """The correlation of scipy, with 0 for constants."""

    def metric(x: np.ndarray, y: np.ndarray) -> float:
        if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
            return 0.0
        with warnings.catch_warnings(action="ignore"):  # of nearly constant values
            return float(of_scipy(x, y)[0])

    return metric


CORRELATIONS = [(spearman_scores, stats.spearmanr), (pearson_scores, stats.pearsonr)]


@pytest.mark.parametrize(("scores", "of_scipy"), CORRELATIONS)
@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(2, 14), st.just(2)),
        elements=st.sampled_from([-2.0, 0.1, 0.3, 1.0]),  # many ties, and constant sides
    )
)
def test_correlations_with_ties(scores, of_scipy, drawn: np.ndarray) -> None:
    x, y = drawn.T
    np.testing.assert_allclose(scores(x, y), left_out(correlation(of_scipy), x, y), atol=1e-8)


@pytest.mark.parametrize(("scores", "of_scipy"), CORRELATIONS)
@pytest.mark.parametrize("n", [2, 3, 64, 65, 200])
def test_correlations_of_any_size(scores, of_scipy, n: int) -> None:
    rng = np.random.default_rng(n)
    x = rng.normal(size=n)
    y = (0.9 + 1e-3 * (x + rng.normal(size=n))).astype(np.float32)  # as cosines are
    np.testing.assert_allclose(scores(x, y), left_out(correlation(of_scipy), x, y), atol=1e-8)


@pytest.mark.parametrize(("scores", "of_scipy"), CORRELATIONS)
def test_a_constant_correlates_with_nothing(scores, of_scipy) -> None:
    x = np.random.default_rng(0).normal(size=30)
    for constant in (np.zeros(30), np.full(30, np.float32(0.1))):
        for sides in ((x, constant), (constant, x), (constant, constant)):
            np.testing.assert_array_equal(scores(*sides), np.zeros(30))


@given(st.randoms(use_true_random=False))
def test_only_the_order_counts_for_spearman(random) -> None:
    x, y = (np.array([random.randrange(6) for _ in range(12)]) for _ in range(2))
    expected = spearman_scores(x, y)
    np.testing.assert_allclose(spearman_scores(np.exp(x), 3.0 * y - 7), expected, atol=1e-9)
    np.testing.assert_allclose(spearman_scores(x, -y), -expected, atol=1e-9)
    np.testing.assert_allclose(spearman_scores(y, x), expected, atol=1e-9)


def test_the_rank_correlation_of_many_examples_takes_seconds() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=50_000).round(2)
    y = x + rng.normal(size=50_000)
    start = time.perf_counter()
    scores = spearman_scores(x, y)
    assert time.perf_counter() - start < 10
    assert scores.mean() == pytest.approx(stats.spearmanr(x, y)[0], abs=1e-4)
