"""Per-example scores: their mean is the metric."""

import numpy as np

from poolbench.runs.protocol import METRIC_NAMES, METRICS, RANKING
from poolbench.stats.scores import SCORES, accuracy_scores, brier_scores


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


def test_every_metric_of_a_comparison_has_scores_and_a_name() -> None:
    metrics = {metric for of in METRICS.values() for metric in of}
    assert metrics <= SCORES.keys() & METRIC_NAMES.keys()


def test_the_scores_of_a_query_are_its_outputs() -> None:
    outputs = np.random.default_rng(0).random((6, 5)).astype(np.float32)
    for column, name in enumerate(RANKING):
        np.testing.assert_array_equal(SCORES[name](np.ones(6), outputs), outputs[:, column])
