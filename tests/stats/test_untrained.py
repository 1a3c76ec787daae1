"""Runs that trained nothing are compared over the test examples alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from poolbench.runs.protocol import Protocol
from poolbench.stats.across_datasets import compare_across
from poolbench.stats.best import best_of
from poolbench.stats.compare import (
    ScoredRun,
    compare_all_pairs,
    compare_probabilities,
    compare_with_reference,
)
from poolbench.stats.verdict import Comparison, Word
from tests.stats.planted import planted_runs

SPEARMAN = Protocol(metric="spearman")
N = 600
TARGETS = np.random.default_rng(0).normal(size=N)
NOISE = {"mean": 0.5, "max": 0.9, "cls": 1.5}


def similarity(pooler: str, seed: int | None = None, n: int = N, **fields: Any) -> ScoredRun:
    """A run whose outputs are the targets with noise; trained if it has a seed."""
    rng = np.random.default_rng([*map(ord, pooler), 0 if seed is None else 1 + seed])
    outputs = TARGETS[:n] + NOISE[pooler] * rng.normal(size=n)
    parts = {"dataset": "sts", "encoder": "minilm", "test_ids": "ids", "tokens": "tokens"}
    parts |= {"trained": seed is not None, "order": () if seed is None else (f"{seed}/0",)}
    arrays = {"targets": TARGETS[:n], "outputs": outputs[:, None].astype(np.float32)}
    parts |= {"pooler": pooler, "seed": seed or 0, "status": "ok", "task": "similarity"} | arrays
    return ScoredRun(**(parts | fields))


def seeds(pooler: str) -> list[ScoredRun]:
    return [similarity(pooler, seed) for seed in range(5)]


def only(runs: list[ScoredRun], protocol: Protocol = SPEARMAN) -> Comparison:
    (c,) = compare_with_reference(runs, protocol)
    return c


def test_a_difference_is_tested_over_the_examples() -> None:
    runs = [similarity("mean"), similarity("cls")]
    c = only(runs)
    d = runs[0].scores("spearman") - runs[1].scores("spearman")
    oracle = stats.ttest_1samp(d, 0)
    assert c.word is Word.BETTER
    assert c.p == pytest.approx(oracle.pvalue)
    assert c.interval == pytest.approx([100 * end for end in oracle.confidence_interval(0.95)])
    assert "points Spearman" in c.sentence
    assert "600 examples alone, nothing was trained" in c.sentence


def test_there_is_one_look_whatever_was_planned_for_seeds() -> None:
    runs = [similarity("mean"), similarity("cls")]
    planned = only(runs, SPEARMAN.model_copy(update={"looks": [5, 10, 20]}))
    assert (planned.looks, planned.level, planned.exploratory) == ((1,), 0.05, False)
    assert planned == only(runs)


def test_the_advice_is_about_examples() -> None:
    c = only([similarity("mean", n=60), replace(similarity("max", n=60), pooler="cls")])
    assert c.word is Word.INCONCLUSIVE
    assert c.needs is not None
    assert c.needs[0] == 1
    assert c.needs[1] > 60
    assert "test examples" in c.verdict
    assert "seed" not in c.sentence


def test_equal_outputs_tie() -> None:
    c = only([similarity("mean"), replace(similarity("mean"), pooler="cls")])
    assert (c.word, c.delta, c.p) == (Word.TIED, 0.0, 1.0)


def test_a_single_trained_run_still_has_no_verdict() -> None:
    c = only([similarity("mean", 0), similarity("cls", 0)])
    assert (c.word, c.why) == (Word.NONE, "single seed, no inference")


@pytest.mark.parametrize("trained", ["mean", "cls"])
def test_a_run_that_trained_nothing_counts_at_each_seed_of_one_that_did(trained: str) -> None:
    (other,) = {"mean", "cls"} - {trained}
    fixed = similarity(other)
    once = only([*seeds(trained), fixed])
    copies = [replace(fixed, seed=r.seed, order=r.order, trained=True) for r in seeds(trained)]
    assert once == only([*seeds(trained), *copies])
    assert once.word is not Word.NONE
    assert len(once.per_seed) == 5
    few = only([*seeds(trained)[:3], fixed])
    assert few.why == "descriptive only, 3 of the 5 seeds a test needs"


def test_pairs_that_share_texts_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    pairs = np.array([rng.choice(40, 2, replace=False) for _ in range(N)])
    of_texts = {pooler: rng.normal(size=40)[pairs].sum(axis=1) for pooler in ("mean", "cls")}
    runs = [
        replace(similarity(pooler), outputs=(TARGETS + effect)[:, None])
        for pooler, effect in of_texts.items()
    ]
    shared = only([replace(r, groups=pairs) for r in runs])
    assert np.ptp(shared.interval) > 1.5 * np.ptp(only(runs).interval)


def test_one_text_in_every_pair_leaves_nothing_to_compare() -> None:
    hub = np.stack([np.zeros(N, np.int64), np.arange(1, N + 1)], axis=1)
    c = only([replace(similarity(pooler), groups=hub) for pooler in ("mean", "cls")])
    assert (c.word, c.why) == (Word.NONE, "all test examples depend on each other")


def test_a_metric_of_another_task_gives_no_verdict() -> None:
    c = only([similarity("mean"), similarity("cls")], Protocol())
    assert (c.word, c.why) == (Word.NONE, "similarity has no accuracy")
    other = replace(similarity("mean"), pooler="cls", task="regression")
    assert "tasks differ: regression, similarity" in str(only([similarity("mean"), other]).why)


def test_the_best_is_found_among_trained_and_untrained_poolers() -> None:
    untrained = [similarity(pooler) for pooler in NOISE]
    for runs in (untrained, [*untrained[1:], *seeds("mean")]):
        best = best_of(runs, compare_all_pairs(runs, SPEARMAN))
        assert best is not None
        assert best.decided
        assert best.group == ("mean",)
        assert best.useful == ("cls", "max", "mean")


def test_untrained_poolers_are_compared_over_datasets() -> None:
    datasets = [
        replace(similarity(pooler), dataset=dataset) for dataset in "ab" for pooler in NOISE
    ]
    (_, mean) = compare_across(compare_with_reference(datasets, SPEARMAN))
    assert mean.delta is not None
    assert mean.interval is not None
    assert mean.interval[0] > 0
    trained = [replace(r, dataset="c") for r in (*seeds("mean"), *seeds("cls"))]
    mixed = [r for r in (*datasets, *trained) if r.pooler != "max"]
    (mean,) = compare_across(compare_with_reference(mixed, SPEARMAN))
    assert mean.why_no_mean == "nothing was trained on some of the tasks"


def test_probabilities_are_those_of_classes() -> None:
    empty = {"targets": np.empty(0), "outputs": np.empty((0, 1)), "task": "classification"}
    missing = similarity("max", status="missing", **empty)
    assert compare_probabilities([similarity("mean"), similarity("cls"), missing], SPEARMAN) == []
    assert compare_probabilities(planted_runs({"mean": 0.8, "cls": 0.7}), SPEARMAN)
