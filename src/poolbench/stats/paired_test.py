"""Paired differences of scores over seeds and examples: estimate, p, interval, corrections.

**S** paired seeds, **n** test examples; leading axes (``...``) are independent comparisons.
Units are those of the scores: 1.0, not 100 points.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from poolbench.stats.clusters import Clusters, Groups, clustered
from poolbench.stats.jackknife import Array

Values = Array | float | int  # one per comparison: an array (...), or a number for a single one


@dataclass(frozen=True, eq=False)
class Crossed:
    """Mean difference and mean squares of a crossed layout: seeds and examples are both samples.

    Arrays have the leading shape (...) of the differences. ``clusters`` is the number of groups of
    dependent examples (for pairs of texts, of what they amount to); None where every example is
    independent.
    """

    delta: Values
    ms_seed: Values
    ms_example: Values
    ms_error: Values
    seeds: Values
    examples: Values
    clusters: Values | None = None

    @property
    def free(self) -> Values:
        """Degrees of freedom of the examples, or of their clusters."""
        return (self.examples if self.clusters is None else self.clusters) - 1

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
        s, n, free = self.seeds, self.examples, self.free
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
        return (
            (self.ms_example / n, self.free),
            (self.ms_seed / n, self.seeds - 1),
            (self.ms_error / n, self.free),
        )


class Items(Crossed):
    """The same where nothing was trained: there is one seed, and only examples are a sample."""

    @cached_property
    def guards(self) -> tuple[tuple[Values, Values], ...]:
        """One t-test over examples, or over clusters."""
        return ((self.ms_example / self.examples, self.free),)


def paired(
    differences: NDArray[Any], groups: Groups | Clusters = None, folds: NDArray[Any] | None = None
) -> Crossed:
    """The estimate for seeds that share their test examples, or for ``folds`` that do not.

    Differences of one seed, (..., 1, n), are those of runs that trained nothing.
    """
    if folds is not None:
        return nested(differences, folds, groups)
    return crossed(differences, groups) if differences.shape[-2] > 1 else items(differences, groups)


def items(differences: NDArray[Any], groups: Groups | Clusters = None) -> Items:
    """Estimate from the paired differences (..., 1, n) of runs that trained nothing.

    ``groups`` are clusters of examples as in :func:`crossed`.
    """
    d = np.asarray(differences, dtype=np.float64)[..., 0, :]  # (..., n)
    examples = d.shape[-1]
    delta, clusters = d.mean(axis=-1), clustered(groups, examples)
    ms_example = clusters.scale * clusters.squares(d - delta[..., None])
    none = np.zeros_like(ms_example)
    return Items(delta, none, ms_example, none, 1, examples, clusters.known)


def nested(
    differences: NDArray[Any], folds: NDArray[Any], groups: Groups | Clusters = None
) -> Nested:
    """Estimate from paired differences (..., n), where ``folds`` (n,) has the fold of each example.

    ``groups`` are clusters of examples as in :func:`crossed`.
    """
    d = np.asarray(differences, dtype=np.float64)  # (..., n)
    examples, sizes = d.shape[-1], np.bincount(folds)
    if len(sizes) < 2:
        raise ValueError(f"need at least 2 folds, got {len(sizes)}")
    delta, by_fold = d.mean(axis=-1), seed_means(d, folds)
    clusters = clustered(groups, examples)
    scale, squares = clusters.scale, clusters.squares
    between = sizes * np.square(by_fold - delta[..., None])
    return Nested(
        delta,
        ms_seed=between.sum(axis=-1) / (len(sizes) - 1),
        ms_example=scale * squares(d - delta[..., None]),
        ms_error=scale * squares(d - by_fold[..., folds]),
        seeds=len(sizes),
        examples=examples,
        clusters=clusters.known,
    )


def seed_means(values: Array, folds: NDArray[Any] | None = None) -> Array:
    """Means (..., S) of values (..., S, n), or with folds the means of each fold of (..., n)."""
    if folds is None:
        return np.asarray(values.mean(axis=-1))
    one_hot = folds[:, None] == np.arange(folds.max() + 1)  # (n, S)
    return np.asarray(values @ (one_hot / one_hot.sum(axis=0)))


def crossed(differences: NDArray[Any], groups: Groups | Clusters = None) -> Crossed:
    """Crossed random-effects estimate from paired differences (..., S, n).

    Two-way layout with one observation per seed and example (Searle, Casella and McCulloch,
    Variance Components, 1992). With ``groups`` of dependent examples, as in ``clusters.py``, the
    mean squares of examples and residual have products of dependent examples in place of squares.

    Raises ValueError for fewer than 2 seeds or 2 independent examples.
    """
    d = np.asarray(differences, dtype=np.float64)  # (..., S, n)
    seeds, examples = d.shape[-2:]
    if seeds < 2:
        raise ValueError(f"need at least 2 seeds, got {seeds}")
    by_seed = d.mean(axis=-1)  # (..., S)
    by_example = d.mean(axis=-2)  # (..., n)
    delta = by_seed.mean(axis=-1)  # (...)
    seed_effect = by_seed - delta[..., None]
    example_effect = by_example - delta[..., None]
    clusters = clustered(groups, examples)
    scale, squares = clusters.scale, clusters.squares
    of_error = np.zeros_like(delta)
    for seed in range(seeds):  # one at a time: memory for all at once takes longer than the sums
        of_error += squares(d[..., seed, :] - by_seed[..., seed, None] - example_effect)
    return Crossed(
        delta,
        ms_seed=examples * np.square(seed_effect).sum(axis=-1) / (seeds - 1),
        ms_example=scale * seeds * squares(example_effect),
        ms_error=scale * of_error / (seeds - 1),
        seeds=seeds,
        examples=examples,
        clusters=clusters.known,
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
