"""Per-example scores whose mean over the test set is the metric.

Targets and outputs are those of ``runs/predictions.py``. **n** test examples, **C** classes,
**K** outputs of one example.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from poolbench.runs.protocol import RANKING
from poolbench.stats.jackknife import Array as Array
from poolbench.stats.jackknife import (
    auroc_scores,
    macro_f1_scores,
    multilabel_f1_scores,
    pearson_scores,
    spearman_scores,
)


def accuracy_scores(targets: NDArray[Any], outputs: NDArray[Any]) -> Array:
    """1.0 where the class with the highest logit is right, else 0.0: shape (n,)."""
    return np.asarray(outputs.argmax(axis=-1) == targets, dtype=np.float64)


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


def _macro_f1(targets: NDArray[Any], outputs: NDArray[Any]) -> Array:
    if targets.ndim == 2:
        return multilabel_f1_scores(targets, outputs, "macro")
    return macro_f1_scores(targets, outputs.argmax(axis=-1))


def _column(targets: NDArray[Any], outputs: NDArray[Any], name: str) -> Array:
    return np.asarray(outputs[:, RANKING.index(name)], dtype=np.float64)


Scores = Callable[[NDArray[Any], NDArray[Any]], Array]
SCORES: dict[str, Scores] = {
    "accuracy": accuracy_scores,
    "f1_macro": _macro_f1,
    "f1_micro": partial(multilabel_f1_scores, average="micro"),
    "auroc": auroc_scores,
    "brier": brier_scores,
    "spearman": lambda targets, outputs: spearman_scores(targets, outputs[:, 0]),
    "pearson": lambda targets, outputs: pearson_scores(targets, outputs[:, 0]),
    **{name: partial(_column, name=name) for name in RANKING},
}


# Metrics of which chance is one value, whatever the data.
CHANCE = {"spearman": 0.0, "pearson": 0.0, "auroc": 0.5}


def baseline_scores(targets: NDArray[Any], outputs: NDArray[Any], metric: str) -> dict[str, Array]:
    """Scores (n,) of predictors that read no text; none where "chance" has no plain meaning.

    * Classes: the most frequent one, and a guess with equal probabilities over the classes that
      occur; each of its scores is its expected metric.
    * Labels: for every text those that apply to more than half of the examples, or else the most
      frequent one.
    * Correlations: 0. AUROC: 1/2.
    * nDCG: its expected value in a random order, which the outputs contain.
    """
    n = len(targets)
    if metric in RANKING:
        expected = f"random {metric}"
        return {"chance": SCORES[expected](targets, outputs)} if expected in RANKING else {}
    if metric in CHANCE:
        return {"chance": np.full(n, CHANCE[metric])}
    if targets.ndim == 2:
        share = targets.mean(axis=0)  # (C,)
        applies = (share > 0.5) | (share == share.max())
        always = np.tile(np.where(applies, 1.0, -1.0), (n, 1))
        return {"most frequent labels": SCORES[metric](targets, always)}
    shares = np.bincount(targets) / n
    guess, present = 1 / np.count_nonzero(shares), shares[shares > 0]
    chance = guess if metric == "accuracy" else np.mean(2 * present * guess / (present + guess))
    always = np.eye(len(shares))[np.full(n, shares.argmax())]
    return {"majority class": SCORES[metric](targets, always), "chance": np.full(n, chance)}
