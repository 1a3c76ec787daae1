"""Comparisons with the best (Hsu 1984): what may be best, and what a choice may lose.

**P** poolers, **S** paired seeds, **n** test examples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poolbench.stats.compare import comparable
from poolbench.stats.paired_test import guarded_half_width, paired
from poolbench.stats.pairing import ScoredRun, baselines_of, clusters_of, scores_of
from poolbench.stats.scores import Array
from poolbench.stats.verdict import Comparison

Groups = NDArray[Any] | None  # (n,), of each example


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
    metric, level, poolers = pairs[0].metric, pairs[0].level, len({r.pooler for r in runs})
    by_pooler = {name: [r for r in runs if r.pooler == name] for name in names}
    scores = {name: scores_of(of, metric) for name, of in by_pooler.items()}
    groups, folds = clusters_of(by_pooler[names[0]])
    best = compare_with_best(scores, pairs[0].margin, level, poolers - 1, groups, folds)
    tested = (baselines_of(by_pooler[names[0]], metric), level / poolers, groups, folds)
    useful = [name for name in names if beats_baselines(scores[name], *tested)]
    return replace(best, useful=tuple(useful))


def compare_with_best(
    scores: Mapping[str, Array],
    margin: float,
    level: float,
    family: int | None = None,
    groups: Groups = None,
    folds: Groups = None,
) -> Best:
    """Compare each pooler with the best of the others.

    The best pooler is unknown, but it is one: P-1 comparisons with it can be wrong, not P(P-1)/2.

    Args:
        scores: pooler -> scores of its paired runs, (S, n); (n,) with folds.
        margin: in points.
        level: probability of any error.
        family: number of comparisons; P-1 unless poolers without usable runs count too.
        groups: cluster of each example (n,).
        folds: of cross-validation, of each example (n,).
    """
    names, stacked = list(scores), np.stack(list(scores.values()))  # (P, S, n)
    family = family or len(names) - 1
    behind, loss, rival, group = {}, {}, {}, []
    for name, own in scores.items():
        others = paired(stacked - own, groups, folds)  # (P,)
        delta = 100 * np.asarray(others.delta)
        half = 100 * guarded_half_width(others, 2 * level / family)
        behind[name] = float(delta.max())
        bounds = np.where([other == name for other in names], -inf, delta + half)
        loss[name], rival[name] = float(bounds.max()), names[int(bounds.argmax())]
        if not np.any(delta - half > 0):
            group.append(name)
    return Best(behind, loss, rival, tuple(group), margin, level, family)


def beats_baselines(
    scores: Array,
    baselines: Mapping[str, Array],
    level: float,
    groups: Groups = None,
    folds: Groups = None,
) -> bool:
    """Whether runs are better than every baseline (n,), one-sided.

    ``scores`` are (S, n), or (n,) with folds.
    """
    return all(
        float(found.delta) > guarded_half_width(found, 2 * level)
        for baseline in baselines.values()
        for found in [paired(scores - baseline, groups, folds)]
    )
