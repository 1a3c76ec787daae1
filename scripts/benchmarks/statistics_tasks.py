"""Checks of similarity and retrieval: dependent test examples, with seeds and without training.

**S** seeds (1 where nothing was trained), **n** test examples.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import optimize, stats
from statistics_simulation import ALPHA, Row, row

from poolbench.stats.jackknife import spearman_scores
from poolbench.stats.paired_test import guarded_half_width, paired

GAIN = 0.03
SPEARMAN, NDCG = 0.7, 0.5
WITHOUT_TRAINING, SEEDS = 1, 5
Study = tuple[NDArray[Any], NDArray[np.int64]]  # differences (S, n), and the groups of examples


class Pairs(NamedTuple):
    """Pairs drawn from some texts, and the shares of the variance of the prediction errors."""

    pairs: int
    texts: int
    by_text: float  # the same in all pairs with the text; the rest is of the pair
    by_seed: float = 0.3  # of what is left, if trained


PAIRS = {
    "500 pairs of 1,000 texts": Pairs(500, 1000, 0.5),
    "500 pairs of 150 texts": Pairs(500, 150, 0.5),
    "1,000 pairs of 60 texts": Pairs(1000, 60, 0.3),
}


def similarity(rng: Generator, of: Pairs, seeds: int, gain: float) -> Study:
    """Differences of the pseudo-values of Spearman; its true values are SPEARMAN, and that + gain.

    Scores and errors are normal, so a rank correlation rho needs a correlation of 2 sin(pi rho / 6)
    (Pearson 1907). Half of the variance of scores is of texts, and half of that of errors is the
    same for both poolers.
    """
    groups = np.argsort(rng.random((of.pairs, of.texts)), axis=1)[:, :2]  # two distinct texts
    target = _mixed(rng, groups, of.texts, 0.5)
    common = _mixed(rng, groups, of.texts, of.by_text)
    scores = []
    for rho in (SPEARMAN + gain, SPEARMAN):
        error = (common + _mixed(rng, groups, of.texts, of.by_text)) / np.sqrt(2)
        again = rng.standard_normal((seeds, of.pairs))  # (S, n)
        share = of.by_seed * (seeds > 1)
        errors = np.sqrt(1 - share) * error + np.sqrt(share) * again
        size = np.sqrt(1 / (2 * np.sin(np.pi * rho / 6)) ** 2 - 1)
        scores.append([spearman_scores(target, target + size * e) for e in errors])
    return np.subtract(*scores), groups


def _mixed(rng: Generator, groups: NDArray[Any], texts: int, by_text: float) -> NDArray[Any]:
    """Normal values (n,) of variance 1; this share of it comes from the two texts."""
    of_texts = rng.standard_normal(texts)[groups].sum(axis=1) / np.sqrt(2)
    return np.sqrt(by_text) * of_texts + np.sqrt(1 - by_text) * rng.standard_normal(len(groups))


class Queries(NamedTuple):
    """Queries in clusters, such as those of one document."""

    queries: int
    cluster: int


QUERIES = {"500 queries": Queries(500, 1), "500 queries of 100 documents": Queries(500, 5)}
DIFFICULTY = 2.0  # standard deviation of the logarithm of the rank


def retrieval(rng: Generator, of: Queries, seeds: int, gain: float) -> Study:
    """Differences of nDCG@10 with one relevant document; its true values are NDCG, and + gain.

    The logarithm of its rank is normal: a third of its variance is the same for both poolers, a
    third is of the cluster and the pooler, and a third of the query (if trained, of the run).
    """
    groups = np.arange(of.queries) // of.cluster
    common, scores = rng.standard_normal(of.queries), []
    for value in (NDCG + gain, NDCG):
        clusters = rng.standard_normal(of.queries // of.cluster)[groups]
        own = rng.standard_normal((seeds, of.queries))  # (S, n)
        log_rank = _location(value) + DIFFICULTY * (common + clusters + own) / np.sqrt(3)
        rank = np.floor(np.exp(np.minimum(log_rank, 9))) + 1
        scores.append(np.where(rank <= 10, 1 / np.log2(1 + rank), 0.0))
    return np.subtract(*scores), groups


def _location(ndcg: float) -> float:
    """Mean of the logarithm of the rank that gives this nDCG@10."""
    ranks = np.arange(1, 11)

    def missing(mean: float) -> float:
        reached = stats.norm.cdf((np.log(ranks) - mean) / DIFFICULTY)
        return float(np.diff(reached, prepend=0) @ (1 / np.log2(1 + ranks))) - ndcg

    return float(optimize.brentq(missing, -20, 20))


Draw = Callable[[Generator, Any, int, float], Study]


def rates(metric: str, draw: Draw, settings: dict[str, Any]) -> Callable[..., Iterator[Row]]:
    """False positives, coverage and power of one metric in each setting, from half the studies."""

    def rows(rng: Generator, studies: int) -> Iterator[Row]:
        studies = max(studies // 2, 1)
        for name, of in settings.items():
            for seeds in (WITHOUT_TRAINING, SEEDS):
                number: int | str = seeds if seeds > 1 else "untrained"
                found = [_judged(*draw(rng, of, seeds, gain), gain) for gain in _gains(studies)]
                equal, gained = found[:studies], found[studies:]
                what = f"A/A, one pair, {metric}"
                yield row(what, name, number, [hit for hit, *_ in equal], ALPHA)
                ignored = f"out of scope: A/A, {metric}, shared texts and documents ignored"
                yield row(ignored, name, number, [hit for _, hit, *_ in equal])
                missed = f"95 % interval misses the truth, {metric}"
                yield row(missed, name, number, [miss for *_, miss in gained], ALPHA)
                power = f"power at {100 * GAIN:g} points, one pair, {metric}"
                yield row(power, name, number, [hit for hit, *_ in gained])

    return rows


def _gains(studies: int) -> list[float]:
    return [0.0] * studies + [GAIN] * studies


def _judged(d: NDArray[Any], groups: NDArray[Any], gain: float) -> tuple[bool, bool, bool]:
    """Whether a difference is found, the same without groups, and whether the truth is missed."""
    estimate, ignoring = paired(d, groups), paired(d)
    half, without = (float(guarded_half_width(e, ALPHA)) for e in (estimate, ignoring))
    delta = float(estimate.delta)
    found, naive = (delta > h if gain else abs(delta) > h for h in (half, without))
    return found, naive, abs(delta - gain) > half


TASKS = {
    "similarity": rates("Spearman", similarity, PAIRS),
    "retrieval": rates("nDCG@10", retrieval, QUERIES),
}
