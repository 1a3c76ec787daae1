"""Ten words: one holds for any numbers, and each has its sentence."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    p_holm=0.002,
    word=Word.BETTER,
)
HEAD = (
    "on rotten_tomatoes x minilm: +1.8 points accuracy (95 % interval +0.9 to +2.7; "
    "10 paired seeds, 872 examples; p = .002, Holm over 5). "
)


def conditions(
    delta: float, half: float, narrow: float, p: float, level: float, floor: float
) -> dict[Word, bool]:
    """Each word's meaning, written down on its own."""
    found, tied = p <= level, abs(delta) + narrow < MARGIN
    large, up = abs(delta) - half > MARGIN, delta > 0
    return {
        Word.BETTER: found and up and large,
        Word.WORSE: found and not up and large,
        Word.BETTER_NEGLIGIBLE: found and up and tied,
        Word.WORSE_NEGLIGIBLE: found and not up and tied,
        Word.BETTER_UNCERTAIN: found and up and not large and not tied,
        Word.WORSE_UNCERTAIN: found and not up and not large and not tied,
        Word.TIED: not found and tied,
        Word.TOO_SMALL: not found and not tied and floor > MARGIN,
        Word.NOT_ENOUGH: not found and not tied and floor <= MARGIN,
    }


@settings(deadline=None, max_examples=500)
@given(
    st.floats(-3, 3),
    st.floats(0, 3),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0.001, 0.2),
    st.floats(0, 2),
)
def test_exactly_one_word_holds(
    delta: float, half: float, share: float, p: float, level: float, floor: float
) -> None:
    narrow = half * share
    word = decide(
        delta,
        (delta - half, delta + half),
        (delta - narrow, delta + narrow),
        p,
        level,
        MARGIN,
        floor,
    )
    holding = [w for w, holds in conditions(delta, half, narrow, p, level, floor).items() if holds]
    assert holding == [word]


@pytest.mark.parametrize(
    ("word", "verb", "ending"),
    [
        (Word.BETTER, "beats", "Larger than the 0.5-point margin."),
        (
            Word.BETTER_UNCERTAIN,
            "beats",
            "Size uncertain: perhaps smaller than the 0.5-point margin.",
        ),
        (
            Word.BETTER_NEGLIGIBLE,
            "beats",
            "But negligible: smaller than the 0.5-point margin (90 % interval +1.1 to +2.5).",
        ),
        (Word.WORSE, "loses to", "Larger than the 0.5-point margin."),
        (
            Word.WORSE_UNCERTAIN,
            "loses to",
            "Size uncertain: perhaps smaller than the 0.5-point margin.",
        ),
        (
            Word.WORSE_NEGLIGIBLE,
            "loses to",
            "But negligible: smaller than the 0.5-point margin (90 % interval +1.1 to +2.5).",
        ),
        (Word.TIED, "ties with", "Tied within the 0.5-point margin (90 % interval +1.1 to +2.5)."),
        (
            Word.NOT_ENOUGH,
            "against",
            "Not enough evidence: about 7 more seeds, range 4 to over 1,000, would find a "
            "difference of 0.5 points with 80 % power.",
        ),
        (
            Word.TOO_SMALL,
            "against",
            "Test set too small: about 4,100 examples would find a difference of 0.5 points with "
            "80 % power; more seeds alone hardly help.",
        ),
    ],
)
def test_each_word_has_its_sentence(word: Word, verb: str, ending: str) -> None:
    c = replace(EXAMPLE, word=word, more_seeds=(7.0, 4.0, inf), examples_needed=4100)
    assert c.sentence == f"mean {verb} cls {HEAD}{ending}"


def test_no_verdict_says_why_and_describes_what_there_is() -> None:
    bare = replace(EXAMPLE, word=Word.NONE, why="failed: cls seed 2", delta=None)
    assert bare.sentence == (
        "mean against cls on rotten_tomatoes x minilm: no verdict (failed: cls seed 2)."
    )
    described = replace(bare, why="single seed, no inference", delta=1.8, seeds=(0,), p_holm=None)
    assert described.sentence == (
        "mean against cls on rotten_tomatoes x minilm: no verdict (single seed, no inference); "
        "+1.8 points accuracy (1 paired seed, 872 examples)."
    )


def test_seeds_that_already_suffice_for_the_margin_are_not_asked_for() -> None:
    c = replace(EXAMPLE, word=Word.NOT_ENOUGH, more_seeds=(-2.0, -4.0, 3.0))
    assert c.sentence.endswith(
        "Not enough evidence: a difference smaller than the margin is likely, since these seeds "
        "would find a difference of 0.5 points with 80 % power."
    )


def test_a_planned_look_and_an_unplanned_one_are_told_apart() -> None:
    looks = replace(EXAMPLE, looks=(5, 10, 20), level=0.05 / 3)
    assert "(98.3 % interval" in looks.sentence
    assert "Holm over 5, look 2 of 3 at level .017)" in looks.sentence
    unplanned = replace(looks, seeds=tuple(range(7)), exploratory=True)
    assert unplanned.sentence.startswith(
        "Exploratory, looks were planned at 5, 10, 20 seeds: mean beats cls"
    )
    assert "Holm over 5, at level .017)" in unplanned.sentence


def test_small_and_large_p_and_a_zero_difference_are_written_plainly() -> None:
    assert "p < .001" in replace(EXAMPLE, p_holm=1e-9).sentence
    assert "p = 1," in replace(EXAMPLE, p_holm=1.0).sentence
    assert ": +0.0 points" in replace(EXAMPLE, delta=-0.001).sentence


def test_a_comparison_read_from_the_other_side_is_mirrored_and_back_again() -> None:
    c = replace(EXAMPLE, differences=np.ones((10, 4)))
    other = c.swapped()
    assert (other.first, other.second, other.word) == ("cls", "mean", Word.WORSE)
    assert (other.delta, other.interval) == (-1.8, (-2.7, -0.9))
    assert other.per_seed == (-100.0,) * 10
    assert other.swapped() == c
