"""Known winners win, noise does not, equals tie, and p is corrected for poolers and looks."""

import random
from dataclasses import replace

import numpy as np
import pytest

from poolbench.runs.protocol import Protocol
from poolbench.stats.compare import (
    ScoredRun,
    collapsed,
    comparable,
    compare_all_pairs,
    compare_with_reference,
)
from poolbench.stats.paired_test import holm
from poolbench.stats.verdict import Comparison, Word
from tests.stats.planted import flip, planted_runs, run

ONE_LOOK = Protocol(looks=[5])
RUNS = planted_runs({"mean": 0.8, "cls": 0.7})
EMPTY = {"targets": np.empty(0), "outputs": np.empty(0)}


def verdicts(runs: list[ScoredRun], protocol: Protocol = ONE_LOOK) -> dict[str, Comparison]:
    return {c.first: c for c in compare_with_reference(runs, protocol)}


def test_a_pooler_that_sees_the_label_wins_and_noise_does_not() -> None:
    runs = planted_runs({"oracle": 1.0, "cls": 0.7, "noise": 0.5, "twin": 0.7}, examples=2000)
    found = verdicts(runs)
    assert found["oracle"].word is Word.BETTER
    assert found["noise"].word is Word.WORSE
    assert not found["twin"].word.wins
    assert found["oracle"].delta == pytest.approx(30, abs=2)


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro"])
def test_identical_predictions_tie(metric: str) -> None:
    cls = planted_runs({"cls": 0.8})
    runs = [*cls, *(replace(r, pooler="mean") for r in cls)]
    c = verdicts(runs, Protocol(looks=[5], metric=metric))["mean"]
    assert c.word is Word.TIED
    assert (c.delta, c.interval, c.p) == (0, (0, 0), 1)


def test_a_small_but_certain_gain_is_better_but_negligible() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 20_000)
    wrong = rng.random(20_000) < 0.2
    corrected = wrong & (np.cumsum(wrong) > 40)  # the same 40 of 20,000 examples at each seed
    runs = [
        run(pooler, seed, labels, flip(labels, where))
        for pooler, where in (("cls", wrong), ("mean", corrected))
        for seed in range(5)
    ]
    c = verdicts(runs)["mean"]
    assert c.delta == pytest.approx(0.2)
    assert c.word is Word.BETTER_NEGLIGIBLE


def test_seeds_that_gain_on_different_examples_have_an_interval() -> None:
    """Each seed is right where all others are wrong: seed means and example means are equal."""
    labels = np.zeros(500, np.int64)
    fifth = np.repeat(np.arange(5), 100)
    runs = [
        run(pooler, seed, labels, flip(labels, (fifth != seed) | (pooler == "cls")))
        for pooler in ("cls", "mean")
        for seed in range(5)
    ]
    c = verdicts(runs)["mean"]
    assert c.delta == pytest.approx(20)
    assert c.p is not None
    assert c.p > 0
    assert c.interval is not None
    assert c.interval[0] < 19 < 21 < c.interval[1]


def test_the_advice_is_on_what_dominates_the_variance() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 300)
    errors = {pooler: rng.random(300) < 0.2 for pooler in ("cls", "mean")}
    same_at_each_seed = [
        run(pooler, seed, labels, flip(labels, wrong))
        for pooler, wrong in errors.items()
        for seed in range(5)
    ]
    c = verdicts(same_at_each_seed)["mean"]
    assert c.needs is not None
    assert c.needs[0] == 5
    assert c.needs[1] > 300

    labels = rng.integers(0, 2, 20_000)
    varying_with_the_seed = [
        run(pooler, seed, labels, flip(labels, rng.random(20_000) < 0.2 + 0.01 * rng.normal()))
        for pooler in ("cls", "mean")
        for seed in range(5)
    ]
    c = verdicts(varying_with_the_seed)["mean"]
    assert c.needs is not None
    assert c.needs[0] > 5
    assert c.needs[1] == 20_000
    assert c.seeds_range is not None


def test_collapsed_runs_are_flagged_with_the_difference_without_them() -> None:
    runs = planted_runs({"cls": 0.8, "mean": 0.85})
    broken = [
        replace(r, outputs=0 * r.outputs) if (r.pooler, r.seed) == ("mean", 3) else r for r in runs
    ]
    c = verdicts(broken)["mean"]
    kept = np.delete(verdicts(runs)["mean"].per_seed, 3).mean()
    assert c.collapsed == f"1 of 5 runs of mean collapsed (seed 3); without it {kept:+.1f}."
    assert c.sentence.endswith(c.collapsed)
    assert verdicts(runs)["mean"].collapsed == ""


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ([0.8, 0.81, 0.5, 0.79, 0.8], [2]),
        ([0.8, 0.81, 0.5, 0.79, 0.55], [2, 4]),
        ([0.8, 0.81, 0.77, 0.79, 0.8], []),  # less than 5 points
        ([0.8, 0.7, 0.6, 0.9, 0.65], []),  # all runs vary
        ([0.8, 0.5], []),  # which of two is the normal one?
    ],
)
def test_a_run_far_below_the_others_has_collapsed(means: list[float], expected: list[int]) -> None:
    assert np.flatnonzero(collapsed(np.array(means))).tolist() == expected


def test_groups_of_dependent_examples_widen_the_interval() -> None:
    """Ten copies of each example are as good as one."""
    runs = planted_runs({"cls": 0.7, "mean": 0.75}, examples=60)
    copied = [
        replace(r, targets=np.repeat(r.targets, 10), outputs=np.repeat(r.outputs, 10, axis=0))
        for r in runs
    ]
    grouped = [replace(r, groups=np.repeat(np.arange(60), 10)) for r in copied]
    once, ignored, given = (verdicts(of)["mean"] for of in (runs, copied, grouped))
    assert given.p == pytest.approx(once.p)
    assert given.interval == pytest.approx(once.interval)
    assert ignored.interval is not None
    assert given.interval is not None
    assert np.ptp(ignored.interval) < np.ptp(given.interval)


def test_swapping_the_poolers_mirrors_the_verdict() -> None:
    runs = planted_runs({"cls": 0.7, "mean": 0.74})
    swap = {"cls": "mean", "mean": "cls"}
    (one,) = compare_all_pairs(runs, ONE_LOOK)
    (other,) = compare_all_pairs([replace(r, pooler=swap[r.pooler]) for r in runs], ONE_LOOK)
    assert other.delta == -one.delta
    assert (other.p_adjusted, other.word) == (one.p_adjusted, one.swapped().word)


def test_the_order_of_the_runs_has_no_effect() -> None:
    runs = planted_runs({"cls": 0.7, "mean": 0.75, "max": 0.72})
    shuffled = random.Random(0).sample(runs, len(runs))
    assert compare_with_reference(shuffled, ONE_LOOK) == compare_with_reference(runs, ONE_LOOK)
    assert compare_all_pairs(shuffled, ONE_LOOK) == compare_all_pairs(runs, ONE_LOOK)


def test_renumbering_seeds_and_examples_has_no_effect() -> None:
    order = np.random.default_rng(0).permutation(600)
    permuted = [
        replace(
            r,
            seed=(r.seed + 2) % 5,
            targets=r.targets[order],
            outputs=r.outputs[order],
            order=("e",),
        )
        for r in RUNS
    ]
    (one,), (other,) = (compare_with_reference(r, ONE_LOOK) for r in (RUNS, permuted))
    assert other.delta == pytest.approx(one.delta)
    assert other.interval == pytest.approx(one.interval)
    assert other.p == pytest.approx(one.p)
    assert other.word == one.word


def test_p_is_corrected_over_the_comparisons_with_the_reference_and_over_all_pairs() -> None:
    runs = planted_runs({"cls": 0.7, "mean": 0.75, "max": 0.72, "conv": 0.7})
    for found, family in (
        (compare_with_reference(runs, ONE_LOOK), 3),
        (compare_all_pairs(runs, ONE_LOOK), 6),
    ):
        assert [c.family for c in found] == [family] * family
        np.testing.assert_allclose(
            [c.p_adjusted for c in found], holm(np.array([c.p for c in found]))
        )


def test_a_pooler_without_usable_runs_is_counted_in_the_family() -> None:
    runs = planted_runs({"cls": 0.7, "mean": 0.75, "conv": 0.72})
    found = verdicts([r for r in runs if not (r.pooler == "conv" and r.seed > 2)])
    assert found["conv"].word is Word.NONE
    assert found["mean"].family == 2
    assert found["mean"].p_adjusted == pytest.approx(2 * found["mean"].p)


@pytest.mark.parametrize(("seeds", "why"), [(1, "single seed"), (4, "4 of the 5 seeds")])
def test_too_few_seeds_are_described_and_not_tested(seeds: int, why: str) -> None:
    c = verdicts(planted_runs({"cls": 0.6, "mean": 0.9}, range(seeds)))["mean"]
    assert why in str(c.why)
    assert (c.word, c.p) == (Word.NONE, None)
    assert c.delta == pytest.approx(30, abs=8)
    assert len(c.per_seed) == seeds


def test_a_study_without_the_reference_has_no_verdict() -> None:
    (c,) = compare_with_reference(planted_runs({"mean": 0.7}), ONE_LOOK)
    assert c.why == "missing: cls has no run"
    assert compare_with_reference([], ONE_LOOK) == []
    assert compare_all_pairs(planted_runs({"mean": 0.7}), ONE_LOOK) == []


def test_each_planned_look_costs_a_part_of_alpha_and_others_are_exploratory() -> None:
    protocol = Protocol(looks=[5, 10, 20])
    planned = verdicts(RUNS, protocol)["mean"]
    assert (planned.exploratory, planned.level) == (False, pytest.approx(0.05 / 3))
    assert planned.p_adjusted == pytest.approx(3 * verdicts(RUNS)["mean"].p_adjusted)
    unplanned = verdicts(planted_runs({"cls": 0.7, "mean": 0.75}, range(7)), protocol)["mean"]
    assert unplanned.exploratory


def test_by_default_there_is_one_look_at_the_planned_seeds() -> None:
    runs = planted_runs({"cls": 0.7, "mean": 0.75}, range(7))
    c = verdicts(runs, Protocol())["mean"]
    assert (c.looks, c.level, c.exploratory) == ((7,), 0.05, False)
    more = planted_runs({"max": 0.7}, range(9))
    missing = [replace(r, status="missing", **EMPTY) for r in more]
    assert verdicts([*runs, *missing], Protocol())["mean"].exploratory


def test_poolers_without_verdicts_on_the_others_are_left_out() -> None:
    runs = planted_runs(dict.fromkeys(("best", "cls", "equal", "broken", "lost"), 0.8))
    runs = [replace(r, test_ids="others") if r.pooler in ("broken", "lost") else r for r in runs]
    assert comparable(compare_all_pairs(runs, ONE_LOOK)) == ["best", "cls", "equal"]
    assert comparable(compare_all_pairs(runs[:10], Protocol(looks=[7]))) == ["best", "cls"]
    assert comparable([]) == []
