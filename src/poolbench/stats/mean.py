"""One configuration over its seeds: the mean of the metric, and how sure it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from poolbench.stats.paired_test import crossed, guarded_half_width
from poolbench.stats.scores import Array

ALPHA = 0.05  # of an interval


@dataclass(frozen=True)
class Mean:
    """A mean over seeds and its interval over seeds and test examples, both in percent.

    There is no interval for a single seed, nor over seeds with other test examples.
    """

    value: float
    interval: tuple[float, float] | None

    def within(self, value: float) -> bool | None:
        """Is ``value``, in percent, inside the interval? None where there is none."""
        if self.interval is None:
            return None
        return self.interval[0] <= value <= self.interval[1]


def mean_over_seeds(recorded: Sequence[float | None], scores: Sequence[Array]) -> Mean:
    """The mean of one or more runs.

    Args:
        recorded: the metric of each run as its record has it, a share; None where it has none.
        scores: of each run, one value for each test example, (n,).
    """
    shares = [s.mean() if r is None else r for r, s in zip(recorded, scores, strict=True)]
    value = 100 * float(np.mean(shares))
    sizes = {len(s) for s in scores}
    if len(scores) < 2 or len(sizes) > 1 or min(sizes) < 2:
        return Mean(value, None)
    estimate = crossed(np.stack(scores))
    # Seeds that are right on each other's mistakes have equal means on every example: only the
    # residual still tells that this is chance.
    residual = np.sqrt(estimate.ms_error / np.stack(scores).size)
    floor = stats.t.isf(ALPHA / 2, estimate.examples - 1) * residual
    half = 100 * float(np.maximum(guarded_half_width(estimate, ALPHA), floor))
    return Mean(value, (max(value - half, 0.0), min(value + half, 100.0)))
