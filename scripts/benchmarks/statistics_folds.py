"""Checks of cross-validation, in which folds take the place of seeds.

**R** simulated studies, **k** folds, **N** examples of all folds.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from statistics_simulation import (
    ALPHA,
    BATCH,
    EQUAL,
    REAL,
    Hits,
    Rate,
    Row,
    row,
    simulated,
)

from poolbench.stats.paired_test import (
    Nested,
    crossed,
    guarded_half_width,
    guarded_p,
    nested,
    two_sided_p,
)

# Film reviews: all examples, and those of the test set.
ALL = {name: r._replace(examples=8530) for name, r in REAL.items()}
TESTED = 2530
GAIN = 0.014


def corrected_p(estimate: Nested) -> NDArray[Any]:
    """The corrected resampled t-test over folds (Nadeau and Bengio 2003)."""
    variance, dof = estimate.guards[1]
    return two_sided_p(estimate.delta, variance * (1 + (dof + 1) / dof), dof)


def of_folds(right: Hits) -> Nested:
    """The second pooler minus the first, each example tested in one fold: runs (R, 2, k, N)."""
    d = right[:, 1].astype(np.int8) - right[:, 0].astype(np.int8)
    k, examples = d.shape[1:]
    fold = np.arange(examples) * k // examples
    return nested(d[:, fold, np.arange(examples)], fold)


def equal_poolers(right: Hits) -> Iterator[Rate]:
    yield "A/A, one pair, cross-validation", ALPHA, guarded_p(of_folds(right)) <= ALPHA


def one_gain(right: Hits) -> Iterator[Rate]:
    """Cross-validation over all examples, or the same number of runs tested on a part of them."""
    estimate = of_folds(right)
    half, delta = guarded_half_width(estimate, ALPHA), np.asarray(estimate.delta)
    missed = np.abs(delta - GAIN) > half
    yield "95 % interval misses the truth, cross-validation", ALPHA, missed
    yield "power at 1.4 points, folds over all 8,530 examples", None, delta > half
    corrected = (corrected_p(estimate) <= ALPHA) & (delta > 0)
    yield "power at 1.4 points, folds, corrected resampled t", None, corrected
    part = right[..., :TESTED].astype(np.int8)
    seeds = crossed(part[:, 1] - part[:, 0])
    found = seeds.delta > guarded_half_width(seeds, ALPHA)
    yield "power at 1.4 points, seeds on a test set of 2,530", None, found


def ridge_differences(
    rng: Generator, studies: int, examples: int, k: int, features: int
) -> Iterator[NDArray[Any]]:
    """Differences (R, N) of two ridge classifiers, each on its half of the features.

    The halves are equally informative, so the classifiers are equally good over random data. Their
    training sets overlap as those of real folds do.
    """
    for start in range(0, studies, BATCH):
        r = min(BATCH, studies - start)
        x = rng.standard_normal((2, r, k, examples // k, features))
        weights = rng.standard_normal((r, 1, features, 1)) / np.sqrt(features)
        noise = rng.standard_normal((r, k, examples // k, 1)) / 2
        y = np.sign(x.sum(axis=0) @ weights + noise)
        gram, target = x.swapaxes(-1, -2) @ x, x.swapaxes(-1, -2) @ y
        others = gram.sum(axis=2, keepdims=True) - gram + np.eye(features)
        learned = np.linalg.solve(others, target.sum(axis=2, keepdims=True) - target)
        right = (np.sign(x @ learned) == y).reshape(2, r, -1).astype(np.int8)
        yield right[0] - right[1]


def overlapping(rng: Generator, studies: int) -> Iterator[Row]:
    """A/A over random data: few features are learned well, many differently from other data."""
    for features, limit in ((10, ALPHA), (60, None)):
        for k in (5, 10):
            fold = np.repeat(np.arange(k), 200 // k)
            drawn = ridge_differences(rng, studies, 200, k, features)
            estimates = [nested(d, fold) for d in drawn]
            setting = f"ridge, {features} features, 200 examples"
            scope = "" if limit else "out of scope: "
            for what, most, p in (
                (f"{scope}A/A over other data, cross-validation", limit, guarded_p),
                ("A/A over other data, corrected resampled t", None, corrected_p),
                (
                    "A/A over other data, t over all examples alone",
                    None,
                    lambda e: two_sided_p(e.delta, *e.guards[0]),
                ),
            ):
                hits = np.concatenate([p(estimate) <= ALPHA for estimate in estimates])
                yield row(what, setting, k, hits, most)


FOLDS = {
    "cross-validation": simulated(
        *((equal_poolers, k, EQUAL[:2]) for k in (2, 5, 10)),
    ),
    "cross-validation, power": simulated(
        *((one_gain, k, (0.0, GAIN)) for k in (5, 10)), regimes=ALL, share=4
    ),
    "cross-validation, overlap": overlapping,
}
