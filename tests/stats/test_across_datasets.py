"""Several tasks: verdicts are counted, and averaged over the datasets that were measured."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from poolbench.runs.protocol import Protocol
from poolbench.stats.across_datasets import (
    Across,
    compare_across,
    partial_conjunction,
    sign_flip_p,
)
from poolbench.stats.compare import ScoredRun, compare_all_pairs, compare_with_reference
from tests.stats.planted import flip, planted_runs, run

ONE_LOOK = Protocol(looks=[5])


def study(gains: dict[str, float], encoders: tuple[str, ...] = ("minilm",)) -> list[ScoredRun]:
    """mean gains ``gains[dataset]`` accuracy over cls on each dataset, with each encoder."""
    return [
        run
        for number, (dataset, gain) in enumerate(gains.items())
        for encoder in encoders
        for run in planted_runs(
            {"cls": 0.7, "mean": 0.7 + gain}, dataset=dataset, encoder=encoder, draw=number
        )
    ]


def across(runs: list[ScoredRun], protocol: Protocol = ONE_LOOK) -> Across:
    (found,) = compare_across(compare_with_reference(runs, protocol))
    return found


def test_tasks_are_counted_by_word() -> None:
    a = across(study({"up": 0.2, "down": -0.2, "level": 0.0}))
    assert (a.counts["wins"], a.counts["losses"]) == (1, 1)
    assert sum(a.counts.values()) == len(a.tasks) == 3
    assert (a.beats_at_least, a.loses_at_least) == (1, 1)


def test_a_clear_winner_beats_on_all_and_its_mean_is_of_dataset_means() -> None:
    runs = study({"a": 0.2, "b": 0.25, "c": 0.2})
    a = across(runs)
    assert (a.counts["wins"], a.beats_at_least, a.loses_at_least) == (3, 3, 0)
    assert "beats cls on at least 3 of 3" in a.sentence
    correct = {name: [] for name in ("mean", "cls")}
    for r in runs:
        correct[r.pooler].append(r.scores("accuracy").mean())
    assert a.delta == pytest.approx(100 * (np.mean(correct["mean"]) - np.mean(correct["cls"])))


def test_the_mean_of_one_dataset_is_its_comparison() -> None:
    runs = study({"a": 0.05})
    (c,) = compare_with_reference(runs, ONE_LOOK)
    a = across(runs)
    assert (a.delta, a.p) == pytest.approx((c.delta, c.p))
    assert a.interval == pytest.approx(c.interval)


def test_the_same_examples_with_two_encoders_are_not_counted_twice() -> None:
    # The same predictions with both encoders are no additional evidence.
    one, two = across(study({"a": 0.03})), across(study({"a": 0.03}, ("minilm", "copy")))
    assert two.delta == pytest.approx(one.delta)
    assert two.interval == pytest.approx(one.interval)


def test_independent_datasets_narrow_the_interval() -> None:
    one, four = across(study({"a": 0.05})), across(study(dict.fromkeys("abcd", 0.05)))
    width = [a.interval[1] - a.interval[0] for a in (one, four) if a.interval]
    assert width[1] < width[0] / 1.5


def test_seeds_that_gain_on_different_examples_leave_the_mean_uncertain() -> None:
    labels, fifth = np.zeros(500, np.int64), np.repeat(np.arange(5), 100)
    a = across(
        [
            run(
                name, seed, labels, flip(labels, (fifth != seed) | (name == "cls")), dataset=dataset
            )
            for dataset in "ab"
            for name in ("cls", "mean")
            for seed in range(5)
        ]
    )
    assert a.interval is not None
    assert a.interval[1] - a.interval[0] > 1
    assert a.p is not None
    assert a.p > 0


def test_a_claim_about_new_datasets_needs_six() -> None:
    five, six = (across(study(dict.fromkeys(names, 0.2))) for names in ("abcde", "abcdef"))
    assert five.p_new is None
    assert "5 of the 6 datasets" in str(five.why_not_new)
    assert "Nothing is claimed about new datasets" in five.sentence
    assert six.p_new == pytest.approx(2 / 64)
    assert "On new datasets like these mean beats cls on average" in six.sentence


def test_datasets_too_few_for_the_corrected_level_allow_no_claim() -> None:
    a = across(study(dict.fromkeys("abcdef", 0.2)), Protocol(looks=[5, 10, 20]))
    assert a.p_new is None
    assert a.why_not_new == "6 datasets cannot reach level 0.017, 7 could"


def test_an_unfinished_task_prevents_the_mean_and_counts_against_both() -> None:
    runs = [r for r in study({"a": 0.2, "b": 0.2}) if (r.dataset, r.pooler) != ("b", "mean")]
    a = across(runs)
    assert (a.counts["wins"], a.counts["no verdict"], a.beats_at_least) == (1, 1, 1)
    assert a.delta is None
    assert "No mean difference (1 of 2 tasks have no verdict)." in a.sentence


def test_encoders_with_different_seeds_are_not_averaged() -> None:
    runs = study({"a": 0.2}, ("minilm", "other"))
    moved = [replace(r, seed=r.seed + 1) if r.encoder == "other" else r for r in runs]
    assert across(moved).why_no_mean == "seeds or examples differ between the encoders on a"


def test_all_pairs_are_corrected_together() -> None:
    runs = planted_runs({"cls": 0.7, "mean": 0.72, "max": 0.74})
    found = compare_across(compare_all_pairs(runs, ONE_LOOK))
    assert [(a.first, a.second, a.family) for a in found] == [
        ("cls", "max", 3),
        ("cls", "mean", 3),
        ("max", "mean", 3),
    ]
    assert compare_across([]) == []


@pytest.mark.parametrize(
    ("p", "k"),
    [
        ([0.001, 0.01, 0.2], 2),  # 3 * .001, 2 * .01, .2
        ([0.02, 0.02, 0.02], 0),  # 3 * .02 already fails
        ([0.2, 0.001, 0.01], 2),
        ([0.01], 1),
        ([], 0),
    ],
)
def test_partial_conjunction(p: list[float], k: int) -> None:
    assert partial_conjunction(np.array(p), 0.05) == k


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1).filter(lambda x: abs(x) > 1e-6), min_size=2, max_size=7))
def test_sign_flips_equal_the_loop_over_all_signs(d: list[float]) -> None:
    flipped = [abs(np.dot(signs, d)) for signs in product((-1, 1), repeat=len(d))]
    expected = np.mean([total >= abs(sum(d)) - 1e-9 for total in flipped])
    assert sign_flip_p(np.array(d)) == pytest.approx(expected)


def test_sign_flips_of_many_datasets_agree_with_the_normal_approximation() -> None:
    d = np.random.default_rng(6).normal(0.3, 1, size=40)
    z = d.sum() / np.sqrt(np.square(d).sum())
    assert sign_flip_p(d) == pytest.approx(2 * stats.norm.sf(abs(z)), abs=0.02)
    assert sign_flip_p(d) == sign_flip_p(d)
