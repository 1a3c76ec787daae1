"""Nine words: exactly one applies to any numbers, and each has its sentence."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolbench.stats.paired_test import crossed
from poolbench.stats.verdict import Comparison, Word, decide

MARGIN = 0.5
EXAMPLE = Comparison(
    first="mean",
    second="cls",
    dataset="rotten_tomatoes",
    encoder="minilm",
    metric="accuracy",
    margin=MARGIN,
    level=0.05,
    power=0.8,
    family=5,
    looks=(10,),
    seeds=tuple(range(10)),
    examples=872,
    delta=1.8,
    interval=(0.9, 2.7),
    narrow_interval=(1.05, 2.55),
    p=0.0004,
    p_adjusted=0.002,
    word=Word.BETTER,
)


def conditions(
    delta: float, half: float, narrow: float, p: float, level: float
) -> dict[Word, bool]:
    """The definition of each word, independent of the others."""
    found, tied = p <= level, delta - narrow > -MARGIN and delta + narrow < MARGIN
    large, up = delta - half > MARGIN or delta + half < -MARGIN, delta > 0
    return {
        Word.BETTER: found and up and large,
        Word.WORSE: found and not up and large,
        Word.BETTER_NEGLIGIBLE: found and up and tied,
        Word.WORSE_NEGLIGIBLE: found and not up and tied,
        Word.BETTER_UNCERTAIN: found and up and not large and not tied,
        Word.WORSE_UNCERTAIN: found and not up and not large and not tied,
        Word.TIED: not found and tied,
        Word.INCONCLUSIVE: not found and not tied,
    }


@settings(deadline=None, max_examples=500)
@given(
    st.floats(-3, 3),
    st.floats(0, 3),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0.001, 0.2),
)
def test_exactly_one_word_applies(
    delta: float, half: float, share: float, p: float, level: float
) -> None:
    narrow = half * share
    word = decide(delta, half, narrow, p, level, MARGIN)
    applying = [w for w, a in conditions(delta, half, narrow, p, level).items() if a]
    assert applying == [word]


def test_a_sentence_has_the_claim_its_numbers_and_the_size() -> None:
    assert EXAMPLE.sentence == (
        "mean beats cls on rotten_tomatoes × minilm: +1.8 points accuracy (95 % interval +0.9 to "
        "+2.7; 10 paired seeds, 872 examples; p = .002, Holm over 5). Larger than the 0.5-point "
        "margin."
    )


@pytest.mark.parametrize(
    ("word", "verb", "parts"),
    [
        (Word.BETTER_UNCERTAIN, "beats", ["Size uncertain", "0.5-point margin"]),
        (Word.BETTER_NEGLIGIBLE, "beats", ["negligible", "90 % interval +1.1 to +2.5"]),
        (Word.WORSE, "loses to", ["Larger than the 0.5-point margin"]),
        (Word.WORSE_UNCERTAIN, "loses to", ["Size uncertain", "0.5-point margin"]),
        (Word.WORSE_NEGLIGIBLE, "loses to", ["negligible", "90 % interval +1.1 to +2.5"]),
        (Word.TIED, "ties with", ["Tied within the 0.5-point margin", "+1.1 to +2.5"]),
    ],
)
def test_each_word_has_its_sentence(word: Word, verb: str, parts: list[str]) -> None:
    c = replace(EXAMPLE, word=word)
    assert c.sentence.startswith(f"mean {verb} cls on rotten_tomatoes × minilm: +1.8 points")
    assert [part for part in parts if part not in c.sentence] == []


@pytest.mark.parametrize(
    ("needs", "quantiles", "parts"),
    [
        ((17.0, 872.0), (14.0, inf), ["about 7 more seeds (range 4 to over 100) to detect"]),
        ((11.0, 872.0), (10.0, 18.0), ["about 1 more seed (range 0 to 8) to detect"]),
        ((10.0, 34_123.0), None, ["about 34,000 test examples with 10 seeds to detect"]),
        ((43.0, 3749.6), None, ["about 43 seeds and 3,700 test examples to detect"]),
        ((inf, inf), None, ["more seeds and test examples than can be advised"]),
        ((10.0, 872.0), None, ["probably smaller than the margin, since these runs detect"]),
    ],
)
def test_an_inconclusive_verdict_names_what_it_needs(needs, quantiles, parts) -> None:
    c = replace(EXAMPLE, word=Word.INCONCLUSIVE, needs=needs, seeds_range=quantiles)
    parts = [*parts, "a difference of 0.5 points with 80 % power", "vs cls"]
    assert [part for part in parts if part not in c.sentence] == []
    assert c.verdict.startswith("inconclusive: ")
    assert c.verdict.removeprefix("inconclusive: ") in c.sentence


def test_no_verdict_gives_the_reason_and_describes_the_difference() -> None:
    bare = replace(EXAMPLE, word=Word.NONE, why="failed: cls seed 2", delta=None, interval=None)
    assert "no verdict (failed: cls seed 2)" in bare.sentence
    described = replace(bare, why="single seed, no inference", delta=1.8, seeds=(0,))
    assert "no verdict (single seed, no inference); +1.8 points accuracy" in described.sentence
    assert "(1 paired seed, 872 examples)" in described.sentence


def test_planned_and_unplanned_looks_are_marked() -> None:
    looks = replace(EXAMPLE, looks=(5, 10, 20), level=0.05 / 3)
    assert "98.3 % interval" in looks.sentence
    assert "p = .002, Holm over 5, corrected for 3 looks" in looks.sentence
    unplanned = replace(looks, seeds=tuple(range(7)), exploratory=True)
    assert unplanned.sentence.startswith("Exploratory, planned at 5, 10, 20 seeds:")


def test_collapsed_runs_end_the_sentence() -> None:
    assert replace(EXAMPLE, collapsed="1 of 5 runs.").sentence.endswith("margin. 1 of 5 runs.")


def test_small_and_large_p_and_a_zero_difference_are_formatted() -> None:
    assert "p < .001" in replace(EXAMPLE, p_adjusted=1e-9).sentence
    assert "p = 1," in replace(EXAMPLE, p_adjusted=1.0).sentence
    assert ": +0.0 points" in replace(EXAMPLE, delta=-0.001).sentence


def test_swapping_twice_restores_a_comparison() -> None:
    estimate = crossed(np.random.default_rng(0).normal(size=(10, 4)))
    c = replace(EXAMPLE, per_seed=(100.0,) * 10, estimate=estimate)
    other = c.swapped()
    assert (other.first, other.second, other.word) == ("cls", "mean", Word.WORSE)
    assert (other.delta, other.interval) == (-1.8, (-2.7, -0.9))
    assert other.per_seed == (-100.0,) * 10
    assert other.estimate
    assert other.estimate.delta == -estimate.delta
    assert other.estimate.guards == estimate.guards
    assert other.swapped() == c
