"""Checks of advice: seeds needed, counts of datasets, and what a recommendation loses."""

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator
from scipy import stats
from statistics_simulation import ALPHA, EQUAL, POOLERS, REAL, REGIMES, Row, against, correct, row

from poolbench.stats.across_datasets import partial_conjunction
from poolbench.stats.best import compare_with_best
from poolbench.stats.paired_test import Crossed, crossed, guarded_p, holm
from poolbench.stats.power import needed, predicted_power, seeds_needed, seeds_range


def advice(rng: Generator, studies: int, gain: float = 0.05) -> Iterator[Row]:
    """Whether the advice gives 80 % power at 5 points, and the range contains the seeds."""
    family, gains = POOLERS - 1, (0.0, gain, *EQUAL[2:])
    for kind, regime in REGIMES.items():
        pilots = [against(y) for y in correct(rng, regime, studies, 5, gains[:2])]
        squares = [[e.ms_seed, e.ms_example, e.ms_error] for e in pilots]
        mean_squares = np.concatenate(squares, axis=1).mean(axis=(1, 2)).tolist()
        true = Crossed(gain, *mean_squares, seeds=5, examples=regime.examples)
        seeds = float(seeds_needed(true, gain, ALPHA / family))
        advised = {
            "seeds": (seeds, regime.examples),
            "dominating": needed(true, gain, ALPHA / family),
        }
        for name, (s, n) in advised.items():
            power = float(predicted_power(true, s, n, gain, ALPHA / family))
            runs = correct(rng, regime._replace(examples=int(n)), studies, int(s), gains)
            hits = np.concatenate([holm(guarded_p(against(y)))[:, 0] <= ALPHA for y in runs])
            setting = f"{kind}, {name}: {n:,.0f} examples (predicted {power:.3f})"
            yield row("power at 5 points after Holm over 5", setting, int(s), hits)
        batches = correct(rng, regime, min(studies, 400), 5, gains[:2])
        pairs = (d for y in batches for d in y[:, 1].astype(np.int8) - y[:, 0].astype(np.int8))
        ranges = [seeds_range(crossed(d), gain, ALPHA / family) for d in pairs]
        held = [low <= seeds <= high for low, high in ranges]
        yield row("10-90 % range covers the seeds needed", kind, 5, held)


def replicability(rng: Generator, studies: int) -> Iterator[Row]:
    """With a true effect on three of eight datasets, "beats on at least 4" is claimed."""
    z = rng.standard_normal((studies, 8)) + np.array([8.0] * 3 + [0.0] * 5)
    p = np.where(z > 0, 2 * stats.norm.sf(np.abs(z)), 1.0)
    hits = [partial_conjunction(of_study, ALPHA) > 3 for of_study in p]
    yield row('"beats on at least k", k too large', "3 of 8 datasets differ", "any", hits, ALPHA)


def recommendation(rng: Generator, studies: int) -> Iterator[Row]:
    """What is lost by the pooler that a report names: 10 poolers, accuracies N(75, 1) points.

    The first pooler costs least. Its true loss is the accuracy of the best minus its own.
    """
    first, second = np.triu_indices(10, 1)
    studies = max(studies // 5, 10)
    for (setting, regime), limit in zip(REAL.items(), (0.25, 0.35), strict=True):
        rows: list[tuple[bool, ...]] = []
        for _ in range(studies):
            gains = rng.normal(0, 0.01, 10)
            right = next(correct(rng, regime, 1, 5, gains))[0].astype(np.int8)
            best, loss = compare_with_best(dict(enumerate(right)), 0.5, ALPHA), gains.max() - gains
            named, pairs = best.eligible[0], crossed(right[first] - right[second])
            shown = holm(guarded_p(pairs)) <= ALPHA
            beaten = {*second[shown & (pairs.delta > 0)], *first[shown & (pairs.delta < 0)]}
            unbeaten = min(set(range(10)) - beaten)
            rates = (
                loss[named] > 0.005,
                loss[unbeaten] > 0.005,
                100 * loss[named] > best.loss[named],
            )
            rows.append((*rates, gains.argmax() not in best.group, best.decided))
        wrong, naive, bound, missed, decided = np.array(rows).T
        for what, hits, most in (
            ("the named pooler is worse than the best by more than 0.5 points", wrong, limit),
            ("naive: the same for the cheapest that none beats", naive, None),
            ("decided", decided, None),
            ("decided, and worse than the best by more than 0.5 points", wrong & decided, ALPHA),
            ('"may cost up to" is too low', bound, ALPHA),
            ("the best of 10 is ruled out", missed, ALPHA),
        ):
            yield row(what, setting, 5, hits, most)


ADVICE = {"recommendation": recommendation, "advice": advice, "replicability": replicability}
