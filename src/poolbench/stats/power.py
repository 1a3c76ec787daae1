"""Seeds and test examples needed for a difference of a given size, and the smallest one found.

The variances come from the estimate of a study, or of a pilot study. Units are those of the scores;
``...`` are independent comparisons, **B** bootstrap draws.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from poolbench.stats.paired_test import Crossed, Nested, Values
from poolbench.stats.scores import Array

MOST_SEEDS = 100  # where more seeds than this would be needed, more examples are advised as well
MOST_EXAMPLES = 10_000_000
# Variance components (seed, example, residual) of differences in accuracy that were measured with
# frozen MiniLM on film reviews: mean - max, whose seeds hardly differ, and conv - mean.
TYPICAL = {"fixed": (0.0, 0.10, 0.06), "learned": (0.00018, 0.06, 0.07)}


def components(estimate: Crossed) -> tuple[Values, Values, Values]:
    """Variance components of seed, example and residual; negative estimates are set to 0."""
    return (
        np.maximum(estimate.ms_seed - estimate.ms_error, 0) / estimate.examples_per_seed,
        np.maximum(estimate.ms_example - estimate.ms_error, 0) / estimate.seeds_per_example,
        estimate.ms_error,
    )


def expected(estimate: Crossed, seeds: Values, examples: Values) -> Crossed:
    """The mean squares to expect with other numbers of seeds and examples."""
    seed, example, residual = components(estimate)
    ratio = examples / estimate.examples
    clusters = None if estimate.clusters is None else ratio * estimate.clusters
    sized = replace(estimate, seeds=seeds, examples=examples, clusters=clusters)
    return replace(
        sized,
        ms_seed=sized.examples_per_seed * seed + residual,
        ms_example=sized.seeds_per_example * example + residual,
    )


def predicted_power(
    estimate: Crossed, seeds: Values, examples: Values, effect: float, alpha: float
) -> Array:
    """Probability (...) that a study of this size finds ``effect`` with the right sign.

    All guards must reject, so the smallest power counts. The residual guard is left out: its
    expected variance is never above that of the others.
    """
    guards = expected(estimate, seeds, examples).guards[:2]
    powers = [_t_power(effect, *guard, alpha) for guard in guards]
    return np.asarray(np.stack(np.broadcast_arrays(*powers)).min(axis=0))


def seeds_needed(estimate: Crossed, effect: float, alpha: float, power: float = 0.8) -> Array:
    """Smallest number of seeds (...) that reaches ``power``; inf where MOST_SEEDS do not."""

    def enough(seeds: Array) -> NDArray[np.bool_]:
        return predicted_power(estimate, seeds, estimate.examples, effect, alpha) >= power

    return _smallest(enough, np.shape(estimate.ms_error), MOST_SEEDS)


def examples_needed(estimate: Crossed, effect: float, alpha: float, power: float = 0.8) -> Array:
    """Smallest number of examples (...) that reaches ``power`` with these seeds, else inf."""

    def enough(examples: Array) -> NDArray[np.bool_]:
        return predicted_power(estimate, estimate.seeds, examples, effect, alpha) >= power

    return _smallest(enough, np.shape(estimate.ms_error), MOST_EXAMPLES)


def needed(
    estimate: Crossed, effect: float, alpha: float, power: float = 0.8
) -> tuple[float, float]:
    """Seeds and examples with which one comparison detects ``effect``.

    These seeds and examples if they suffice. Else more of what dominates the variance: examples,
    or seeds (which also reduce the residual, unless they are folds). Where that alone is not
    enough, both are multiplied by the same factor; inf beyond MOST_EXAMPLES.
    """
    s, n = float(estimate.seeds), float(estimate.examples)
    if predicted_power(estimate, s, n, effect, alpha) >= power:
        return s, n
    seed, example, residual = components(estimate)
    noise = residual / (estimate.seeds_per_example * n)
    by_examples = noise if isinstance(estimate, Nested) else example / n
    if by_examples > (seed / s if isinstance(estimate, Nested) else max(seed / s, noise)):
        examples = float(examples_needed(estimate, effect, alpha, power))
        if examples < np.inf:
            return s, examples
    else:
        seeds = float(seeds_needed(estimate, effect, alpha, power))
        if seeds < np.inf:
            return seeds, n

    def enough(seeds: Array) -> NDArray[np.bool_]:
        return predicted_power(estimate, seeds, n * seeds / s, effect, alpha) >= power

    both = float(_smallest(enough, (), int(MOST_EXAMPLES * s / n)))
    return both, np.ceil(both * n / s)


def seeds_range(
    estimate: Crossed, effect: float, alpha: float, power: float = 0.8, draws: int = 200
) -> tuple[float, float]:
    """Seeds needed for one comparison: 10 % and 90 % quantile of a bootstrap.

    The parametric bootstrap redraws the mean squares as scaled chi-squares, which is the
    uncertainty that few seeds leave. Its random numbers are fixed: same data, same answer.
    """
    s, n = int(estimate.seeds), int(estimate.clusters or estimate.examples)
    rng = np.random.default_rng(0)

    def redraw(ms: Values, dof: int) -> Values:
        return ms * rng.chisquare(dof, size=draws) / dof  # (B,)

    redrawn = replace(
        estimate,
        ms_seed=redraw(estimate.ms_seed, s - 1),
        ms_example=redraw(estimate.ms_example, n - 1),
        ms_error=redraw(estimate.ms_error, (s - 1) * (n - 1)),
    )
    seeds = seeds_needed(redrawn, effect, alpha, power)  # (B,)
    low, high = np.quantile(seeds, [0.1, 0.9], method="inverted_cdf")
    return float(low), float(high)


def smallest_difference(
    estimate: Crossed, seeds: float, examples: float, alpha: float, power: float = 0.8
) -> float:
    """The difference that one comparison of this size finds with probability ``power``."""
    found = 0.0
    for variance, dof in expected(estimate, seeds, examples).guards[:2]:

        def missing(shift: float, dof: Values = dof) -> float:
            return float(_power_at(shift, dof, alpha)) - power

        shift = optimize.brentq(missing, 0, 10 * -special.stdtrit(dof, alpha / 2) + 10)
        found = max(found, shift * float(np.sqrt(variance)))
    return found


def typical_difference(
    seeds: int,
    examples: int,
    comparisons: int,
    alpha: float = 0.05,
    power: float = 0.8,
    cross_validated: bool = False,
) -> tuple[float, float]:
    """Smallest difference, in points of accuracy, that a planned study is likely to find.

    Before any result the variances are those of TYPICAL: for poolers without parameters, and for
    learned ones. ``alpha`` is divided by the number of comparisons.

    Args:
        cross_validated: ``seeds`` are folds, and ``examples`` are those of all folds.
    """
    found = []
    for seed, example, residual in TYPICAL.values():
        squares = examples * seed + residual, seeds * example + residual, residual
        kind = Crossed
        if cross_validated:
            within = example + residual
            kind, squares = Nested, (examples / seeds * seed + within, seed + within, within)
        estimate = kind(0.0, *squares, seeds=seeds, examples=examples)
        level = alpha / comparisons
        found.append(100 * smallest_difference(estimate, seeds, examples, level, power))
    return min(found), max(found)


def _smallest(
    enough: Callable[[Array], NDArray[np.bool_]], shape: tuple[int, ...], most: int
) -> Array:
    """Smallest whole number (...) from 2 to ``most`` that is enough, else inf; by bisection."""
    low = np.full(shape, 1.0)  # never enough: one seed or example has no variance
    high = np.full(shape, float(most))
    reached = enough(high)
    while np.any(high - low > 1):
        middle = np.maximum(np.floor((low + high) / 2), 2)
        found = enough(middle)
        high, low = np.where(found, middle, high), np.where(found, low, middle)
    return np.where(reached, high, np.inf)


def _t_power(effect: float, variance: Values, dof: Values, alpha: float) -> Array:
    shift = np.full(np.shape(variance), np.inf)
    np.divide(effect, np.sqrt(variance), out=shift, where=np.greater(variance, 0))
    return _power_at(shift, dof, alpha)


def _power_at(shift: Values, dof: Values, alpha: float) -> Array:
    """Power of a t-test (...) whose noncentrality is ``shift``."""
    # scipy.stats gives the same numbers and takes 100 times as long.
    missed = special.nctdtr(dof, shift, -special.stdtrit(dof, alpha / 2))
    return np.asarray(1 - np.nan_to_num(missed), dtype=np.float64)  # NaN for huge shifts
