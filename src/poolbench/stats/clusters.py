"""Dependent test examples: those of one cluster, or pairs of texts that share a text.

**n** test examples. Groups are None where all are independent, (n,) the cluster of each, or (n, 2)
the two texts of each pair, where pairs that share a text depend on each other.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poolbench.stats.jackknife import Array

Groups = NDArray[Any] | None
Squares = Callable[[Array], Array]  # (..., n) to (...)


class Clusters:
    """Sums over dependent examples; what they need from ``groups`` is computed once."""

    def __init__(self, groups: Groups, examples: int) -> None:
        self.groups, self.examples = groups, examples

    @property
    def scale(self) -> float:
        """Factor from a sum of squares to a mean square: 1 / (n - 1) without clusters.

        Raises ValueError for fewer than 2 independent examples.
        """
        if self.number < 2:
            raise ValueError(f"need at least 2 independent examples, got {self.number:.3g}")
        return self.number / ((self.number - 1) * self.examples)

    @cached_property
    def squares(self) -> Squares:
        """The function of values (..., n) that sums v_i v_j over all dependent i and j: (...).

        Clusters: the sum of squared cluster sums (Liang and Zeger 1986). Pairs: the dyadic sum of
        Aronow, Samii and Assenova (Political Analysis, 2015): squared sums over each text, less
        those over each two texts, which would count pairs of the same two texts twice. It can be
        negative, so it is never below the sum for independent pairs.
        """
        if self.groups is None:
            return _squares
        if self.groups.ndim == 1:
            return _squared_sums(self.groups)
        dyadic = self._dyadic
        return lambda values: np.maximum(dyadic(values), _squares(values))

    @cached_property
    def number(self) -> float:
        """Number of independent clusters that the examples amount to; at most ``examples``.

        For pairs it is n^2 over the number of dependent (i, j), which for clusters of one size is
        their number.
        """
        if self.groups is None:
            return self.examples
        if self.groups.ndim == 1:
            return len(np.unique(self.groups))
        return float(self.examples**2 / self._dyadic(np.ones(self.examples)))

    @property
    def known(self) -> float | None:
        """The number of clusters; None where every example is independent."""
        return None if self.groups is None else self.number

    @cached_property
    def _dyadic(self) -> Squares:
        pairs = np.asarray(self.groups)
        two = np.flatnonzero(pairs[:, 0] != pairs[:, 1])  # a text paired with itself is one text
        each = np.concatenate([np.arange(len(pairs)), two])
        of_text = _squared_sums(np.concatenate([pairs[:, 0], pairs[two, 1]]))
        if not len(two):
            return of_text
        _, same = np.unique(np.sort(pairs[two], axis=1), axis=0, return_inverse=True)
        of_both = _squared_sums(same.ravel())
        return lambda values: of_text(values[..., each]) - of_both(values[..., two])


def clustered(groups: "Groups | Clusters", examples: int) -> Clusters:
    """The clusters of these groups, unless they are known."""
    return groups if isinstance(groups, Clusters) else Clusters(groups, examples)


def _squares(values: Array) -> Array:
    return np.asarray(np.vecdot(values, values))


def _squared_sums(groups: NDArray[Any]) -> Squares:
    """The sum of the squared sums of each group."""
    order = np.argsort(groups, kind="stable")
    starts = np.unique(groups[order], return_index=True)[1]
    return lambda values: _squares(np.add.reduceat(values[..., order], starts, axis=-1))
