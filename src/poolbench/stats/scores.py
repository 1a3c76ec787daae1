"""Per-example scores whose mean over the test set is the metric.

**n** test examples, **C** classes, **R** runs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]


def accuracy_scores(targets: NDArray[Any], outputs: NDArray[Any]) -> Array:
    """1.0 where the class with the highest logit is right, else 0.0: shape (n,)."""
    return np.asarray(outputs.argmax(axis=-1) == targets, dtype=np.float64)


def macro_f1_scores(labels: NDArray[Any], predictions: NDArray[Any]) -> Array:
    """Jackknife pseudo-values of macro-F1 (Efron and Stein 1981) from predicted classes (..., n).

    The pseudo-value of an example is n F - (n-1) F(without it). Macro-F1 is the mean over the
    classes that occur in ``labels``, so all poolers and all left-out examples average the same
    classes. Leaving an example out removes one count from one of the C * C cells of the confusion
    matrix, so F is computed once per cell and not once per example.

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
    n = p.shape[-1]
    return np.asarray(n * whole[:, None] - (n - 1) * left_out, dtype=np.float64).reshape(p.shape)


def brier_scores(labels: NDArray[Any], logits: NDArray[Any]) -> Array:
    """1 minus half the Brier score (Brier 1950) of each example, between 0 and 1: shape (n,).

    Half the squared distance between the softmax of ``logits`` (n, C) and the true class. It is a
    proper score: the expected value is highest for the true probabilities.

    Example:
        >>> brier_scores(np.array([0, 0]), np.array([[9e9, 0.0], [0.0, 0.0]]))
        array([1.  , 0.75])
    """
    errors = special.softmax(np.asarray(logits, dtype=np.float64), axis=-1)  # (n, C)
    errors[np.arange(len(labels)), labels] -= 1
    return np.asarray(1 - np.square(errors).sum(axis=-1) / 2)


# Functions of targets and outputs as in runs/predictions.py.
SCORES: dict[str, Callable[[NDArray[Any], NDArray[Any]], Array]] = {
    "accuracy": accuracy_scores,
    "f1_macro": lambda targets, outputs: macro_f1_scores(targets, outputs.argmax(axis=-1)),
    "brier": brier_scores,
}


def baseline_scores(labels: NDArray[Any], metric: str) -> dict[str, Array]:
    """Scores (n,) of two predictors that read no text, over the classes that occur in ``labels``.

    The majority class is the most frequent one of these examples. Chance guesses every class with
    the same probability; each of its scores is its expected metric.
    """
    shares = np.bincount(labels) / len(labels)
    guess, present = 1 / np.count_nonzero(shares), shares[shares > 0]
    chance = guess if metric == "accuracy" else np.mean(2 * present * guess / (present + guess))
    always = np.eye(len(shares))[np.full(len(labels), shares.argmax())]
    majority = SCORES[metric](labels, always)
    return {"majority class": majority, "chance": np.full(len(labels), chance)}


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


def _ratio(top: NDArray[np.int64], bottom: NDArray[np.int64]) -> Array:
    """top / bottom, and 0 where bottom is not positive."""
    out = np.zeros(np.shape(bottom))
    return np.divide(top, bottom, out=out, where=np.asarray(bottom) > 0)
