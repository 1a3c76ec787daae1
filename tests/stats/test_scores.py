"""Per-example scores: their mean is the metric, and leaving one out is done right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolbench.stats.scores import accuracy_scores, macro_f1_scores


def macro_f1_by_hand(labels: list[int], predictions: list[int], classes: list[int]) -> float:
    """Macro-F1 over given classes, counted one example at a time."""
    total = 0.0
    for c in classes:
        hit = sum(t == c and p == c for t, p in zip(labels, predictions, strict=True))
        true, predicted = labels.count(c), predictions.count(c)
        total += 2 * hit / (true + predicted) if true + predicted else 0.0
    return total / len(classes)


@given(
    st.integers(2, 5).flatmap(
        lambda classes: st.lists(
            st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1)),
            min_size=2,
            max_size=25,
        )
    )
)
def test_pseudo_values_equal_leaving_each_example_out(pairs: list[tuple[int, int]]) -> None:
    labels, predictions = [t for t, _ in pairs], [p for _, p in pairs]
    classes, n = sorted(set(labels)), len(pairs)
    whole = macro_f1_by_hand(labels, predictions, classes)
    expected = [
        n * whole
        - (n - 1)
        * macro_f1_by_hand(
            labels[:i] + labels[i + 1 :], predictions[:i] + predictions[i + 1 :], classes
        )
        for i in range(n)
    ]
    scores = macro_f1_scores(np.array(labels), np.array(predictions))
    np.testing.assert_allclose(scores, expected, atol=1e-9)


def test_their_mean_is_the_metric_but_for_a_trace() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(4, p=[0.5, 0.3, 0.15, 0.05], size=2000)
    predictions = np.where(rng.random(2000) < 0.8, labels, rng.integers(0, 4, 2000))
    scores = macro_f1_scores(labels, predictions)
    metric = macro_f1_by_hand(labels.tolist(), predictions.tolist(), [0, 1, 2, 3])
    assert scores.mean() == pytest.approx(metric, abs=1e-3)


def test_runs_are_scored_together_as_apart() -> None:
    rng = np.random.default_rng(1)
    labels, predictions = rng.integers(0, 3, 60), rng.integers(0, 3, (2, 4, 60))
    together = macro_f1_scores(labels, predictions)
    assert together.shape == (2, 4, 60)
    for index in np.ndindex(2, 4):
        # A class that one run never predicts must not depend on its neighbours either.
        np.testing.assert_allclose(together[index], macro_f1_scores(labels, predictions[index]))


def test_accuracy_is_the_mean_of_hits() -> None:
    labels = np.array([0, 1, 2, 1])
    np.testing.assert_array_equal(accuracy_scores(labels, np.array([0, 1, 0, 0])), [1, 1, 0, 0])


def test_identical_predictions_have_identical_scores() -> None:
    labels, predictions = np.random.default_rng(2).integers(0, 3, (2, 50))
    difference = macro_f1_scores(labels, predictions) - macro_f1_scores(labels, predictions.copy())
    assert not difference.any()
