"""Over many datasets and encoders: counted, averaged over these, and claimed for no more."""

from dataclasses import replace

import numpy as np
import pytest

from poolbench.stats.across_datasets import Across, compare_across
from poolbench.stats.compare import Protocol, Run, compare_all_pairs, compare_with_reference
from poolbench.stats.scores import accuracy_scores
from tests.stats.planted import planted_runs

ONE_LOOK = Protocol(looks=(5,))


def study(gains: dict[str, float], encoders: tuple[str, ...] = ("minilm",)) -> list[Run]:
    """mean gains ``gains[dataset]`` accuracy over cls on each dataset, with each encoder."""
    return [
        run
        for number, (dataset, gain) in enumerate(gains.items())
        for encoder in encoders
        for run in planted_runs(
            {"cls": 0.7, "mean": 0.7 + gain}, dataset=dataset, encoder=encoder, draw=number
        )
    ]


def across(runs: list[Run], protocol: Protocol = ONE_LOOK) -> Across:
    (found,) = compare_across(compare_with_reference(runs, protocol), protocol)
    return found


def test_cells_are_counted_by_word() -> None:
    a = across(study({"up": 0.2, "down": -0.2, "level": 0.0}))
    assert (a.wins, a.losses) == (1, 1)
    assert a.wins + a.losses + a.ties + a.undecided + a.without_verdict == len(a.cells) == 3
    assert (a.beats_at_least, a.loses_at_least) == (1, 1)


def test_a_sure_winner_beats_on_all() -> None:
    a = across(study({"a": 0.2, "b": 0.25, "c": 0.2}))
    assert (a.wins, a.beats_at_least, a.loses_at_least) == (3, 3, 0)
    assert a.delta == pytest.approx(21, abs=3)
    assert "beats cls on at least 3 of 3." in a.sentence


def test_the_mean_of_one_dataset_is_its_comparison() -> None:
    runs = study({"a": 0.05})
    (c,) = compare_with_reference(runs, ONE_LOOK)
    a = across(runs)
    assert a.delta == pytest.approx(c.delta)
    assert a.interval == pytest.approx(c.interval)
    assert a.p == pytest.approx(c.p)


def test_the_same_examples_seen_through_two_encoders_are_not_counted_twice() -> None:
    # The same draw with both encoders: a second look at the same luck is no new evidence.
    one, two = across(study({"a": 0.03})), across(study({"a": 0.03}, ("minilm", "copy")))
    assert two.delta == pytest.approx(one.delta)
    assert two.interval == pytest.approx(one.interval)


def test_independent_datasets_narrow_the_interval() -> None:
    one, four = across(study({"a": 0.05})), across(study(dict.fromkeys("abcd", 0.05)))
    width = [a.interval[1] - a.interval[0] for a in (one, four) if a.interval]
    assert width[1] < width[0] / 1.5


def test_nothing_is_claimed_about_new_datasets_from_few() -> None:
    a = across(study(dict.fromkeys("abcde", 0.2)))
    assert a.p_new is None
    assert a.why_not_new == "5 of the 6 datasets such a claim needs"
    assert "Nothing is claimed about new datasets" in a.sentence


def test_six_datasets_allow_a_claim_about_new_ones() -> None:
    a = across(study(dict.fromkeys("abcdef", 0.2)))
    assert a.p_new == pytest.approx(2 / 64)
    assert "On new datasets like these mean beats cls on average" in a.sentence


def test_datasets_too_few_for_the_corrected_level_are_said_to_be_so() -> None:
    a = across(study(dict.fromkeys("abcdef", 0.2)), Protocol())
    assert a.p_new is None
    assert a.why_not_new == "6 datasets cannot reach level 0.017, 7 could"


def test_an_unfinished_cell_stops_the_mean_and_counts_against_both() -> None:
    runs = [r for r in study({"a": 0.2, "b": 0.2}) if (r.dataset, r.pooler) != ("b", "mean")]
    a = across(runs)
    assert (a.wins, a.without_verdict, a.beats_at_least) == (1, 1, 1)
    assert a.delta is None
    assert a.why_no_mean == "1 of 2 cells have no verdict"
    assert "No mean difference (1 of 2 cells have no verdict)." in a.sentence


def test_encoders_with_other_seeds_are_not_averaged() -> None:
    runs = study({"a": 0.2}, ("minilm", "other"))
    moved = [replace(r, seed=r.seed + 1) if r.encoder == "other" else r for r in runs]
    assert across(moved).why_no_mean == "seeds or examples differ between the encoders on a"


def test_all_pairs_are_corrected_together() -> None:
    runs = planted_runs({"cls": 0.7, "mean": 0.72, "max": 0.74})
    found = compare_across(compare_all_pairs(runs, ONE_LOOK), ONE_LOOK)
    assert [(a.first, a.second) for a in found] == [
        ("cls", "max"),
        ("cls", "mean"),
        ("max", "mean"),
    ]
    assert {a.family for a in found} == {3}
    assert compare_across([], ONE_LOOK) == []


def test_the_mean_is_of_dataset_means() -> None:
    runs = study({"a": 0.1, "b": 0.2})
    by_dataset = [
        np.mean(
            [
                accuracy_scores(r.labels, r.predictions).mean() * (1 if r.pooler == "mean" else -1)
                for r in runs
                if r.dataset == dataset
            ]
        )
        for dataset in "ab"
    ]
    assert across(runs).delta == pytest.approx(100 * 2 * np.mean(by_dataset))
