"""Dependent test examples: those of one cluster, or pairs of texts that share a text.

**n** test examples. ``groups`` are None where all are independent, (n,) the cluster of each, or
(n, 2) the two texts of each pair, where pairs that share a text depend on each other.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poolbench.stats.jackknife import Array

Groups = NDArray[Any] | None
Squares = Callable[[Array], Array]  # (..., n) to (...)


def dependent_squares(groups: Groups) -> Squares:
    """The function of values (..., n) that sums v_i v_j over all dependent i and j: (...).

    Clusters: the sum of squared cluster sums (Liang and Zeger 1986). Pairs: the dyadic sum of
    Aronow, Samii and Assenova (Political Analysis, 2015): squared sums over each text, less those
    over each two texts, which would count pairs of the same two texts twice. It can be negative,
    so it is never below the sum for independent pairs.
    """
    if groups is None:
        return _squares
    if groups.ndim == 1:
        return _squared_sums(groups)
    dyadic = _dyadic(groups)
    return lambda values: np.maximum(dyadic(values), _squares(values))


def independent(groups: Groups, examples: int) -> float:
    """Number of independent clusters that these examples amount to; at most ``examples``.

    For pairs it is n^2 over the number of dependent (i, j), which for clusters of one size is their
    number.
    """
    if groups is None:
        return examples
    if groups.ndim == 1:
        return len(np.unique(groups))
    return float(examples**2 / _dyadic(groups)(np.ones(examples)))


def _squares(values: Array) -> Array:
    return np.asarray(np.vecdot(values, values))


def _dyadic(pairs: NDArray[Any]) -> Squares:
    two = np.flatnonzero(pairs[:, 0] != pairs[:, 1])  # a text paired with itself is one text
    each = np.concatenate([np.arange(len(pairs)), two])
    of_text = _squared_sums(np.concatenate([pairs[:, 0], pairs[two, 1]]))
    if not len(two):
        return of_text
    _, same = np.unique(np.sort(pairs[two], axis=1), axis=0, return_inverse=True)
    of_both = _squared_sums(same.ravel())
    return lambda values: of_text(values[..., each]) - of_both(values[..., two])


def _squared_sums(groups: NDArray[Any]) -> Squares:
    """The sum of the squared sums of each group."""
    order = np.argsort(groups, kind="stable")
    starts = np.unique(groups[order], return_index=True)[1]
    return lambda values: _squares(np.add.reduceat(values[..., order], starts, axis=-1))
