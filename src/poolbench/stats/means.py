"""The mean of the runs of one configuration, with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from poolbench.runs.record import RunRecord
from poolbench.stats.clusters import Clusters, Groups
from poolbench.stats.jackknife import Array
from poolbench.stats.paired_test import guarded_half_width, paired
from poolbench.stats.scores import SCORES

ALPHA = 0.05  # of the interval
LOWEST = {"spearman": -100.0, "pearson": -100.0}  # in percent; 0 for all other metrics


@dataclass(frozen=True)
class Mean:
    """A mean over seeds and its interval over seeds and test examples, both in percent.

    ``interval`` is None for a single trained run, for seeds with different test sets, and where all
    test examples depend on each other.
    """

    value: float
    interval: tuple[float, float] | None


def mean_of(runs: Sequence[RunRecord], metric: str) -> Mean:
    """The metric of one configuration in percent, mean over its finished runs."""
    predicted = [record.predictions for record in runs]
    scores = [SCORES[metric](p.targets, p.outputs) for p in predicted]
    recorded = [record.metrics.get(f"test/{metric}") for record in runs]
    folds = all(record.data.folds for record in runs)
    groups = [p.groups for p in predicted[: None if folds else 1] if p.groups is not None]
    return mean_over_seeds(
        recorded,
        scores,
        metric,
        groups=np.concatenate(groups) if groups else None,
        cross_validated=folds,
        trained=any(record.trained for record in runs),
    )


def mean_over_seeds(
    recorded: Sequence[float | None],
    scores: Sequence[Array],
    metric: str,
    *,
    groups: Groups = None,
    cross_validated: bool = False,
    trained: bool = True,
) -> Mean:
    """The mean of one or more runs of one configuration.

    Args:
        recorded: the metric of each run in its record, as a share; None to use its scores.
        scores: per-example scores of each run, (n,).
        groups: clusters of the examples of all folds, or of those that all runs share.
        cross_validated: whether the runs are folds.
        trained: whether there are seeds; otherwise one run has an interval over its examples.
    """
    shares = [s.mean() if r is None else r for r, s in zip(recorded, scores, strict=True)]
    value = 100 * float(np.mean(shares))
    sizes = [len(s) for s in scores]
    alone, unequal = trained and len(scores) < 2, len(set(sizes)) > 1 and not cross_validated
    if alone or unequal or min(sizes) < 2:
        return Mean(value, None)
    folds = np.repeat(np.arange(len(scores)), sizes) if cross_validated else None
    whole = np.stack(scores) if folds is None else np.concatenate(scores)
    clusters = Clusters(groups, whole.shape[-1])
    if clusters.number < 2:
        return Mean(value, None)
    half = 100 * float(guarded_half_width(paired(whole, clusters, folds), ALPHA))
    return Mean(value, (max(value - half, LOWEST.get(metric, 0.0)), min(value + half, 100.0)))
