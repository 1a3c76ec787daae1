"""Per-example scores: their mean is the metric, and the jackknife is exact."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolbench.stats.scores import accuracy_scores, brier_scores, macro_f1_scores


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


def test_accuracy_is_the_mean_of_hits() -> None:
    labels, predictions = np.array([0, 1, 2, 1]), np.array([0, 1, 0, 0])
    np.testing.assert_array_equal(accuracy_scores(labels, np.eye(3)[predictions]), [1, 1, 0, 0])


def test_the_brier_score_is_the_squared_distance_to_the_true_class() -> None:
    logits = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    labels = np.arange(40) % 3
    exp = np.exp(logits.astype(float))
    expected = [
        1 - 0.5 * sum((exp[i, k] / exp[i].sum() - (labels[i] == k)) ** 2 for k in range(3))
        for i in range(40)
    ]
    np.testing.assert_allclose(brier_scores(labels, logits), expected)
    np.testing.assert_allclose(brier_scores(labels, logits + 1000), expected, rtol=1e-4)


def test_the_brier_score_is_highest_for_the_true_probabilities() -> None:
    labels = (np.arange(1000) >= 700).astype(int)  # 70 % of class 0
    scores = {
        p: brier_scores(labels, np.tile(np.log([p, 1 - p]), (1000, 1))).mean()
        for p in (0.5, 0.6, 0.7, 0.8, 0.99)
    }
    assert max(scores, key=scores.__getitem__) == 0.7
