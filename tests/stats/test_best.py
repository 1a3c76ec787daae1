"""Comparisons with the best: bounds, the best group, and poolers that are no better than chance."""

import numpy as np
import pytest
from scipy import stats

from poolbench.stats.best import beats_baselines, compare_with_best
from poolbench.stats.jackknife import macro_f1_scores
from poolbench.stats.paired_test import crossed, guarded_half_width
from poolbench.stats.scores import SCORES, baseline_scores

LABELS = np.arange(900) % 3


def correct(shares: dict[str, float], seeds: int = 5, n: int = 900, draw: int = 0):
    """Scores (S, n) of poolers that are right on a random share of the examples."""
    rng = np.random.default_rng(draw)
    return {name: (rng.random((seeds, n)) < share).astype(float) for name, share in shares.items()}


def test_the_loss_is_the_largest_one_sided_bound_over_all_rivals() -> None:
    scores = correct({"a": 0.7, "b": 0.72, "c": 0.6, "d": 0.71})
    best = compare_with_best(scores, margin=0.5, level=0.05)
    assert best.family == 3
    for name, own in scores.items():
        rivals = {other: crossed(scores[other] - own) for other in scores if other != name}
        bounds = {
            k: 100 * (e.delta + guarded_half_width(e, 2 * 0.05 / 3)) for k, e in rivals.items()
        }
        assert best.loss[name] == pytest.approx(max(bounds.values()))
        assert best.rival[name] == max(bounds, key=bounds.__getitem__)
        behind = max(0.0, *(100 * float(e.delta) for e in rivals.values()))
        assert best.behind[name] == pytest.approx(behind)


def test_with_two_poolers_that_differ_by_seed_it_is_the_one_sided_t_test_of_scipy() -> None:
    means = np.random.default_rng(0).normal(0.02, 0.01, size=6)
    scores = {"a": np.zeros((6, 50)), "b": np.repeat(means[:, None], 50, axis=1)}
    interval = stats.ttest_1samp(means, 0, alternative="less").confidence_interval(0.95)
    best = compare_with_best(scores, margin=0.5, level=0.05)
    assert best.loss["a"] == pytest.approx(100 * interval.high)
    assert (best.group == ("b",)) == (stats.ttest_1samp(means, 0).pvalue < 0.1)


def test_a_clear_winner_is_decided_and_alone_in_the_group() -> None:
    best = compare_with_best(correct({"a": 0.6, "b": 0.95, "c": 0.7}), margin=0.5, level=0.05)
    assert best.decided
    assert best.eligible == ["b"]
    assert best.group == ("b",)
    assert best.loss["b"] < 0 < 30 < best.loss["a"]


def test_equal_poolers_are_not_decided_and_all_may_be_best() -> None:
    best = compare_with_best(correct(dict.fromkeys("abcd", 0.8)), margin=0.5, level=0.05)
    assert not best.decided
    assert best.group == tuple("abcd")
    assert set(best.eligible) == {name for name, behind in best.behind.items() if behind <= 0.5}
    assert min(best.behind.values()) == 0


def test_identical_poolers_are_decided_within_any_margin() -> None:
    own = correct({"a": 0.8})["a"]
    best = compare_with_best({"a": own, "b": own.copy()}, margin=0.1, level=0.05)
    assert best.decided
    assert best.eligible == ["a", "b"]


def test_more_comparisons_and_a_lower_level_need_more_evidence() -> None:
    scores = correct({"a": 0.7, "b": 0.75})
    loss = compare_with_best(scores, 0.5, 0.05).loss["a"]
    assert compare_with_best(scores, 0.5, 0.05, family=9).loss["a"] > loss
    assert compare_with_best(scores, 0.5, 0.01).loss["a"] > loss


def test_the_best_of_equals_is_rarely_ruled_out_and_a_loss_rarely_understated() -> None:
    """100 studies of 6 poolers, of which c is best by 2 points; the level is 5 %."""
    studies = [
        compare_with_best(correct(dict.fromkeys("abdef", 0.7) | {"c": 0.72}, draw=i), 0.5, 0.05)
        for i in range(100)
    ]
    assert sum("c" not in best.group for best in studies) <= 8
    assert sum(any(best.loss[name] < 2 for name in "abdef") for best in studies) <= 8


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro"])
def test_only_what_beats_the_majority_class_and_chance_is_useful(metric: str) -> None:
    rng = np.random.default_rng(0)
    guess = rng.integers(0, 3, (5, 900))
    good = np.where(rng.random((5, 900)) < 0.3, LABELS, guess)
    constant = np.zeros((5, 900), np.int64)
    useful = [
        beats_baselines(
            SCORES[metric](LABELS, np.eye(3)[predicted]),
            baseline_scores(LABELS, np.eye(3)[LABELS], metric),
            0.05,
        )
        for predicted in (good, guess, constant)
    ]
    assert useful == [True, False, False]


def test_baselines_are_the_metric_of_predictors_that_read_no_text() -> None:
    labels = np.repeat([0, 1, 2], [700, 200, 100])
    logits = np.eye(3)[labels]
    found = {k: v.mean() for k, v in baseline_scores(labels, logits, "accuracy").items()}
    assert found == pytest.approx({"majority class": 0.7, "chance": 1 / 3})
    rng = np.random.default_rng(0)
    guesses = [macro_f1_scores(labels, rng.integers(0, 3, 1000)).mean() for _ in range(300)]
    found = {k: v.mean() for k, v in baseline_scores(labels, logits, "f1_macro").items()}
    assert found["chance"] == pytest.approx(np.mean(guesses), abs=0.004)
    assert found["majority class"] == pytest.approx(2 * 0.7 / 1.7 / 3, abs=0.001)


def test_baselines_of_other_tasks() -> None:
    rng = np.random.default_rng(0)
    targets, score = rng.normal(size=50), rng.normal(size=(50, 1))
    assert not np.any(baseline_scores(targets, score, "spearman")["chance"])
    queries = rng.random((50, 5))
    found = baseline_scores(np.ones(50, np.int64), queries, "ndcg@10")
    assert found.keys() == {"chance"}
    np.testing.assert_array_equal(found["chance"], queries[:, 4])
    assert baseline_scores(np.ones(50, np.int64), queries, "recall@1") == {}


@pytest.mark.parametrize(
    ("shares", "always"), [((0.9, 0.6, 0.1), [1, 1, 0]), ((0.1, 0.4, 0.3), [0, 1, 0])]
)
def test_the_baseline_of_labels_are_the_frequent_ones(shares, always: list[int]) -> None:
    targets = (np.arange(100)[:, None] < 100 * np.array(shares)).astype(np.int8)
    (found,) = baseline_scores(targets, targets - 0.5, "f1_micro").values()
    predicted = np.tile(always, (100, 1))
    hits, total = (targets * predicted).sum(), targets.sum() + predicted.sum()
    assert found.mean() == pytest.approx(2 * hits / total, abs=0.01)
