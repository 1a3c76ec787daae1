"""Jackknife pseudo-values of metrics that are no mean over examples (Efron and Stein 1981).

The pseudo-value of an example is n F - (n-1) F(without it), where F is the metric. All are exact:
no metric is computed n times.

**n** test examples, **C** classes, **R** runs.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def macro_f1_scores(labels: NDArray[Any], predictions: NDArray[Any]) -> Array:
    """Pseudo-values of macro-F1 from predicted classes (..., n).

    Macro-F1 is the mean over the classes that occur in ``labels``, so all poolers and all left-out
    examples average the same classes. Leaving an example out removes one count from one of the
    C * C cells of the confusion matrix, so F is computed once per cell.

    Example:
        >>> macro_f1_scores(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]))
        array([1., 1., 1., 1.])
    """
    y = np.asarray(labels, dtype=np.int64)
    p = np.asarray(predictions, dtype=np.int64)
    classes = int(max(y.max(), p.max())) + 1
    runs = p.reshape(-1, p.shape[-1])  # (R, n)
    cells = y * classes + runs  # (R, n)
    offsets = np.arange(len(runs))[:, None] * classes**2
    counts = np.bincount((cells + offsets).ravel(), minlength=len(runs) * classes**2)
    whole, without = _macro_f1_without_one(counts.reshape(-1, classes, classes))
    left_out = np.take_along_axis(without.reshape(len(runs), -1), cells, axis=-1)  # (R, n)
    return _pseudo_values(whole[:, None], left_out).reshape(p.shape)


def multilabel_f1_scores(targets: NDArray[Any], outputs: NDArray[Any], average: str) -> Array:
    """Pseudo-values (n,) of the F1 of labels whose logit is above 0.

    Args:
        targets: 1 for each label that applies, else 0 (n, C).
        outputs: logits (n, C).
        average: "micro" counts all labels together; "macro" is the mean over all C labels, where
            a label without true and predicted examples has F1 0.

    Example:
        >>> targets = np.array([[1, 0], [1, 1]])
        >>> multilabel_f1_scores(targets, 2.0 * targets - 1, "micro")
        array([1., 1.])
    """
    true, predicted = np.asarray(targets, dtype=np.int64), np.asarray(outputs) > 0
    hits, total = true * predicted, true + predicted  # (n, C)
    axis = -1 if average == "micro" else ()
    hits, total = hits.sum(axis), total.sum(axis)  # (n,), or (n, C)
    whole = _ratio(2 * hits.sum(0), total.sum(0))
    without = _ratio(2 * (hits.sum(0) - hits), total.sum(0) - total)
    if average == "macro":
        whole, without = whole.mean(), without.mean(-1)
    return _pseudo_values(whole, without)


def pearson_scores(targets: NDArray[Any], outputs: NDArray[Any]) -> Array:
    """Pseudo-values (n,) of the correlation of targets (n,) and outputs (n,); 0 for constants.

    Example:
        >>> pearson_scores(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])).round(6)
        array([1., 1., 1.])
    """
    n = len(targets)
    sides = [np.asarray(v, dtype=np.float64) for v in (targets, outputs)]
    # The mean of equal values may differ from them by rounding.
    dx, dy = (v - v.mean() if np.ptp(v) > 0 else np.zeros(n) for v in sides)
    xy, xx, yy = dx @ dy, dx @ dx, dy @ dy
    # Without an example the mean moves as well, which the factor accounts for.
    factor = n / (n - 1)
    left = [whole - factor * own for whole, own in ((xy, dx * dy), (xx, dx**2), (yy, dy**2))]
    constant = _constant_without(targets) | _constant_without(outputs)
    return _pseudo_values(_correlation(xy, xx, yy), np.where(constant, 0, _correlation(*left)))


def spearman_scores(targets: NDArray[Any], outputs: NDArray[Any]) -> Array:
    """Pseudo-values (n,) of the rank correlation of targets and outputs (n,); 0 for constants.

    Equal values have their mean rank. Without example i the rank of every larger value is lower by
    1 and that of every equal one by 1/2: u_ij and v_ij for the ranks a_j, b_j of the two sides. So
    the sum of (a_j - u_ij)(b_j - v_ij) over j needs sums over larger values, and the number of
    examples that are larger on both sides. Time O(n log^2 n).

    Example:
        >>> spearman_scores(np.array([1.0, 2.0, 3.0]), np.array([1.0, 8.0, 9.0]))
        array([1., 1., 1.])
    """
    n = len(targets)
    x, y = (np.unique(v, return_inverse=True)[1] for v in (targets, outputs))  # dense ranks
    (a, x_ties), (b, y_ties) = map(_mean_ranks, (x, y))
    product = a @ b
    without = product - a * b
    without -= _sum_above(y, a) - a / 2  # of example i itself, u and v are 1/2
    without -= _sum_above(x, b) - b / 2
    without += _above_on_both(x, y) - 1 / 4
    rho = _correlation(product - n * ((n + 1) / 2) ** 2, *(_spread(n, t) for t in (x_ties, y_ties)))
    left = [_spread(n - 1, _ties_without_one(v)) for v in (x, y)]
    return _pseudo_values(rho, _correlation(without - (n - 1) * (n / 2) ** 2, *left))


def auroc_scores(labels: NDArray[Any], outputs: NDArray[Any]) -> Array:
    """Pseudo-values (n,) of the area under the ROC curve, from logits (n, C).

    The mean over the classes that occur in ``labels`` and are not all of them, each against all
    others, by its log-odds; 1/2 without such a class. With two classes both areas are the same.
    The area is the share of pairs of an example of the class and one of the others in which the
    first one is higher (Mann and Whitney 1947), equal values counting 1/2. So without an example
    its own pairs are missing; an area without pairs is 1/2.

    Example:
        >>> logits = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
        >>> auroc_scores(np.array([0, 0, 1, 1]), logits)
        array([1., 1., 1., 1.])
    """
    n, z = len(labels), np.asarray(outputs, dtype=np.float64)
    occurring = [c for c in range(z.shape[1]) if 0 < np.count_nonzero(labels == c) < n]
    found = np.full((max(len(occurring), 1), n), 0.5)
    for row, c in zip(found, occurring, strict=False):
        own = labels == c
        odds = z[:, c] - np.logaddexp.reduce(np.delete(z, c, axis=1), axis=1)
        below, above = _share_below(odds, odds[~own]), 1 - _share_below(odds, odds[own])
        pairs = np.where(own, below, above)  # the area of the pairs of each example alone
        sizes = np.where(own, own.sum(), n - own.sum())
        whole = pairs[own].mean()
        left = np.divide(sizes * whole - pairs, sizes - 1, out=np.full(n, 0.5), where=sizes > 1)
        row[:] = _pseudo_values(whole, left)
    return np.asarray(found.mean(axis=0))


def _share_below(values: Array, others: Array) -> Array:
    """For each value, the share of ``others`` that are smaller, plus half of those equal."""
    ordered = np.sort(others)
    ends = [np.searchsorted(ordered, values, side) for side in ("left", "right")]
    return np.asarray(np.sum(ends, axis=0) / (2 * len(others)), dtype=np.float64)


def _pseudo_values(whole: Any, without: Array) -> Array:
    n = without.shape[-1]
    return np.asarray(n * whole - (n - 1) * without, dtype=np.float64)


def _macro_f1_without_one(confusion: NDArray[np.int64]) -> tuple[Array, Array]:
    """Macro-F1 (R,), and macro-F1 with one count less in each cell (R, C, C)."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)  # (R, C)
    total = confusion.sum(-1) + confusion.sum(-2)  # (R, C): true plus predicted
    occurs = confusion.sum(-1) > 0  # (R, C): classes that occur in the labels
    weight = occurs / occurs.sum(-1, keepdims=True)  # (R, C)
    f1 = _ratio(2 * hits, total)
    whole = (weight * f1).sum(-1)
    one_error_less = weight * (_ratio(2 * hits, total - 1) - f1)  # (R, C)
    one_hit_less = weight * (_ratio(2 * (hits - 1), total - 2) - f1)  # (R, C)
    without = whole[:, None, None] + one_error_less[:, :, None] + one_error_less[:, None, :]
    diagonal = np.arange(confusion.shape[-1])
    without[:, diagonal, diagonal] = whole[:, None] + one_hit_less
    return whole, without


def _ratio(top: Any, bottom: Any) -> Array:
    """top / bottom, and 0 where bottom is not positive."""
    out = np.zeros(np.shape(bottom))
    return np.asarray(np.divide(top, bottom, out=out, where=np.asarray(bottom) > 0))


def _correlation(xy: Any, xx: Any, yy: Any) -> Array:
    """Covariance over standard deviations, and 0 without variance."""
    return _ratio(xy, np.sqrt(np.maximum(xx, 0)) * np.sqrt(np.maximum(yy, 0)))


def _constant_without(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether all other values (n,) are equal."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((len(counts) - (counts == 1))[inverse] <= 1)


def _mean_ranks(dense: NDArray[np.int64]) -> tuple[Array, float]:
    """Ranks from 1 (n,) where equal values share their mean, and the sum of t^3 - t over ties."""
    counts = np.bincount(dense)
    return (np.cumsum(counts) - (counts - 1) / 2)[dense], float(np.sum(counts**3 - counts))


def _ties_without_one(dense: NDArray[np.int64]) -> Array:
    """The sum of t^3 - t over ties, without each example (n,)."""
    counts = np.bincount(dense).astype(np.float64)
    ties = counts**3 - counts
    fewer = (counts - 1) ** 3 - (counts - 1)
    return np.asarray((ties.sum() - ties + fewer)[dense])


def _spread(n: int, ties: Any) -> Any:
    """Sum of squared deviations of n ranks: (n^3 - n) / 12 without ties."""
    return (n**3 - n - ties) / 12


def _sum_above(dense: NDArray[np.int64], values: Array) -> Array:
    """For each example, the sum of ``values`` where ``dense`` is larger, plus half where equal."""
    sums = np.bincount(dense, values)
    return np.asarray((sums.sum() - np.cumsum(sums) + sums / 2)[dense])


def _above_on_both(x: NDArray[np.int64], y: NDArray[np.int64]) -> Array:
    """For each example i, the sum of u_ij v_ij over all j.

    u is the mean of "larger" and "at least as large", so the sum is the mean of four counts.
    """
    n, order = len(x), np.argsort(-x, kind="stable")
    larger = n - np.searchsorted(np.sort(x), np.concatenate([x, x + 1]))  # (2n,)
    counts = [_count(y[order], larger, np.tile(y, 2) + more) for more in (0, 1)]
    return np.asarray(np.sum(counts, axis=0).reshape(2, n).sum(axis=0) / 4)


def _count(
    values: NDArray[np.int64], first: NDArray[np.int64], least: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many of the ``first`` k values are at least ``least``, for each query.

    The binary digits of k cut the first k values into blocks of powers of 2; each block is sorted
    once for all queries.
    """
    found, span = np.zeros(len(first), np.int64), int(values.max()) + 2
    width = 1
    while width <= len(values):
        keys = np.sort(np.arange(len(values)) // width * span + values)
        block = first // width - 1
        asked = np.flatnonzero(first & width)
        place = np.searchsorted(keys, block[asked] * span + least[asked])
        found[asked] += (block[asked] + 1) * width - place
        width *= 2
    return found
