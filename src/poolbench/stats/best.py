"""Comparisons with the best (Hsu 1984): what may be best, and what a choice may lose.

**P** poolers, **S** paired seeds, **n** test examples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import inf
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poolbench.stats.clusters import Groups
from poolbench.stats.compare import comparable
from poolbench.stats.paired_test import Crossed, guarded_half_width, paired
from poolbench.stats.pairing import ScoredRun, baselines_of, groups_of, scores_of
from poolbench.stats.scores import Array
from poolbench.stats.verdict import Comparison


@dataclass(frozen=True)
class Best:
    """Poolers of one task, each compared with the best of the others.

    Attributes:
        behind: pooler -> highest mean minus its own, in points.
        loss: pooler -> upper bound, in points, of "any other pooler minus it".
        rival: pooler -> the other pooler that gives this bound.
        group: poolers that cannot be ruled out as best: none is better at the level.
        margin: in points.
        level: probability that the best pooler is not in the group, or that a decision is wrong.
        family: number of comparisons with the best; each is one-sided at level / family.
        useful: poolers that are better than every baseline.
    """

    behind: Mapping[str, float]
    loss: Mapping[str, float]
    rival: Mapping[str, str]
    group: tuple[str, ...]
    margin: float
    level: float
    family: int
    useful: tuple[str, ...] = ()

    @property
    def decided(self) -> bool:
        """Whether a pooler is shown to lose less than the margin against every other."""
        return min(self.loss.values()) < self.margin

    @property
    def eligible(self) -> list[str]:
        """Poolers of which the cheapest is named: shown to be within the margin, else by mean."""
        if self.decided:
            return [name for name, loss in self.loss.items() if loss < self.margin]
        return [name for name, behind in self.behind.items() if behind <= self.margin]


def best_of(runs: Sequence[ScoredRun], pairs: Sequence[Comparison]) -> Best | None:
    """Comparisons with the best among poolers of one task that all have verdicts on each other.

    Poolers without usable runs are counted. None if fewer than two can be compared.
    """
    names = comparable(pairs)
    if not names:
        return None
    metric, level = pairs[0].metric, min(c.level for c in pairs)
    poolers = len({r.pooler for r in runs})
    by_pooler = {name: [r for r in runs if r.pooler == name] for name in names}
    scores = {name: scores_of(of, metric) for name, of in by_pooler.items()}
    groups, folds = groups_of(by_pooler[names[0]])
    known = {(c.first, c.second): c.estimate for c in pairs if c.estimate is not None}
    best = compare_with_best(scores, pairs[0].margin, level, poolers - 1, groups, folds, known)
    tested = (baselines_of(by_pooler[names[0]], metric), level / poolers, groups, folds)
    useful = [name for name in names if beats_baselines(scores[name], *tested)]
    return replace(best, useful=tuple(useful))


def compare_with_best(
    scores: Mapping[str, Array],
    margin: float,
    level: float,
    family: int | None = None,
    groups: Groups = None,
    folds: NDArray[Any] | None = None,
    known: Mapping[tuple[str, str], Crossed] = MappingProxyType({}),
) -> Best:
    """Compare each pooler with the best of the others.

    The best pooler is unknown, but it is one: P-1 comparisons with it can be wrong, not P(P-1)/2.

    Args:
        scores: pooler -> scores of its paired runs, (S, n); (1, n) if it trained nothing; (n,) with
            folds.
        margin: in points.
        level: probability of any error.
        family: number of comparisons; P-1 unless poolers without usable runs count too.
        groups: which examples depend on each other, as in ``clusters.py``.
        folds: of cross-validation, of each example (n,).
        known: estimates of pairs (first minus second); the others are computed.
    """
    names, family = list(scores), family or len(scores) - 1
    lead = np.zeros((len(names), len(names)))  # (P, P): mean of the second minus that of the first
    half = np.zeros_like(lead)  # of its interval
    for (i, first), (j, second) in combinations(enumerate(names), 2):
        estimate = known.get((first, second))
        if estimate is None:
            estimate = paired(scores[first] - scores[second], groups, folds)
        lead[i, j], lead[j, i] = -100 * estimate.delta, 100 * estimate.delta
        half[i, j] = half[j, i] = 100 * guarded_half_width(estimate, 2 * level / family)
    bounds = np.where(np.eye(len(names), dtype=bool), -inf, lead + half)
    return Best(
        behind=dict(zip(names, lead.max(axis=1).tolist(), strict=True)),
        loss=dict(zip(names, bounds.max(axis=1).tolist(), strict=True)),
        rival={name: names[i] for name, i in zip(names, bounds.argmax(axis=1), strict=True)},
        group=tuple(n for n, worse in zip(names, lead - half > 0, strict=True) if not worse.any()),
        margin=margin,
        level=level,
        family=family,
    )


def beats_baselines(
    scores: Array,
    baselines: Mapping[str, Array],
    level: float,
    groups: Groups = None,
    folds: NDArray[Any] | None = None,
) -> bool:
    """Whether runs are better than every baseline (n,), one-sided.

    ``scores`` are (S, n), or (n,) with folds.
    """
    return all(
        float(found.delta) > guarded_half_width(found, 2 * level)
        for baseline in baselines.values()
        for found in [paired(scores - baseline, groups, folds)]
    )
