"""A/A on real records: whatever the whole protocol finds between two names is false.

Luck of the seed: one pooler was trained with many seeds, which are dealt out to the names at random
and paired by position. Luck of the examples: two poolers swap their predictions on random examples,
so that neither name is better, and each fails where the other does not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from statistics_checks import ALPHA, LOOKS, naive_wins
from statistics_rates import Row

from poolbench.core.errors import BadInput
from poolbench.runs.study import read_study
from poolbench.stats.compare import compare_with_reference
from poolbench.stats.pairing import Run, objection
from poolbench.stats.protocol import Protocol
from poolbench.stats.verdict import Comparison, Word

NAMES = ("a", "b", "c", "d", "e", "f")


def read_runs(study: Path, pooler: str) -> list[Run]:
    """The finished runs of one pooler, seeds ascending.

    Raises:
        BadInput: there are not twice as many as the smallest look has seeds, or of several
            datasets, encoders or variants.
    """
    cells = [c for c in read_study(study).cells if c.pooler == pooler and c.ok]
    runs = [
        Run.from_record(c.record, c.predictions.labels, c.predictions.predictions)
        for c in cells
        if c.predictions is not None
    ]
    if len({r.seed for r in runs}) < len(runs):
        raise BadInput(f"{study} has several runs of {pooler} at one seed: keep one of each")
    if len(runs) < 2 * min(LOOKS):
        raise BadInput(
            f"{study} has {len(runs)} finished runs of {pooler}, two names need "
            f"{2 * min(LOOKS)}: python train.py -m pooler={pooler} 'seed=range(40)' study=..."
        )
    return runs


def real_false_positives(
    runs: Sequence[Run], splits: int, rng: np.random.Generator
) -> Iterator[Row]:
    """How often names of one pooler are said to differ, over random deals of its seeds.

    Raises:
        BadInput: the runs cannot be compared with each other.
    """
    setting = f"{runs[0].pooler}, {len(runs)} seeds dealt out"
    deals = [rng.permutation(len(runs)) for _ in range(splits)]
    half = len(runs) // 2
    looks = tuple(seeds for seeds in LOOKS if seeds <= half)
    for seeds in looks:
        hits = [_claims(_dealt(runs, deal, 2, half), seeds, (seeds,)) for deal in deals]
        yield Row.share("real A/A, one pair", setting, seeds, hits, ALPHA)
    if len(looks) > 1:
        hits = [
            any(_claims(_dealt(runs, deal, 2, half), seeds, looks) for seeds in looks)
            for deal in deals
        ]
        planned = ", ".join(map(str, looks))
        yield Row.share(f"real A/A, {len(looks)} planned looks", setting, planned, hits, ALPHA)
    names = min(len(NAMES), len(runs) // looks[0])
    hits = [_claims(_dealt(runs, d, names, looks[0]), looks[0], looks[:1]) for d in deals]
    told = f"real A/A, any of {names - 1} (Holm)"
    yield Row.share(told, setting, looks[0], hits, ALPHA)
    same = [[replace(r, pooler=name) for name in NAMES[:2] for r in runs[:n]] for n in looks]
    hits = [_differ(_compared(pair, (len(pair) // 2,))) for pair in same]
    yield Row.share("two names, the same seeds: any difference", setting, "each look", hits, 0.0)
    right = np.stack([r.labels == r.predictions for r in runs])  # (N, n)
    taken = np.stack(deals)[:, : names * looks[0]].reshape(splits, names, looks[0])
    for what, won in naive_wins(right[taken]).items():
        yield Row.share(what, setting, looks[0], won)


def swapped_false_positives(
    first: Sequence[Run], second: Sequence[Run], swaps: int, rng: np.random.Generator
) -> Iterator[Row]:
    """How often two poolers are said to differ that swapped names on half of the examples.

    An example is swapped at all seeds or at none, so seeds stay paired as they were trained.

    Raises:
        BadInput: the runs cannot be compared with each other.
    """
    setting = f"{first[0].pooler} and {second[0].pooler}, names swapped by example"
    why = objection({runs[0].pooler: runs for runs in (first, second)}, Protocol())
    if why is not None:
        raise BadInput(f"the runs cannot be compared: {why}")
    coins = rng.random((swaps, len(first[0].labels))) < 0.5
    for seeds in (s for s in LOOKS if s <= len(first)):
        hits = [_claims(_swapped(first, second, coin), seeds, (seeds,)) for coin in coins]
        yield Row.share("real A/A, one pair", setting, seeds, hits, ALPHA)


def _swapped(first: Sequence[Run], second: Sequence[Run], coin: np.ndarray) -> list[Run]:
    """Runs of both poolers, with each other's predictions where the coin (n,) says so."""
    pairs = [(a, b, a.predictions, b.predictions) for a, b in zip(first, second, strict=True)]
    return [
        replace(run, pooler=name, seed=position, predictions=np.where(coin, *predictions))
        for position, (a, b, of_a, of_b) in enumerate(pairs)
        for run, name, predictions in (
            (a, NAMES[0], (of_b, of_a)),
            (b, NAMES[1], (of_a, of_b)),
        )
    ]


def _dealt(runs: Sequence[Run], deal: np.ndarray, names: int, seeds: int) -> list[Run]:
    """Runs under new names, paired by position: the orders they were trained in do not agree."""
    return [
        replace(
            runs[deal[name * seeds + position]],
            pooler=NAMES[name],
            seed=position,
            order=(str(position),),
        )
        for name in range(names)
        for position in range(seeds)
    ]


def _claims(runs: Sequence[Run], seeds: int, looks: tuple[int, ...]) -> bool:
    """Whether any name is called better or worse than the first one after these first seeds."""
    found = _compared([r for r in runs if r.seed < seeds], looks)
    return any(c.word.wins or c.word.loses for c in found)


def _compared(runs: Sequence[Run], looks: tuple[int, ...]) -> list[Comparison]:
    protocol = Protocol(reference=NAMES[0], looks=looks, alpha=ALPHA)
    found = compare_with_reference(runs, protocol)
    for c in found:
        if c.word is Word.NONE:  # silence is no correct answer here
            raise BadInput(f"the runs cannot be compared: {c.why}")
    return found


def _differ(found: Sequence[Comparison]) -> bool:
    return any(c.delta != 0 or c.word is not Word.TIED for c in found)
