"""How many seeds, or how many test examples, it takes to find a difference of a given size.

Units are those of the scores. **B** bootstrap draws.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from poolbench.stats.paired_test import Array, Crossed, Values, variance_of_mean

MOST_SEEDS = 1000  # beyond this, "more seeds" is no advice


@dataclass(frozen=True, eq=False)
class Components:
    """Variances of one paired difference: of a seed, of an example, of what is left, each (...)."""

    seed: Values
    example: Values
    error: Values


def components(
    ms_seed: Values, ms_example: Values, ms_error: Values, seeds: int, examples: int
) -> Components:
    """Variance components from the mean squares, negative estimates set to 0."""
    return Components(
        seed=np.maximum(ms_seed - ms_error, 0) / examples,
        example=np.maximum(ms_example - ms_error, 0) / seeds,
        error=ms_error,
    )


def predicted_power(
    parts: Components, seeds: Values, examples: int, effect: float, alpha: float
) -> Values:
    """Chance (...) that the guarded test finds ``effect`` with its right sign at level alpha.

    Both tests of the guard must reject, so the smaller power of the two is taken.
    """
    ms_seed = examples * parts.seed + parts.error
    ms_example = seeds * parts.example + parts.error
    variance, dof = variance_of_mean(ms_seed, ms_example, parts.error, seeds, examples)
    both = _t_power(effect, variance, dof, alpha)
    seeds_alone = _t_power(effect, ms_seed / (seeds * examples), seeds - 1, alpha)
    return np.minimum(both, seeds_alone)


def seeds_needed(
    parts: Components, examples: int, effect: float, alpha: float, power: float = 0.8
) -> Array:
    """Smallest number of seeds (...) that reaches ``power``; inf where MOST_SEEDS do not."""
    low = np.full(np.shape(parts.error), 1.0)  # never enough: one seed has no variance
    high = np.full(np.shape(parts.error), float(MOST_SEEDS))
    reached = predicted_power(parts, high, examples, effect, alpha) >= power
    while np.any(high - low > 1):
        middle = np.maximum(np.floor((low + high) / 2), 2)
        enough = predicted_power(parts, middle, examples, effect, alpha) >= power
        high = np.where(enough, middle, high)
        low = np.where(enough, low, middle)
    return np.where(reached, high, np.inf)


def seeds_range(
    estimate: Crossed, effect: float, alpha: float, power: float = 0.8, draws: int = 200
) -> tuple[float, float, float]:
    """Seeds needed: from the estimate, and the 10 and 90 % points of a parametric bootstrap.

    The mean squares of one comparison (no leading axes) are redrawn as scaled chi-squares, which
    is what a few seeds leave uncertain. The draws are fixed: the same data, the same answer.
    """
    s, n = estimate.seeds, estimate.examples
    rng = np.random.default_rng(0)

    def redraw(ms: Values, dof: int) -> Array:
        return np.append(ms, ms * rng.chisquare(dof, size=draws) / dof)  # (1 + B,)

    parts = components(
        redraw(estimate.ms_seed, s - 1),
        redraw(estimate.ms_example, n - 1),
        redraw(estimate.ms_error, (s - 1) * (n - 1)),
        s,
        n,
    )
    needed = seeds_needed(parts, n, effect, alpha, power)  # (1 + B,)
    low, high = np.quantile(needed[1:], [0.1, 0.9], method="inverted_cdf")
    return float(needed[0]), float(low), float(high)


def smallest_effect(parts: Components, examples: int, alpha: float, power: float = 0.8) -> Values:
    """Difference found with ``power`` by endlessly many seeds on this test set (the floor), (...).

    2.8 sqrt(example variance / n) at alpha = .05 and 80 %.
    """
    return np.asarray(_reach(alpha, power) * np.sqrt(parts.example / examples), dtype=np.float64)


def examples_needed(parts: Components, effect: float, alpha: float, power: float = 0.8) -> Values:
    """Test examples (...) for which the floor comes down to ``effect``."""
    return np.asarray(np.ceil(parts.example * (_reach(alpha, power) / effect) ** 2))


def _reach(alpha: float, power: float) -> float:
    return float(stats.norm.isf(alpha / 2) + stats.norm.ppf(power))


def _t_power(effect: float, variance: Values, dof: Values, alpha: float) -> Values:
    critical = stats.t.isf(alpha / 2, dof)
    shift = np.full(np.shape(variance), np.inf)
    np.divide(effect, np.sqrt(variance), out=shift, where=np.greater(variance, 0))
    # Far out the power is 1; the noncentral t is not asked to work with infinities there.
    far = shift > 1e6
    found = stats.nct.sf(critical, dof, np.where(far, 0.0, shift))
    return np.asarray(np.where(far, 1.0, found), dtype=np.float64)
