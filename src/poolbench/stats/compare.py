"""From runs to verdicts: each pooler against the reference, and all pairs.

**S** paired seeds, **n** test examples.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

from poolbench.runs.protocol import METRIC_NAMES, METRICS, Protocol
from poolbench.runs.study import FEWEST_SEEDS
from poolbench.stats.clusters import Clusters
from poolbench.stats.paired_test import (
    Crossed,
    guarded_half_width,
    guarded_p,
    holm,
    paired,
    seed_means,
)
from poolbench.stats.pairing import ScoredRun as ScoredRun
from poolbench.stats.pairing import groups_of, listed, pairing_errors, repeated, scores_of
from poolbench.stats.power import needed, seeds_range, smallest_difference
from poolbench.stats.scores import Array
from poolbench.stats.verdict import Comparison, Word, decide, format_points, plural


def compare_with_reference(runs: Iterable[ScoredRun], protocol: Protocol) -> list[Comparison]:
    """Every other pooler against the reference, on each dataset and encoder.

    Holm's correction is over the P-1 comparisons of one dataset and encoder. Poolers without usable
    runs are counted, so finishing their runs later does not change this number.
    """
    runs = list(runs)
    others = sorted({r.pooler for r in runs} - {protocol.reference})
    return _compare(runs, [(other, protocol.reference) for other in others], protocol)


def compare_probabilities(runs: Iterable[ScoredRun], protocol: Protocol) -> list[Comparison]:
    """The comparisons with the reference by Brier score, with the same margin in its points.

    A proper score uses how certain a prediction is and often needs fewer examples. Its family is
    its own. Tasks without one true class have no such comparison.
    """
    runs = list(runs)
    finished = [r for r in runs if r.status == "ok"]  # only these know their task
    others = {(r.dataset, r.encoder) for r in finished if "accuracy" not in METRICS[r.task]}
    runs = [r for r in runs if (r.dataset, r.encoder) not in others]
    return compare_with_reference(runs, protocol.model_copy(update={"metric": "brier"}))


def compare_all_pairs(runs: Iterable[ScoredRun], protocol: Protocol) -> list[Comparison]:
    """Each pair of poolers once, on each dataset and encoder; Holm over all P(P-1)/2 pairs."""
    runs = list(runs)
    return _compare(runs, list(combinations(sorted({r.pooler for r in runs}), 2)), protocol)


def comparable(pairs: Sequence[Comparison]) -> list[str]:
    """The largest set of poolers of one task that all have verdicts on each other."""
    judged = [c for c in pairs if c.word is not Word.NONE]
    others: dict[str, set[str]] = {}
    for c in judged:
        others.setdefault(c.first, {c.first}).add(c.second)
        others.setdefault(c.second, {c.second}).add(c.first)
    return max(map(sorted, others.values()), key=len, default=[])


def collapsed(means: Array) -> NDArray[np.bool_]:
    """Runs (S,) far below the others: 5 points and 5 robust standard deviations off the median."""
    below = np.median(means) - means
    return below > max(0.05, 5 * 1.4826 * float(np.median(np.abs(below))))


@dataclass(frozen=True, eq=False)
class _Side:
    """One pooler on one task. Its scores are computed once for all of its pairs."""

    runs: list[ScoredRun]
    metric: str

    @cached_property
    def scores(self) -> Array:
        """(S, n), or (n,) of all folds."""
        return scores_of(self.runs, self.metric)

    @cached_property
    def clusters_and_folds(self) -> tuple[Clusters, NDArray[np.int64] | None]:
        """Clusters of the test examples, and the fold of each (n,)."""
        groups, folds = groups_of(self.runs)
        return Clusters(groups, self.scores.shape[-1]), folds

    @cached_property
    def means(self) -> Array:
        """(S,)."""
        return seed_means(self.scores, self.clusters_and_folds[1])


def _compare(
    runs: list[ScoredRun], pairs: list[tuple[str, str]], protocol: Protocol
) -> list[Comparison]:
    found: list[Comparison] = []
    for task in sorted({(r.dataset, r.encoder) for r in runs}):
        of_task = sorted((r for r in runs if (r.dataset, r.encoder) == task), key=lambda r: r.seed)
        # By default one look is planned, at the seeds that were declared for this task.
        looks = tuple(protocol.looks or [len({r.seed for r in of_task})])
        if folds := max(r.folds for r in of_task):
            looks = (folds,)  # there is no verdict on a part of the folds
        sides = {
            name: _Side([r for r in of_task if r.pooler == name], protocol.metric)
            for name in chain.from_iterable(pairs)
        }
        family = [
            _describe(task, {name: sides[name] for name in pair}, len(pairs), looks, protocol)
            for pair in pairs
        ]
        # A comparison without a test counts as p = 1.
        p = np.array([1.0 if c.estimate is None else guarded_p(c.estimate) for c in family])
        adjusted = np.minimum(holm(p) * [len(c.looks) for c in family], 1)  # Bonferroni
        found += [
            c if c.estimate is None else _judge(c, c.estimate, *map(float, pair))
            for c, *pair in zip(family, p, adjusted, strict=True)
        ]
    return found


def _describe(
    task: tuple[str, str],
    sides: Mapping[str, _Side],
    family: int,
    looks: tuple[int, ...],
    protocol: Protocol,
) -> Comparison:
    """The comparison before any test: its estimate, or why there is none."""
    (first, second), (dataset, encoder) = sides, task
    trained = any(run.trained for side in sides.values() for run in side.runs)
    looks = looks if trained else (1,)  # there are no seeds to add
    chosen = protocol.model_dump(include={"metric", "margin", "power"})
    chosen |= {"family": family, "looks": looks, "level": protocol.alpha / len(looks)}
    blank = Comparison(first, second, dataset, encoder, **chosen)
    runs = {name: side.runs for name, side in sides.items()}
    matched = repeated(runs)
    why = next(pairing_errors(matched), None)
    task_name = runs[first][0].task if why is None else None
    if task_name and blank.metric not in (*METRICS[task_name], "brier"):
        why = f"{task_name} has no {METRIC_NAMES[blank.metric]}"
    if why is not None:
        return replace(blank, why=why)
    one, other = sides.values()
    clusters, folds = one.clusters_and_folds
    d = one.scores - other.scores  # (S, n), or (n,) of all folds
    seeds = tuple(r.seed for r in matched[first])
    if clusters.number < 2:
        why = "all test examples depend on each other"
    elif trained and len(seeds) == 1:
        why = "single seed, no inference"
    elif trained and len(seeds) < FEWEST_SEEDS and folds is None:
        why = f"descriptive only, {len(seeds)} of the {FEWEST_SEEDS} seeds a test needs"
    return replace(
        blank,
        why=why,
        seeds=seeds,
        examples=d.shape[-1],
        delta=float(100 * d.mean()),
        collapsed=_describe_collapsed({name: s.means for name, s in sides.items()}, seeds),
        unit="" if not trained else "seed" if folds is None else "fold",
        per_seed=tuple((100 * (one.means - other.means)).tolist()),
        estimate=None if why else paired(d, clusters, folds),
        sides=runs,
    )


def _describe_collapsed(means: Mapping[str, Array], seeds: Sequence[int]) -> str:
    """Collapsed runs of two poolers (S,), and their difference without these seeds, in words."""
    means = {name: np.broadcast_to(of, len(seeds)) for name, of in means.items()}
    lost = {name: collapsed(of) for name, of in means.items()}
    first, second = means.values()
    kept = ~np.any(list(lost.values()), axis=0)
    if kept.all():
        return ""
    who = " and ".join(
        f"{which.sum()} of {plural(len(seeds), 'run')} of {name} collapsed "
        f"({listed(np.array(seeds)[which].tolist())})"
        for name, which in lost.items()
        if which.any()
    )
    without = "it" if sum(which.sum() for which in lost.values()) == 1 else "them"
    return f"{who}; without {without} {format_points(100 * (first - second)[kept].mean())}."


def _judge(c: Comparison, estimate: Crossed, p: float, p_adjusted: float) -> Comparison:
    delta, margin = float(estimate.delta), c.margin / 100
    # Power at this level holds whatever the results of the other pairs in the family.
    sure = c.level / c.family
    half, narrow = (float(guarded_half_width(estimate, a)) for a in (c.level, 2 * c.level))
    word = decide(delta, half, narrow, p_adjusted, c.level * len(c.looks), margin)
    needs, quantiles = None, None
    if word is Word.INCONCLUSIVE:
        needs = needed(estimate, margin, sure, c.power)
        if needs[0] > len(c.seeds) and needs[1] == c.examples:
            quantiles = seeds_range(estimate, margin, sure, c.power)
    return replace(
        c,
        delta=100 * delta,
        interval=(100 * (delta - half), 100 * (delta + half)),
        narrow_interval=(100 * (delta - narrow), 100 * (delta + narrow)),
        p=p,
        p_adjusted=p_adjusted,
        word=word,
        exploratory=len(c.seeds) not in c.looks,
        needs=needs,
        seeds_range=quantiles,
        finds=100 * smallest_difference(estimate, len(c.seeds), c.examples, sure, c.power),
    )
