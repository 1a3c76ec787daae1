"""Every check of the protocol on simulated poolers: what is said, and how often it is wrong.

**R** simulated studies, **P** poolers, **S** seeds, **n** test examples.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statistics_rates import Row
from statistics_simulated import (
    EXAMPLES,
    POOLERS,
    REGIMES,
    against,
    correct,
    p_against,
    seeds_alone_p,
    true_components,
)

from poolbench.stats.paired_test import (
    Crossed,
    crossed,
    equivalent,
    guarded_half_width,
    guarded_p,
    holm,
    look_level,
    partial_conjunction,
    variance_of_mean,
)
from poolbench.stats.power import predicted_power, seeds_needed, seeds_range
from poolbench.stats.scores import macro_f1_scores

ALPHA = 0.05
LOOKS = (5, 10, 20)


def false_positives(rng: np.random.Generator, studies: int) -> Iterator[Row]:
    """A/A: no pooler differs, how often is one said to?"""
    for regime in REGIMES:
        for seeds in (5, 10):
            runs = correct(rng, regime, studies, seeds)
            p = np.concatenate([p_against(y) for y in runs])
            yield Row.share("A/A, one pair", regime.name, seeds, p[:, 0] <= ALPHA, ALPHA)
            some = holm(p).min(axis=1) <= ALPHA
            yield Row.share("A/A, any of 5 (Holm)", regime.name, seeds, some, ALPHA)
        pairs = [
            np.concatenate([p_against(y, k) for k in range(POOLERS - 1)], axis=1)
            for y in correct(rng, regime, studies, 5)
        ]
        some = holm(np.concatenate(pairs)).min(axis=1) <= ALPHA
        yield Row.share("A/A, any of all 15 pairs (Holm)", regime.name, 5, some, ALPHA)


def macro_f1_false_positives(rng: np.random.Generator, studies: int) -> Iterator[Row]:
    """The same through the pseudo-values of macro-F1, with one label in five positive."""
    labels = (np.arange(EXAMPLES) % 5 == 0).astype(np.int64)
    for regime in REGIMES:
        p = []
        for right in correct(rng, regime, studies, 5, (0.0, 0.0)):
            scores = macro_f1_scores(labels, np.where(right, labels, 1 - labels))
            p.append(np.asarray(guarded_p(crossed(scores[:, 1] - scores[:, 0]))))
        hits = np.concatenate(p) <= ALPHA
        yield Row.share("A/A, one pair, macro-F1", regime.name, 5, hits, ALPHA)


def least_favourable(rng: np.random.Generator, studies: int) -> Iterator[Row]:
    """The mix of variances that strains Satterthwaite's approximation most, as normal variables.

    Found by a scan over ratios of mean squares. Shown, not checked: it is above alpha, and known.
    """
    studies *= 20  # a study is four random numbers here
    for seeds, by_seed, by_example in ((5, 50.0, 12.0), (10, 100.0, 40.0), (20, 6.0, 8.0)):
        dof_s, dof_i = seeds - 1, EXAMPLES - 1
        ms_seed = by_seed * rng.chisquare(dof_s, studies) / dof_s
        ms_example = by_example * rng.chisquare(dof_i, studies) / dof_i
        ms_error = rng.chisquare(dof_s * dof_i, studies) / (dof_s * dof_i)
        true_variance = (by_seed + by_example - 1) / (seeds * EXAMPLES)
        delta = rng.standard_normal(studies) * np.sqrt(true_variance)
        variance, dof = variance_of_mean(ms_seed, ms_example, ms_error, seeds, EXAMPLES)
        estimate = Crossed(delta, ms_seed, ms_example, ms_error, variance, dof, seeds, EXAMPLES)
        hits = np.asarray(guarded_p(estimate)) <= ALPHA
        yield Row.share("A/A, one pair", "least favourable mix", seeds, hits)


def intervals(rng: np.random.Generator, studies: int) -> Iterator[Row]:
    """Coverage and power where pooler 1 is 3 points better; wrong signs where it is 0.5 better."""
    for regime in REGIMES:
        runs = correct(rng, regime, studies, 10, (0.0, 0.03))
        estimates = [against(y) for y in runs]
        delta = np.concatenate([np.ravel(e.delta) for e in estimates])
        half = np.concatenate([np.ravel(guarded_half_width(e, ALPHA)) for e in estimates])
        missed = np.abs(delta - 0.03) > half
        yield Row.share("95 % interval misses the truth", regime.name, 10, missed, ALPHA)
        yield Row.share("power at 3 points, one pair", regime.name, 10, delta > half)
        wrong = []
        for y in correct(rng, regime, studies, 10, (0.0, 0.005)):
            estimate = against(y)
            wrong.append(np.ravel(estimate.delta < -guarded_half_width(estimate, ALPHA)))
        hits = np.concatenate(wrong)
        yield Row.share("wrong sign at 0.5 points", regime.name, 10, hits, ALPHA / 2)


def false_sizes(rng: np.random.Generator, studies: int) -> Iterator[Row]:
    """True differences exactly at the margin: how often is a tie, or more, claimed?"""
    margin = 0.05
    for regime in REGIMES:
        runs = correct(rng, regime, studies, 10, (0.0, *[margin] * (POOLERS - 1)))
        estimates = [against(y) for y in runs]
        tied = np.concatenate([equivalent(e, margin, ALPHA) for e in estimates])
        larger = np.concatenate(
            [e.delta - guarded_half_width(e, ALPHA) > margin for e in estimates]
        )
        for what, hits, limit in (
            ("false tie at the margin", tied, ALPHA),
            ('false "larger than the margin"', larger, ALPHA / 2),
        ):
            yield Row.share(f"{what}, one pair", regime.name, 10, hits[:, 0], limit)
            yield Row.share(f"{what}, any of 5", regime.name, 10, hits.any(axis=1))


def peeking(rng: np.random.Generator, studies: int) -> Iterator[Row]:
    """A/A looked at while seeds come in: by plan, and after every seed."""
    each = range(LOOKS[0], LOOKS[-1] + 1)
    for regime in REGIMES:
        guarded, alone = [], []
        for y in correct(rng, regime, studies, LOOKS[-1], (0.0, 0.0)):
            estimates = [against(y[:, :, :seeds]) for seeds in each]
            guarded.append(np.concatenate([guarded_p(e) for e in estimates], axis=1))
            alone.append(np.concatenate([seeds_alone_p(e) for e in estimates], axis=1))
        p = np.concatenate(guarded)  # (R, looks)
        level, _ = look_level(LOOKS[0], LOOKS, ALPHA)
        planned = p[:, [each.index(seeds) for seeds in LOOKS]] <= level
        told = "A/A, three planned looks at alpha/3"
        yield Row.share(told, regime.name, "5, 10, 20", planned.any(axis=1), ALPHA)
        told = "A/A, a look at alpha after every seed"
        yield Row.share(told, regime.name, "5 to 20", (p <= ALPHA).any(axis=1))
        told = "naive: t over seeds after every seed"
        hits = (np.concatenate(alone) <= ALPHA).any(axis=1)
        yield Row.share(told, regime.name, "5 to 20", hits)


def naive(rng: np.random.Generator, studies: int) -> Iterator[Row]:
    """What is often done instead, on A/A."""
    for regime in REGIMES:
        found: dict[str, list[Any]] = {}
        for y in correct(rng, regime, studies, 5):
            for what, hits in naive_wins(y).items():
                found.setdefault(what, []).append(hits)
        for what, parts in found.items():
            yield Row.share(what, regime.name, 5, np.concatenate(parts))


def naive_wins(right: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Which studies (R,) naive procedures call won, from right predictions (R, P, S, n)."""
    d = right[:, 1].astype(np.int8) - right[:, 0].astype(np.int8)  # (R, S, n)
    best = np.sort(right.mean(axis=(2, 3)), axis=1)
    won, lost = (d > 0).sum(axis=(1, 2)), (d < 0).sum(axis=(1, 2))
    mcnemar = (won - lost) ** 2 / np.maximum(won + lost, 1)
    by_example = stats.ttest_1samp(d.mean(axis=1), 0, axis=1).pvalue
    return {
        f"naive: the highest mean of {right.shape[1]} wins": best[:, -1] > best[:, -2],
        "naive: McNemar on pooled seeds": stats.chi2.sf(mcnemar, 1) <= ALPHA,
        "naive: t over examples": by_example <= ALPHA,
        "naive: paired t over seeds alone": seeds_alone_p(crossed(d)) <= ALPHA,
    }


def advice(rng: np.random.Generator, studies: int) -> Iterator[Row]:
    """Do the advised seeds give 80 % power at 5 points, and does the range cover them?"""
    gain, family = 0.05, POOLERS - 1
    for regime in REGIMES:
        pilots = [against(y) for y in correct(rng, regime, studies, 5, (0.0, gain))]
        true = true_components(pilots)
        for told, level in (("at alpha/5", ALPHA / family), ("at alpha", ALPHA)):
            needed = int(seeds_needed(true, EXAMPLES, gain, level))
            predicted = float(predicted_power(true, needed, EXAMPLES, gain, ALPHA / family))
            runs = correct(rng, regime, studies, needed, (0.0, gain, *[0.0] * (family - 1)))
            found = np.concatenate([holm(p_against(y))[:, 0] <= ALPHA for y in runs])
            where = f"{regime.name}, advised {told} (predicted {predicted:.3f})"
            yield Row.share("power at 5 points after Holm over 5", where, needed, found)
        needed = int(seeds_needed(true, EXAMPLES, gain, ALPHA / family))
        ranges = [
            seeds_range(crossed(d), gain, ALPHA / family)
            for y in correct(rng, regime, min(studies, 400), 5, (0.0, gain))
            for d in y[:, 1].astype(np.int8) - y[:, 0].astype(np.int8)
        ]
        held = [low <= needed <= high for _, low, high in ranges]
        yield Row.share("10-90 % range covers the seeds needed", regime.name, 5, held)


def replicability(rng: np.random.Generator, studies: int) -> Iterator[Row]:
    """Eight datasets, a true effect on three: is "beats on at least 4" ever claimed?"""
    z = rng.standard_normal((studies, 8)) + np.array([8.0] * 3 + [0.0] * 5)
    p = np.where(z > 0, 2 * stats.norm.sf(np.abs(z)), 1.0)
    claims = np.array([partial_conjunction(row, ALPHA) for row in p])
    what = '"beats on at least k", k too large'
    yield Row.share(what, "3 of 8 datasets differ", "any", claims > 3, ALPHA)


CHECKS: dict[str, Callable[[np.random.Generator, int], Iterator[Row]]] = {
    "false positives": false_positives,
    "macro-F1": macro_f1_false_positives,
    "least favourable mix": least_favourable,
    "intervals": intervals,
    "ties": false_sizes,
    "peeking": peeking,
    "naive procedures": naive,
    "advice": advice,
    "replicability": replicability,
}
