"""Folds in the place of seeds: every example is tested once, verdicts are over all examples."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from poolbench.runs.protocol import Protocol
from poolbench.stats.across_datasets import compare_across
from poolbench.stats.best import best_of
from poolbench.stats.compare import ScoredRun, compare_all_pairs, compare_with_reference
from poolbench.stats.means import mean_over_seeds
from poolbench.stats.paired_test import (
    guarded_half_width,
    guarded_p,
    nested,
    two_sided_p,
)
from poolbench.stats.power import expected, needed, typical_difference
from poolbench.stats.verdict import Word
from tests.stats.planted import flip, run

RNG = np.random.default_rng(0)
FOLDS = np.repeat(np.arange(5), 40)
D = RNG.choice([-1, 0, 1], size=(3, 200), p=[0.1, 0.7, 0.2])


def fold_runs(
    accuracies: dict[str, float], k: int = 5, examples: int = 121, draw: int = 0, **fields: object
) -> list[ScoredRun]:
    """Runs of all folds, of unequal sizes."""
    rng = np.random.default_rng(draw)
    labels = [rng.integers(0, 2, examples + fold) for fold in range(k)]
    return [
        run(
            pooler,
            fold,
            labels[fold],
            flip(labels[fold], rng.random(examples + fold) > accuracy),
            **{"test_ids": f"fold {fold}", "folds": k} | fields,
        )
        for pooler, accuracy in accuracies.items()
        for fold in range(k)
    ]


def test_the_guards_are_t_tests_over_examples_and_over_folds() -> None:
    p = [two_sided_p(e.delta, *guard) for e in [nested(D, FOLDS)] for guard in e.guards]
    np.testing.assert_allclose(p[0], stats.ttest_1samp(D, 0, axis=1).pvalue)
    means = D.reshape(3, 5, 40).mean(axis=2)
    np.testing.assert_allclose(p[1], stats.ttest_1samp(means, 0, axis=1).pvalue)
    np.testing.assert_array_equal(guarded_p(nested(D, FOLDS)), np.max(p, axis=0))


def test_the_order_of_examples_has_no_effect_and_clusters_of_one_are_none() -> None:
    order = RNG.permutation(200)
    once = nested(D, FOLDS)
    for again in (nested(D[:, order], FOLDS[order]), nested(D, FOLDS, np.arange(200))):
        np.testing.assert_allclose(again.delta, once.delta)
        for a, b in zip(again.guards, once.guards, strict=True):
            np.testing.assert_allclose(a[0], b[0])
            np.testing.assert_allclose(a[1], b[1])


def test_examples_that_are_repeated_in_clusters_count_once() -> None:
    once, groups = nested(D, FOLDS), np.repeat(np.arange(200), 3)
    thrice = nested(D.repeat(3, axis=1), FOLDS.repeat(3), groups)
    half, expected_half = (guarded_half_width(e, 0.05) for e in (thrice, once))
    np.testing.assert_allclose(half, expected_half)


def test_verdicts_are_over_the_examples_of_all_folds() -> None:
    runs = fold_runs({"conv": 0.9, "mean": 0.75, "cls": 0.74})
    better, equal = compare_with_reference(runs, Protocol(looks=[5, 10]))
    assert better.word is Word.BETTER
    assert (better.examples, better.looks, better.exploratory) == (5 * 121 + 10, (5,), False)
    assert "5 paired folds, 615 examples" in better.sentence
    right = {
        p: np.concatenate([r.scores("accuracy") for r in runs if r.pooler == p])
        for p in ("conv", "cls")
    }
    assert better.delta == pytest.approx(100 * (right["conv"] - right["cls"]).mean())
    assert len(better.per_seed) == 5
    assert equal.word is Word.INCONCLUSIVE
    mirrored = better.swapped()
    assert mirrored.estimate.delta == -better.estimate.delta
    best = best_of(runs, compare_all_pairs(runs, Protocol()))
    assert best is not None
    assert best.group == ("conv",)
    assert set(best.useful) == {"cls", "conv", "mean"}


def test_two_folds_suffice_and_identical_predictions_tie() -> None:
    runs = fold_runs({"mean": 0.8}, k=2, examples=200)
    same = [replace(r, pooler="cls") for r in runs]
    (c,) = compare_with_reference([*runs, *same], Protocol())
    assert (c.word, c.delta) == (Word.TIED, 0.0)


def changed(fold: int, **fields: object) -> list[ScoredRun]:
    runs = fold_runs({"mean": 0.8, "cls": 0.7})
    return [replace(r, **fields) if (r.pooler, r.seed) == ("mean", fold) else r for r in runs]


@pytest.mark.parametrize(
    ("why", "runs"),
    [
        ("missing: folds 3, 4 of 5", [r for r in changed(0) if r.seed < 3]),
        (
            "unequal seeds: seed 2 only for cls",
            [r for r in changed(0) if (r.pooler, r.seed) != ("mean", 2)],
        ),
        ("numbers of folds: 0, 5", changed(1, folds=0)),
        ("test example digests differ", changed(1, test_ids="fold 2")),
        ("order digests differ at seed 1", changed(1, order=("1/0", "another"))),
    ],
)
def test_folds_that_cannot_be_paired_get_no_verdict(why: str, runs: list[ScoredRun]) -> None:
    (c,) = compare_with_reference(runs, Protocol())
    assert c.word is Word.NONE
    assert why in str(c.why)


def test_datasets_with_folds_are_averaged_over_encoders() -> None:
    runs = [
        one
        for d, dataset in enumerate("ab")
        for encoder in "xy"
        for one in fold_runs({"mean": 0.85, "cls": 0.7}, draw=d, dataset=dataset, encoder=encoder)
    ]
    (across,) = compare_across(compare_with_reference(runs, Protocol()))
    assert across.delta is not None
    assert across.delta == pytest.approx(np.mean([c.delta for c in across.tasks]))


def test_advice_follows_what_dominates_the_variance() -> None:
    quiet = nested(RNG.choice([-1, 0, 1], size=1000, p=[0.1, 0.8, 0.1]), np.arange(1000) % 5)
    quiet = replace(quiet, ms_seed=quiet.ms_error)
    same = expected(quiet, 5, 1000)
    assert same.ms_seed == pytest.approx(quiet.ms_seed)
    assert same.ms_example == pytest.approx(quiet.ms_example)
    folds, examples = needed(quiet, 0.01, 0.05)
    assert folds == 5
    assert examples > 1000
    noisy = replace(quiet, ms_seed=20 * quiet.ms_error)
    folds, examples = needed(noisy, 0.03, 0.05)
    assert folds > 5
    fixed, crossvalidated = (
        typical_difference(5, n, 5, cross_validated=cv) for n, cv in ((200, False), (1000, True))
    )
    assert crossvalidated[1] < fixed[1]


def test_the_interval_of_a_mean_over_folds_needs_no_equal_sizes() -> None:
    scores = [r.scores("accuracy") for r in fold_runs({"mean": 0.8})]
    assert mean_over_seeds([None] * 5, scores, "accuracy").interval is None
    mean = mean_over_seeds([None] * 5, scores, "accuracy", cross_validated=True)
    assert mean.interval is not None
    assert mean.interval[0] < mean.value < mean.interval[1]
