"""A/A on real records: any difference that the protocol finds between two names is false.

All functions raise UserError where the runs cannot be compared with each other.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from statistics_checks import naive_wins
from statistics_simulation import ALPHA, LOOKS, Row, row

from poolbench.core.errors import UserError
from poolbench.runs.protocol import Protocol
from poolbench.runs.study import read_study
from poolbench.stats.compare import compare_with_reference
from poolbench.stats.pairing import ScoredRun, pairing_errors
from poolbench.stats.verdict import Comparison, Word

NAMES = "abcdef"
Runs = list[ScoredRun]


def read_runs(study: Path, pooler: str) -> Runs:
    """The finished runs of one pooler, one at each seed, in ascending order."""
    records = [r for r in read_study(study).finished if r.run.pooler == pooler]
    if len({r.run.seed for r in records}) < len(records):
        raise UserError(f"{study} has several runs of {pooler} at one seed: keep one of each")
    if len(records) < 2 * LOOKS[0]:
        raise UserError(
            f"{study} has {len(records)} finished runs of {pooler}, two names need "
            f"{2 * LOOKS[0]}: python train.py -m pooler={pooler} 'seed=range(40)' study=..."
        )
    return sorted(map(ScoredRun.from_record, records), key=lambda r: r.seed)


def dealt_false_positives(runs: Runs, splits: int, rng: np.random.Generator) -> Iterator[Row]:
    """How often several names of one pooler are said to differ: its seeds are dealt at random."""
    setting, half = f"{runs[0].pooler}, {len(runs)} seeds dealt out", len(runs) // 2
    looks = [seeds for seeds in LOOKS if seeds <= half]
    names = min(len(NAMES), len(runs) // looks[0])
    deals = [rng.permutation(len(runs)) for _ in range(splits)]
    for seeds in looks:
        hits = [_claims(_dealt(runs, deal, 2, half), [seeds]) for deal in deals]
        yield row("real A/A, one pair", setting, seeds, hits, ALPHA)
    if len(looks) > 1:
        hits = [_claims(_dealt(runs, deal, 2, half), looks) for deal in deals]
        planned = ", ".join(map(str, looks))
        yield row(f"real A/A, {len(looks)} planned looks", setting, planned, hits, ALPHA)
    hits = [_claims(_dealt(runs, deal, names, looks[0]), looks[:1]) for deal in deals]
    yield row(f"real A/A, any of {names - 1} (Holm)", setting, looks[0], hits, ALPHA)
    same = _dealt(runs, np.tile(np.arange(half), 2), 2, half)
    hits = [c.delta != 0 or c.word is not Word.TIED for c in _compared(same, looks)]
    yield row("two names, the same seeds: any difference", setting, "each look", hits, 0.0)
    right = np.stack([r.scores("accuracy") == 1 for r in runs])  # (N, n)
    taken = np.stack(deals)[:, : names * looks[0]].reshape(splits, names, looks[0])
    for what, limit, won in naive_wins(right[taken]):
        yield row(what, setting, looks[0], won, limit)


def swapped_false_positives(
    first: Runs, second: Runs, swaps: int, rng: np.random.Generator
) -> Iterator[Row]:
    """How often two poolers that swapped predictions on random examples are said to differ.

    Neither name is better, and each fails on different examples. An example is swapped at all seeds
    or at none, so seeds stay paired as they were trained.
    """
    for why in pairing_errors({runs[0].pooler: runs for runs in (first, second)}):
        raise UserError(f"the runs cannot be compared: {why}")
    setting = f"{first[0].pooler} and {second[0].pooler}, names swapped by example"
    coins = rng.random((swaps, len(first[0].targets))) < 0.5
    for seeds in (s for s in LOOKS if s <= len(first)):
        hits = [_claims(_swapped(first, second, coin), [seeds]) for coin in coins]
        yield row("real A/A, one pair", setting, seeds, hits, ALPHA)


def _swapped(first: Runs, second: Runs, coin: NDArray[np.bool_]) -> Runs:
    """Runs of both poolers, with the predictions of the other where the coin (n,) is True."""
    swapped = []
    for seed, (a, b) in enumerate(zip(first, second, strict=True)):
        for name, own, other in ((NAMES[0], a, b), (NAMES[1], b, a)):
            outputs = np.where(coin[:, None], other.outputs, own.outputs)
            swapped.append(replace(own, pooler=name, seed=seed, outputs=outputs))
    return swapped


def _dealt(runs: Runs, deal: NDArray[np.int64], names: int, seeds: int) -> Runs:
    """Runs under new names, paired by position; their training orders differ and are replaced."""
    return [
        replace(runs[k], pooler=NAMES[i // seeds], seed=i % seeds, order=(str(i % seeds),))
        for i, k in enumerate(deal[: names * seeds])
    ]


def _claims(runs: Runs, looks: list[int]) -> bool:
    return any(c.word.wins or c.word.loses for c in _compared(runs, looks))


def _compared(runs: Runs, looks: list[int]) -> Iterator[Comparison]:
    """Comparisons at each look; without a verdict there would be no false positive either."""
    protocol = Protocol(reference=NAMES[0], looks=looks, alpha=ALPHA)
    for seeds in looks:
        for c in compare_with_reference([r for r in runs if r.seed < seeds], protocol):
            if c.word is Word.NONE:
                raise UserError(f"the runs cannot be compared: {c.why}")
            yield c
