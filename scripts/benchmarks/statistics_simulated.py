"""Simulated poolers whose true difference is known.

**R** simulated studies, **P** poolers, **S** seeds, **n** test examples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from poolbench.stats.paired_test import Crossed, crossed, guarded_p, two_sided_p
from poolbench.stats.power import Components, components

EXAMPLES = 500
POOLERS = 6
ACCURACY = 0.8
AT_ONCE = 100  # studies simulated together: bounds the memory


@dataclass(frozen=True)
class Regime:
    """Where the differences between two poolers come from: standard deviations, noise being 1."""

    name: str
    by_seed: float
    by_example: float
    shared: float = 0.7  # difficulty of the example, the same for all poolers


REGIMES = (
    Regime("seed-dominated", by_seed=0.15, by_example=0.05),
    Regime("example-dominated", by_seed=0.02, by_example=1.0),
    Regime("mixed", by_seed=0.1, by_example=0.6),
)


def correct(
    rng: np.random.Generator,
    regime: Regime,
    studies: int,
    seeds: int,
    gains: Sequence[float] = (0.0,) * POOLERS,
) -> Iterator[NDArray[np.bool_]]:
    """Which predictions are right, (R, P, S, n) some studies at a time.

    A prediction is right when example, pooler on this example, pooler at this seed and noise add up
    to more than a threshold, set so that pooler p has the expected accuracy ACCURACY + gains[p].
    """
    spread = np.sqrt(1 + regime.shared**2 + regime.by_example**2 + regime.by_seed**2)
    threshold = (spread * stats.norm.isf(ACCURACY + np.array(gains))).astype(np.float32)

    def normal(*shape: int) -> NDArray[np.float32]:
        return rng.standard_normal(shape, dtype=np.float32)

    poolers = len(gains)
    for start in range(0, studies, AT_ONCE):
        r = min(AT_ONCE, studies - start)
        latent = normal(r, poolers, seeds, EXAMPLES)
        latent += regime.shared * normal(r, 1, 1, EXAMPLES)
        latent += regime.by_example * normal(r, poolers, 1, EXAMPLES)
        latent += regime.by_seed * normal(r, poolers, seeds, 1)
        yield latent > threshold[:, None, None]


def against(right: NDArray[np.bool_], reference: int = 0) -> Crossed:
    """Estimates (R, P') of every pooler after the reference minus the reference."""
    right = right[:, reference:]
    return crossed(right[:, 1:].astype(np.int8) - right[:, :1].astype(np.int8))


def p_against(right: NDArray[np.bool_], reference: int = 0) -> NDArray[np.float64]:
    """Guarded p (R, P') of every pooler after the reference against the reference."""
    return np.asarray(guarded_p(against(right, reference)))


def seeds_alone_p(estimate: Crossed) -> NDArray[np.float64]:
    """p of the paired t over seed means."""
    return np.asarray(two_sided_p(estimate.delta, estimate.seed_variance, estimate.seeds - 1))


def true_components(estimates: Sequence[Crossed]) -> Components:
    """The variance components behind many simulated studies."""

    def mean(name: str) -> float:
        return float(np.mean(np.concatenate([np.ravel(getattr(e, name)) for e in estimates])))

    e = estimates[0]
    mean_squares = mean("ms_seed"), mean("ms_example"), mean("ms_error")
    return components(*mean_squares, seeds=e.seeds, examples=e.examples)
