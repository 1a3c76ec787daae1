"""Paired differences of scores over seeds and examples: estimate, p, interval, corrections.

**S** paired seeds, **n** test examples; leading axes (``...``) are independent comparisons.
Units are those of the scores: 1.0, not 100 points.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from poolbench.stats.scores import Array

Values = Array | float | int  # one per comparison: an array (...), or a number for a single one
ALPHA = 0.05  # of the interval of a mean over seeds


@dataclass(frozen=True, eq=False)
class Crossed:
    """Mean difference and mean squares of a crossed layout: seeds and examples are both samples.

    Arrays have the leading shape (...) of the differences. ``clusters`` is the number of groups of
    dependent examples; None where every example is independent.
    """

    delta: Values
    ms_seed: Values
    ms_example: Values
    ms_error: Values
    seeds: Values
    examples: Values
    clusters: Values | None = None

    @property
    def examples_per_seed(self) -> Values:
        """Number of examples that each seed is tested on."""
        return self.examples

    @property
    def seeds_per_example(self) -> Values:
        """Number of seeds that each example is tested with."""
        return self.seeds

    @cached_property
    def guards(self) -> tuple[tuple[Values, Values], ...]:
        """Variance of ``delta`` and degrees of freedom of three t-tests that must all reject.

        1. Over seeds and examples; degrees of freedom by Satterthwaite (1946), in [1, n-1];
           clusters take the place of the n examples there.
        2. Over seeds alone: the paired t-test over seed means.
        3. Over the residual. It is needed where each seed is right on different examples: all seed
           means and all example means are equal then, and only the residual shows the spread.
        """
        s, n = self.seeds, self.examples
        free = (n if self.clusters is None else self.clusters) - 1
        both = self.ms_seed + self.ms_example - self.ms_error
        # The error mean square may be large by chance: never below seeds or examples alone.
        pooled = np.maximum(np.maximum(both, self.ms_seed), self.ms_example)
        spread = (
            self.ms_seed**2 / (s - 1)
            + self.ms_example**2 / free
            + self.ms_error**2 / ((s - 1) * free)
        )
        # Without any spread the variance is 0 and the degrees of freedom have no effect.
        dof = np.divide(pooled**2, spread, out=np.ones_like(spread), where=np.greater(spread, 0))
        return (
            (pooled / (s * n), np.clip(dof, 1, free)),
            (self.ms_seed / (s * n), s - 1),
            (self.ms_error / (s * n), free),
        )


class Nested(Crossed):
    """The same for cross-validation: ``seeds`` folds, in one of which each example is tested.

    ``ms_seed`` is the mean square between folds, ``ms_error`` that within folds, and
    ``ms_example`` that of all examples.
    """

    @property
    def examples_per_seed(self) -> Values:
        """Number of examples that each fold is tested on, on average."""
        return self.examples / self.seeds

    @property
    def seeds_per_example(self) -> Values:
        """Each example is tested once."""
        return 1

    @cached_property
    def guards(self) -> tuple[tuple[Values, Values], ...]:
        """Three t-tests: over all examples, over fold means, and over examples within folds.

        The first one misses what a fold has in common, its training; the second one sees it with
        few degrees of freedom.
        """
        n = self.examples
        free = (n if self.clusters is None else self.clusters) - 1
        return (
            (self.ms_example / n, free),
            (self.ms_seed / n, self.seeds - 1),
            (self.ms_error / n, free),
        )


def paired(
    differences: NDArray[Any],
    groups: NDArray[Any] | None = None,
    folds: NDArray[Any] | None = None,
) -> Crossed:
    """The estimate for seeds that share their test examples, or for ``folds`` that do not."""
    return crossed(differences, groups) if folds is None else nested(differences, folds, groups)


def nested(
    differences: NDArray[Any], folds: NDArray[Any], groups: NDArray[Any] | None = None
) -> Nested:
    """Estimate from paired differences (..., n), where ``folds`` (n,) has the fold of each example.

    ``groups`` are clusters of examples as in :func:`crossed`.
    """
    d = np.asarray(differences, dtype=np.float64)  # (..., n)
    examples, sizes = d.shape[-1], np.bincount(folds)
    clusters = examples if groups is None else len(np.unique(groups))
    if len(sizes) < 2 or clusters < 2:
        raise ValueError(f"need at least 2 folds and 2 examples, got {len(sizes)} and {clusters}")
    delta, by_fold = d.mean(axis=-1), seed_means(d, folds)
    scale = clusters / ((clusters - 1) * examples)
    within = _cluster_sums(d - by_fold[..., folds], groups)
    example_effect = _cluster_sums(d - delta[..., None], groups)
    between = sizes * np.square(by_fold - delta[..., None])
    return Nested(
        delta,
        ms_seed=between.sum(axis=-1) / (len(sizes) - 1),
        ms_example=scale * np.square(example_effect).sum(axis=-1),
        ms_error=scale * np.square(within).sum(axis=-1),
        seeds=len(sizes),
        examples=examples,
        clusters=None if groups is None else clusters,
    )


def seed_means(values: Array, folds: NDArray[Any] | None = None) -> Array:
    """Means (..., S) of values (..., S, n), or with folds the means of each fold of (..., n)."""
    if folds is None:
        return np.asarray(values.mean(axis=-1))
    one_hot = folds[:, None] == np.arange(folds.max() + 1)  # (n, S)
    return np.asarray(values @ (one_hot / one_hot.sum(axis=0)))


def _cluster_sums(values: Array, groups: NDArray[Any] | None) -> Array:
    """Sums over the clusters of the last axis; the values where every example is one."""
    if groups is None:
        return values
    order = np.argsort(groups, kind="stable")
    starts = np.unique(np.asarray(groups)[order], return_index=True)[1]
    return np.asarray(np.add.reduceat(values[..., order], starts, axis=-1))


def crossed(differences: NDArray[Any], groups: NDArray[Any] | None = None) -> Crossed:
    """Crossed random-effects estimate from paired differences (..., S, n).

    Two-way layout with one observation per seed and example (Searle, Casella and McCulloch,
    Variance Components, 1992). With ``groups`` (n,), the cluster of each example, the mean squares
    of examples and residual are those of sums over clusters (Liang and Zeger 1986), so that
    examples of one document or user may depend on each other.

    Raises ValueError for fewer than 2 seeds or 2 independent examples.
    """
    d = np.asarray(differences, dtype=np.float64)  # (..., S, n)
    seeds, examples = d.shape[-2:]
    clusters = examples if groups is None else len(np.unique(groups))
    if seeds < 2 or clusters < 2:
        raise ValueError(f"need at least 2 seeds and 2 examples, got {seeds} and {clusters}")
    by_seed = d.mean(axis=-1)  # (..., S)
    by_example = d.mean(axis=-2)  # (..., n)
    delta = by_seed.mean(axis=-1)  # (...)
    seed_effect = by_seed - delta[..., None]
    example_effect = by_example - delta[..., None]
    residual = d - by_seed[..., None] - example_effect[..., None, :]
    example_effect, residual = (_cluster_sums(v, groups) for v in (example_effect, residual))
    scale = clusters / ((clusters - 1) * examples)  # 1 / (n - 1) without clusters
    return Crossed(
        delta,
        ms_seed=examples * np.square(seed_effect).sum(axis=-1) / (seeds - 1),
        ms_example=scale * seeds * np.square(example_effect).sum(axis=-1),
        ms_error=scale * np.square(residual).sum(axis=(-1, -2)) / (seeds - 1),
        seeds=seeds,
        examples=examples,
        clusters=None if groups is None else clusters,
    )


def two_sided_p(delta: Values, variance: Values, dof: Values) -> Array:
    """Two-sided p of a t statistic; without variance, 1 for no difference and 0 otherwise."""
    size = np.abs(delta)
    t = np.where(size > 0, np.inf, 0.0)
    np.divide(size, np.sqrt(variance), out=t, where=np.greater(variance, 0))
    return np.asarray(2 * special.stdtr(dof, -t), dtype=np.float64)


def guarded_p(estimate: Crossed) -> Array:
    """The largest p (...) of the guards."""
    p = np.stack([two_sided_p(estimate.delta, *guard) for guard in estimate.guards])
    return np.asarray(p.max(axis=0), dtype=np.float64)


def guarded_half_width(estimate: Crossed, alpha: float) -> Array:
    """Half width (...) of the widest 1 - alpha interval of the guards."""
    halves = [-special.stdtrit(dof, alpha / 2) * np.sqrt(v) for v, dof in estimate.guards]
    return np.asarray(np.stack(halves).max(axis=0), dtype=np.float64)


def holm(p: Array) -> Array:
    """Adjusted p (..., m) that control the family-wise error over the last axis (Holm 1979)."""
    order = np.argsort(p, axis=-1)
    steps = p.shape[-1] - np.arange(p.shape[-1])
    raised = np.maximum.accumulate(np.take_along_axis(p, order, axis=-1) * steps, axis=-1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(raised, 1.0), axis=-1)
    return adjusted


@dataclass(frozen=True)
class Mean:
    """A mean over seeds and its interval over seeds and test examples, both in percent.

    ``interval`` is None for a single seed and for seeds with different test sets.
    """

    value: float
    interval: tuple[float, float] | None


def mean_over_seeds(
    recorded: Sequence[float | None], scores: Sequence[Array], cross_validated: bool = False
) -> Mean:
    """The mean of one or more runs of one configuration.

    Args:
        recorded: the metric of each run in its record, between 0 and 1; None to use its scores.
        scores: per-example scores of each run, (n,).
        cross_validated: whether the runs are folds.
    """
    shares = [s.mean() if r is None else r for r, s in zip(recorded, scores, strict=True)]
    value = 100 * float(np.mean(shares))
    sizes = {len(s) for s in scores}
    if len(scores) < 2 or min(sizes) < 2 or (len(sizes) > 1 and not cross_validated):
        return Mean(value, None)
    folds = np.repeat(np.arange(len(scores)), list(map(len, scores))) if cross_validated else None
    whole = np.stack(scores) if folds is None else np.concatenate(scores)
    half = 100 * float(guarded_half_width(paired(whole, None, folds), ALPHA))
    return Mean(value, (max(value - half, 0.0), min(value + half, 100.0)))
