"""Paired differences of scores over seeds and examples: estimate, p, interval, corrections.

**S** paired seeds, **n** test examples. Leading axes (``...``) are many comparisons at once.
Nothing here knows about records or poolers; units are those of the scores (1.0, not 100 points).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
Values = Array | float | int  # one per comparison: an array (...), or a number for a single one


@dataclass(frozen=True, eq=False)
class Crossed:
    """Mean difference with its variance when seeds and examples are both samples.

    Every array has the leading shape (...) of the differences it came from.
    """

    delta: Values
    ms_seed: Values
    ms_example: Values
    ms_error: Values
    variance: Values
    dof: Values
    seeds: int
    examples: int

    @property
    def seed_variance(self) -> Values:
        """Variance of the mean when only the seeds are a sample, as in a paired t over seeds."""
        return self.ms_seed / (self.seeds * self.examples)


def crossed(differences: NDArray[Any]) -> Crossed:
    """Crossed random-effects estimate from paired differences (..., S, n).

    Two-way layout with one observation per seed and example (Searle, Casella and McCulloch,
    Variance Components, 1992). Raises ValueError for fewer than 2 seeds or 2 examples.
    """
    d = np.asarray(differences, dtype=np.float64)  # (..., S, n)
    seeds, examples = d.shape[-2:]
    if seeds < 2 or examples < 2:
        raise ValueError(f"need at least 2 seeds and 2 examples, got {seeds} and {examples}")
    by_seed = d.mean(axis=-1)  # (..., S)
    by_example = d.mean(axis=-2)  # (..., n)
    delta = by_seed.mean(axis=-1)  # (...)
    seed_effect = by_seed - delta[..., None]
    example_effect = by_example - delta[..., None]
    residual = d - by_seed[..., None] - example_effect[..., None, :]
    ms_seed = examples * np.square(seed_effect).sum(axis=-1) / (seeds - 1)
    ms_example = seeds * np.square(example_effect).sum(axis=-1) / (examples - 1)
    ms_error = np.square(residual).sum(axis=(-1, -2)) / ((seeds - 1) * (examples - 1))
    variance, dof = variance_of_mean(ms_seed, ms_example, ms_error, seeds, examples)
    return Crossed(delta, ms_seed, ms_example, ms_error, variance, dof, seeds, examples)


def variance_of_mean(
    ms_seed: Values, ms_example: Values, ms_error: Values, seeds: Values, examples: int
) -> tuple[Values, Values]:
    """Variance of the mean difference and its degrees of freedom, both (...).

    Satterthwaite (1946), clipped to [1, n-1]. The maximum keeps the variance from falling under
    that of seeds alone or examples alone when the error mean square is large by chance.
    """
    pooled = np.maximum(np.maximum(ms_seed + ms_example - ms_error, ms_seed), ms_example)
    spread = (
        ms_seed**2 / (seeds - 1)
        + ms_example**2 / (examples - 1)
        + ms_error**2 / ((seeds - 1) * (examples - 1))
    )
    # No spread at all: any value serves, since nothing divides by the variance then.
    dof = np.divide(pooled**2, spread, out=np.ones_like(spread), where=np.greater(spread, 0))
    return pooled / (seeds * examples), np.clip(dof, 1, examples - 1)


def two_sided_p(delta: Values, variance: Values, dof: Values) -> Values:
    """Two-sided p of a t statistic; without variance, 1 for no difference and 0 otherwise."""
    size = np.abs(delta)
    t = np.where(size > 0, np.inf, 0.0)
    np.divide(size, np.sqrt(variance), out=t, where=np.greater(variance, 0))
    return np.asarray(2 * stats.t.sf(t, dof), dtype=np.float64)


def guarded_p(estimate: Crossed) -> Values:
    """The larger p of the crossed test and of the paired t over seed means, (...)."""
    both = two_sided_p(estimate.delta, estimate.variance, estimate.dof)
    seeds_alone = two_sided_p(estimate.delta, estimate.seed_variance, estimate.seeds - 1)
    return np.maximum(both, seeds_alone)


def guarded_half_width(estimate: Crossed, alpha: float) -> Values:
    """Half width (...) of the guarded 1 - alpha interval: the wider of the two tests' intervals."""
    both = stats.t.isf(alpha / 2, estimate.dof) * np.sqrt(estimate.variance)
    seeds_alone = stats.t.isf(alpha / 2, estimate.seeds - 1) * np.sqrt(estimate.seed_variance)
    return np.asarray(np.maximum(both, seeds_alone), dtype=np.float64)


def equivalent(estimate: Crossed, margin: float, alpha: float) -> NDArray[np.bool_]:
    """True where the difference is shown to lie inside the margin, (...).

    Two one-sided tests at alpha (Schuirmann 1987), read off the guarded 1 - 2 alpha interval.
    """
    inside = np.abs(estimate.delta) + guarded_half_width(estimate, 2 * alpha) < margin
    return np.asarray(inside, dtype=np.bool_)


def holm(p: Array) -> Array:
    """Adjusted p (..., m) that control the family-wise error over the last axis (Holm 1979)."""
    order = np.argsort(p, axis=-1)
    steps = p.shape[-1] - np.arange(p.shape[-1])
    raised = np.maximum.accumulate(np.take_along_axis(p, order, axis=-1) * steps, axis=-1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(raised, 1.0), axis=-1)
    return adjusted


def look_level(seeds: int, looks: Sequence[int], alpha: float) -> tuple[float, bool]:
    """Level of one look, and whether testing at this many seeds was planned.

    Each planned look spends alpha / number of looks (Bonferroni), so testing at all of them stays
    under alpha however they depend on each other.
    """
    return alpha / max(len(looks), 1), seeds in looks


def partial_conjunction(p: Array, alpha: float) -> int:
    """The k of "the effect holds in at least k of these M results", 0..M.

    ``p`` (M,) may depend on one another: Bonferroni form of Dror, Baumer, Bogomolov and Reichart
    (TACL 2017), where the p of "at least k" is (M - k + 1) times the k-th smallest.
    """
    ordered = np.sort(p)
    steps = len(ordered) - np.arange(len(ordered))
    return int(np.sum(np.maximum.accumulate(ordered * steps) <= alpha))


def sign_flip_p(differences: Array, draws: int = 100_000) -> float:
    """Two-sided p of the mean (M,) under random signs: exact up to M = 16, else sampled.

    One value per dataset, each symmetric around zero if there is nothing to find (Fisher 1935).
    The smallest exact p is 2 / 2**M.
    """
    m = len(differences)
    exact = m <= 16
    if exact:
        signs = 1.0 - 2.0 * ((np.arange(2**m)[:, None] >> np.arange(m)) & 1)
    else:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(draws, m))
    # The tolerance keeps the observed signs among those "at least as large" despite rounding.
    hits = np.abs(signs @ differences) >= np.abs(differences.sum()) * (1 - 1e-12)
    return float(hits.mean()) if exact else float((hits.sum() + 1) / (draws + 1))
