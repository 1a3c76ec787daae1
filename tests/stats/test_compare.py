"""Planted winners win, noise does not, identical predictions tie, and naming changes nothing."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from poolbench.stats.compare import (
    Comparison,
    Protocol,
    Run,
    Word,
    compare_all_pairs,
    compare_with_reference,
    top_group,
)
from poolbench.stats.paired_test import holm
from tests.stats.planted import flip, planted_runs, run

ONE_LOOK = Protocol(looks=(5,))


def verdicts(runs: list[Run], protocol: Protocol = ONE_LOOK) -> dict[str, Comparison]:
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
    c = verdicts(runs, replace(ONE_LOOK, metric=metric))["mean"]
    assert c.word is Word.TIED
    assert (c.delta, c.interval, c.p) == (0, (0, 0), 1)
    assert top_group(compare_all_pairs(runs, ONE_LOOK)) == ("cls", "mean")


def test_a_poolers_rare_but_sure_gain_is_better_but_negligible() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 20_000)
    wrong = rng.random(20_000) < 0.2
    # Ever the same 40 of 20,000 examples mended: 0.2 points, and nothing else moves.
    mended = wrong & (np.cumsum(wrong) > 40)
    runs = [
        run(pooler, seed, labels, flip(labels, where))
        for pooler, where in (("cls", wrong), ("mean", mended))
        for seed in range(5)
    ]
    c = verdicts(runs)["mean"]
    assert c.delta == pytest.approx(0.2)
    assert c.word is Word.BETTER_NEGLIGIBLE


def test_a_small_test_set_is_told_from_too_few_seeds() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 300)
    habits = {pooler: rng.random(300) < 0.2 for pooler in ("cls", "mean")}
    by_habit = [
        run(pooler, seed, labels, flip(labels, wrong))
        for pooler, wrong in habits.items()
        for seed in range(5)
    ]
    c = verdicts(by_habit)["mean"]
    assert c.word is Word.TOO_SMALL
    assert c.examples_needed is not None
    assert c.examples_needed > 300

    labels = rng.integers(0, 2, 20_000)
    luck = [
        run(pooler, seed, labels, flip(labels, rng.random(20_000) < 0.2 + 0.01 * rng.normal()))
        for pooler in ("cls", "mean")
        for seed in range(5)
    ]
    c = verdicts(luck)["mean"]
    assert c.word is Word.NOT_ENOUGH
    assert c.more_seeds is not None
    assert c.more_seeds[0] > 0


def test_swapping_the_poolers_mirrors_the_verdict() -> None:
    runs = planted_runs({"cls": 0.7, "mean": 0.74, "max": 0.8})
    swap = {"cls": "mean", "mean": "cls", "max": "max"}
    (one,) = [c for c in compare_all_pairs(runs, ONE_LOOK) if "max" not in (c.first, c.second)]
    swapped = [replace(r, pooler=swap[r.pooler]) for r in runs]
    (other,) = [c for c in compare_all_pairs(swapped, ONE_LOOK) if "max" not in (c.first, c.second)]
    assert other.delta == -one.delta
    assert (other.p_holm, other.word) == (one.p_holm, one.swapped().word)


def test_the_order_of_runs_changes_nothing() -> None:
    runs = planted_runs({"cls": 0.7, "mean": 0.75, "max": 0.72})
    shuffled = random.Random(0).sample(runs, len(runs))
    assert compare_with_reference(shuffled, ONE_LOOK) == compare_with_reference(runs, ONE_LOOK)
    assert compare_all_pairs(shuffled, ONE_LOOK) == compare_all_pairs(runs, ONE_LOOK)


def test_renumbering_seeds_and_examples_changes_nothing() -> None:
    runs = planted_runs({"cls": 0.7, "mean": 0.75})
    order = np.random.default_rng(0).permutation(600)
    permuted = [
        replace(
            r,
            seed=(r.seed + 2) % 5,
            labels=r.labels[order],
            predictions=r.predictions[order],
            order=("e",),
        )
        for r in runs
    ]
    (one,), (other,) = (compare_with_reference(r, ONE_LOOK) for r in (runs, permuted))
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
        assert len(found) == family
        assert {c.family for c in found} == {family}
        raw = np.array([c.p for c in found])
        np.testing.assert_allclose([c.p_holm for c in found], holm(raw))


def test_p_is_never_below_that_of_the_paired_t_test_over_seeds() -> None:
    for draw in range(10):
        runs = planted_runs({"cls": 0.7, "mean": 0.73}, draw=draw)
        means = {
            name: [np.mean(r.labels == r.predictions) for r in runs if r.pooler == name]
            for name in ("mean", "cls")
        }
        p = verdicts(runs)["mean"].p
        assert p is not None
        assert p >= stats.ttest_rel(means["mean"], means["cls"]).pvalue - 1e-9


def test_a_pooler_without_usable_runs_keeps_its_place_in_the_family() -> None:
    runs = planted_runs({"cls": 0.7, "mean": 0.75, "conv": 0.72})
    half_done = [r for r in runs if not (r.pooler == "conv" and r.seed > 2)]
    found = verdicts(half_done)
    assert found["conv"].word is Word.NONE
    assert found["conv"].why == "unequal seeds: seeds 3, 4 only for cls"
    assert found["mean"].family == 2
    assert found["mean"].p_holm == pytest.approx(2 * found["mean"].p)


@pytest.mark.parametrize(
    ("seeds", "why"),
    [
        (1, "single seed, no inference"),
        (2, "descriptive only, 2 of the 5 seeds a test needs"),
        (4, "descriptive only, 4 of the 5 seeds a test needs"),
    ],
)
def test_too_few_seeds_are_described_and_not_tested(seeds: int, why: str) -> None:
    c = verdicts(planted_runs({"cls": 0.6, "mean": 0.9}, range(seeds)))["mean"]
    assert (c.word, c.why, c.p) == (Word.NONE, why, None)
    assert c.delta == pytest.approx(30, abs=8)
    assert len(c.per_seed) == seeds


def test_a_study_without_the_reference_says_so() -> None:
    (c,) = compare_with_reference(planted_runs({"mean": 0.7}), ONE_LOOK)
    assert c.why == "missing: cls has no run"
    assert compare_with_reference([], ONE_LOOK) == []
    assert compare_all_pairs(planted_runs({"mean": 0.7}), ONE_LOOK) == []


def test_looks_outside_the_plan_are_exploratory_and_planned_ones_cost_alpha() -> None:
    protocol = Protocol()
    planned = verdicts(planted_runs({"cls": 0.7, "mean": 0.75}), protocol)["mean"]
    assert (planned.exploratory, planned.level) == (False, pytest.approx(0.05 / 3))
    unplanned = verdicts(planted_runs({"cls": 0.7, "mean": 0.75}, range(7)), protocol)["mean"]
    assert unplanned.exploratory
    assert unplanned.sentence.startswith("Exploratory")


def test_the_top_group_is_who_none_beats_and_leaves_out_who_was_not_judged() -> None:
    runs = planted_runs({"best": 0.9, "equal": 0.9, "cls": 0.6, "broken": 0.9}, examples=2000)
    runs = [replace(r, test_ids="others") if r.pooler == "broken" else r for r in runs]
    assert top_group(compare_all_pairs(runs, ONE_LOOK)) == ("best", "equal")
    assert top_group([]) == ()


def test_the_top_group_is_of_one_dataset_and_encoder() -> None:
    runs = [
        *planted_runs({"cls": 0.7, "mean": 0.75}, dataset="a"),
        *planted_runs({"cls": 0.7, "mean": 0.75}, dataset="b"),
    ]
    with pytest.raises(ValueError, match="one dataset and encoder"):
        top_group(compare_all_pairs(runs, ONE_LOOK))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metric": "f1"}, "metric is 'f1'"),
        ({"margin": 0.0}, "margin is 0.0"),
        ({"margin": float("nan")}, "margin is nan"),
        ({"alpha": 0.5}, "alpha is 0.5"),
        ({"power": 1.0}, "power is 1.0"),
        ({"fewest_seeds": 1}, "fewest_seeds is 1"),
        ({"looks": ()}, "looks are"),
        ({"looks": (5, 5)}, "looks are"),
    ],
)
def test_a_protocol_no_verdict_can_be_made_with_is_refused(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Protocol(**fields)
