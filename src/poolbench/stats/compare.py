"""From runs to verdicts: each pooler against the reference, all pairs, and the top group."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from poolbench.stats.paired_test import (
    Crossed,
    crossed,
    guarded_half_width,
    guarded_p,
    holm,
    look_level,
)
from poolbench.stats.pairing import Run, differences, objection
from poolbench.stats.power import components, examples_needed, seeds_range, smallest_effect
from poolbench.stats.protocol import Protocol
from poolbench.stats.verdict import Comparison, Word, decide

__all__ = [
    "Comparison",
    "Protocol",
    "Run",
    "Word",
    "compare_all_pairs",
    "compare_with_reference",
    "top_group",
]


def compare_with_reference(runs: Iterable[Run], protocol: Protocol) -> list[Comparison]:
    """Every pooler of the study against the reference, on each dataset and encoder.

    Holm corrects over the P-1 comparisons of one dataset and encoder. A pooler without usable
    runs there keeps its place in that family, so finishing it later changes no other verdict's
    family.
    """
    runs = list(runs)
    others = sorted({r.pooler for r in runs} - {protocol.reference})
    return _compare(runs, [(other, protocol.reference) for other in others], protocol)


def compare_all_pairs(runs: Iterable[Run], protocol: Protocol) -> list[Comparison]:
    """Each pair of poolers once, on each dataset and encoder; Holm over all P(P-1)/2 pairs."""
    runs = list(runs)
    return _compare(runs, list(combinations(sorted({r.pooler for r in runs}), 2)), protocol)


def top_group(pairs: Sequence[Comparison]) -> tuple[str, ...]:
    """Poolers that none beats after Holm, from all pairs on one dataset and encoder.

    A pooler with no verdict against anyone is neither in nor out: it is left out here. Raises
    ValueError for pairs of several datasets or encoders.
    """
    if len({(c.dataset, c.encoder) for c in pairs}) > 1:
        raise ValueError("the top group is of one dataset and encoder, got several")
    judged = [c for c in pairs if c.word is not Word.NONE]
    beaten = {c.second for c in judged if c.word.wins} | {c.first for c in judged if c.word.loses}
    return tuple(sorted({name for c in judged for name in (c.first, c.second)} - beaten))


def _compare(runs: list[Run], pairs: list[tuple[str, str]], protocol: Protocol) -> list[Comparison]:
    found = []
    for dataset, encoder in sorted({(r.dataset, r.encoder) for r in runs}):
        cell = [r for r in runs if (r.dataset, r.encoder) == (dataset, encoder)]
        family = []
        for first, second in pairs:
            sides = {name: [r for r in cell if r.pooler == name] for name in (first, second)}
            family.append(_paired(dataset, encoder, sides, len(pairs), protocol))
        found += _judged(family, protocol)
    return found


def _paired(
    dataset: str, encoder: str, sides: dict[str, list[Run]], family: int, protocol: Protocol
) -> Comparison:
    """The comparison before any test: its differences, or why there are none."""
    first, second = sides
    level, _ = look_level(0, protocol.looks, protocol.alpha)
    blank = Comparison(
        first=first,
        second=second,
        dataset=dataset,
        encoder=encoder,
        metric=protocol.metric,
        margin=protocol.margin,
        level=level,
        power=protocol.power,
        family=family,
        looks=protocol.looks,
    )
    why = objection(sides, protocol)
    if why is not None:
        return replace(blank, why=why)
    d = differences(sides[first], sides[second], protocol.metric)  # (S, n)
    if len(d) == 1:
        why = "single seed, no inference"
    elif len(d) < protocol.fewest_seeds:
        why = f"descriptive only, {len(d)} of the {protocol.fewest_seeds} seeds a test needs"
    return replace(
        blank,
        why=why,
        seeds=tuple(sorted(r.seed for r in sides[first])),
        examples=d.shape[1],
        delta=float(100 * d.mean()),
        differences=d,
    )


def _judged(family: list[Comparison], protocol: Protocol) -> list[Comparison]:
    """The comparisons of one family with their verdicts; those without one count as p = 1."""
    estimates = [crossed(c.differences) if c.why is None else None for c in family]
    p = np.array([1.0 if e is None else guarded_p(e) for e in estimates])
    return [
        c if e is None else _verdict(c, e, raw, adjusted, protocol)
        for c, e, raw, adjusted in zip(family, estimates, p, holm(p), strict=True)
    ]


def _verdict(
    c: Comparison, estimate: Crossed, p: float, p_holm: float, protocol: Protocol
) -> Comparison:
    level, planned = look_level(estimate.seeds, protocol.looks, protocol.alpha)
    margin = protocol.margin / 100
    # A pair is sure of this level in its family, whatever the other pairs turn out to be.
    sure = level / c.family
    parts = components(
        estimate.ms_seed, estimate.ms_example, estimate.ms_error, estimate.seeds, estimate.examples
    )
    floor = float(smallest_effect(parts, estimate.examples, sure, protocol.power))
    delta = float(estimate.delta)
    interval = _around(delta, float(guarded_half_width(estimate, level)))
    narrow = _around(delta, float(guarded_half_width(estimate, 2 * level)))
    word = decide(delta, interval, narrow, p_holm, level, margin, floor)
    more_seeds, examples = None, None
    if word is Word.NOT_ENOUGH:
        about, low, high = seeds_range(estimate, margin, sure, protocol.power)
        more_seeds = (about - estimate.seeds, low - estimate.seeds, high - estimate.seeds)
    if word is Word.TOO_SMALL:
        examples = int(examples_needed(parts, margin, sure, protocol.power))
    return replace(
        c,
        delta=100 * delta,
        interval=(100 * interval[0], 100 * interval[1]),
        narrow_interval=(100 * narrow[0], 100 * narrow[1]),
        p=float(p),
        p_holm=float(p_holm),
        word=word,
        exploratory=not planned,
        more_seeds=more_seeds,
        examples_needed=examples,
    )


def _around(middle: float, half: float) -> tuple[float, float]:
    return middle - half, middle + half
