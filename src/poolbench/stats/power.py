"""Seeds and test examples needed to detect a difference of a given size.

The variances come from the estimate of a study, or of a pilot study. Units are those of the scores;
``...`` are independent comparisons, **B** bootstrap draws.
"""

from dataclasses import replace

import numpy as np
from scipy import stats

from poolbench.stats.paired_test import Crossed, Values
from poolbench.stats.scores import Array

MOST_SEEDS = 1000  # more seeds than this are not advised


def predicted_power(estimate: Crossed, seeds: Values, effect: float, alpha: float) -> Array:
    """Probability (...) that a study with so many seeds finds ``effect`` with the right sign.

    All guards must reject, so the smallest power counts. The residual guard is left out: its
    expected variance is never above that of the others.
    """
    expected = replace(
        estimate,
        ms_seed=np.maximum(estimate.ms_seed, estimate.ms_error),
        ms_example=seeds * _example_variance(estimate) + estimate.ms_error,
        seeds=seeds,
    )
    return np.minimum(*(_t_power(effect, *guard, alpha) for guard in expected.guards[:2]))


def seeds_needed(estimate: Crossed, effect: float, alpha: float, power: float = 0.8) -> Array:
    """Smallest number of seeds (...) that reaches ``power``; inf where MOST_SEEDS do not."""
    low = np.full(np.shape(estimate.ms_error), 1.0)  # never enough: one seed has no variance
    high = np.full(np.shape(estimate.ms_error), float(MOST_SEEDS))
    reached = predicted_power(estimate, high, effect, alpha) >= power
    while np.any(high - low > 1):
        middle = np.maximum(np.floor((low + high) / 2), 2)
        enough = predicted_power(estimate, middle, effect, alpha) >= power
        high = np.where(enough, middle, high)
        low = np.where(enough, low, middle)
    return np.where(reached, high, np.inf)


def seeds_range(
    estimate: Crossed, effect: float, alpha: float, power: float = 0.8, draws: int = 200
) -> tuple[float, float, float]:
    """Seeds needed for one comparison: estimate, 10 % and 90 % quantile of a bootstrap.

    The parametric bootstrap redraws the mean squares as scaled chi-squares, which is the
    uncertainty that few seeds leave. Its random numbers are fixed: same data, same answer.
    """
    s, n = int(estimate.seeds), int(estimate.examples)
    rng = np.random.default_rng(0)

    def redraw(ms: Values, dof: int) -> Array:
        return np.append(ms, ms * rng.chisquare(dof, size=draws) / dof)  # (1 + B,)

    redrawn = replace(
        estimate,
        ms_seed=redraw(estimate.ms_seed, s - 1),
        ms_example=redraw(estimate.ms_example, n - 1),
        ms_error=redraw(estimate.ms_error, (s - 1) * (n - 1)),
    )
    needed = seeds_needed(redrawn, effect, alpha, power)  # (1 + B,)
    low, high = np.quantile(needed[1:], [0.1, 0.9], method="inverted_cdf")
    return float(needed[0]), float(low), float(high)


def smallest_effect(estimate: Crossed, alpha: float, power: float = 0.8) -> Array:
    """Smallest difference (...) that infinitely many seeds detect on this test set.

    2.8 sqrt(example variance / n) at alpha = .05 and power = .8.
    """
    quantiles = stats.norm.isf(alpha / 2) + stats.norm.ppf(power)
    return np.asarray(quantiles * np.sqrt(_example_variance(estimate) / estimate.examples))


def examples_needed(estimate: Crossed, effect: float, alpha: float, power: float = 0.8) -> Array:
    """Test examples (...) with which infinitely many seeds detect ``effect``."""
    ratio = smallest_effect(estimate, alpha, power) / effect
    return np.asarray(np.ceil(estimate.examples * ratio**2))


def _example_variance(estimate: Crossed) -> Values:
    """Variance component of the examples; a negative estimate is set to 0."""
    return np.maximum(estimate.ms_example - estimate.ms_error, 0) / estimate.seeds


def _t_power(effect: float, variance: Values, dof: Values, alpha: float) -> Array:
    critical = stats.t.isf(alpha / 2, dof)
    shift = np.full(np.shape(variance), np.inf)
    np.divide(effect, np.sqrt(variance), out=shift, where=np.greater(variance, 0))
    # The power is 1 there, and the noncentral t distribution fails for huge arguments.
    far = shift > 1e6
    found = stats.nct.sf(critical, dof, np.where(far, 0.0, shift))
    return np.asarray(np.where(far, 1.0, found), dtype=np.float64)
