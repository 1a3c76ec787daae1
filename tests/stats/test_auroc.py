"""Area under the ROC curve: pseudo-values and the metric of training agree with a loop."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from poolbench.stats.jackknife import auroc_scores
from poolbench.stats.scores import baseline_scores

Array = np.ndarray[Any, np.dtype[Any]]


def area(labels: list[int], logits: Array, c: int) -> float:
    """Of one class against all others, as a Python loop over pairs; 1/2 without pairs."""
    odds = [z[c] - np.logaddexp.reduce(np.delete(z, c)) for z in logits]
    pairs = [
        (a > b) + (a == b) / 2
        for a, i in zip(odds, labels, strict=True)
        for b, j in zip(odds, labels, strict=True)
        if i == c != j
    ]
    return float(np.mean(pairs)) if pairs else 0.5


def drawn(classes: int) -> st.SearchStrategy[Array]:
    """Rows of a label and logits with many ties."""
    row = st.tuples(st.integers(2, 9), st.just(classes + 1))
    return hnp.arrays(np.float64, row, elements=st.sampled_from([0.0, 1.0, 2.0]))


@given(st.integers(2, 3).flatmap(drawn))
def test_pseudo_values_equal_leaving_each_example_out(rows: Array) -> None:
    logits, n = rows[:, 1:], len(rows)
    labels = [int(v) % logits.shape[1] for v in rows[:, 0]]
    expected = np.full(n, 0.5)
    if len(set(labels)) > 1:
        expected = np.mean(
            [
                [
                    n * area(labels, logits, c)
                    - (n - 1) * area(labels[:i] + labels[i + 1 :], np.delete(logits, i, 0), c)
                    for i in range(n)
                ]
                for c in sorted(set(labels))
            ],
            axis=0,
        )
    np.testing.assert_allclose(auroc_scores(np.array(labels), logits), expected, atol=1e-9)


def test_two_classes_give_the_statistic_of_mann_and_whitney() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 3000)
    logits = rng.normal(size=(3000, 2)) + 0.8 * np.eye(2)[labels]
    odds = logits[:, 1] - logits[:, 0]
    found = stats.mannwhitneyu(odds[labels == 1], odds[labels == 0]).statistic
    expected = found / (labels == 1).sum() / (labels == 0).sum()
    scores = auroc_scores(labels, logits)
    # Without duplicates the mean of the pseudo-values of a U statistic is the statistic.
    assert scores.mean() == pytest.approx(expected, abs=1e-9)
    # DeLong et al. (1988): the variance from the shares of pairs that each example wins.
    own = [stats.rankdata(odds)[labels == c] - stats.rankdata(odds[labels == c]) for c in (0, 1)]
    delong = sum(np.var(o / (labels != c).sum(), ddof=1) / len(o) for c, o in enumerate(own))
    assert scores.var(ddof=1) / 3000 == pytest.approx(delong, rel=2e-3)


def test_chance_is_a_half() -> None:
    labels = np.array([0, 0, 0, 1, 2])
    for scores in baseline_scores(labels, np.zeros((5, 3)), "auroc").values():
        np.testing.assert_array_equal(scores, np.full(5, 0.5))


@pytest.mark.parametrize("classes", [2, 3])
def test_the_metric_of_training_agrees(classes: int) -> None:
    torch = pytest.importorskip("torch")
    from poolbench.tasks.classification import AreaUnderRoc

    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, classes, (500,), generator=generator)
    # Differences of up to 100: the probabilities of most are exactly 0 or 1 in float32.
    logits = 40 * (
        torch.randn(500, classes + 1, generator=generator) + torch.eye(4)[labels, : classes + 1]
    )
    logits[:, -1] = -1e4  # a class that does not occur
    metric = AreaUnderRoc()
    for rows in torch.arange(500).split(64):
        metric.update(logits[rows], labels[rows])
    expected = np.mean([area(labels.tolist(), logits.double().numpy(), c) for c in range(classes)])
    assert float(metric.compute()) == pytest.approx(expected, abs=1e-6)
    metric.reset()
    metric.update(logits[:3], torch.zeros(3, dtype=torch.long))
    assert float(metric.compute()) == 0.5
