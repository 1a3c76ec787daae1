"""The standing of one pooler on one dataset and encoder: its runs, scores and costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, median, mode

import numpy as np

from poolbench.runs.protocol import METRICS
from poolbench.runs.record import ContractLine, RunRecord
from poolbench.stats.scores import Array


@dataclass(frozen=True, eq=False)
class Standing:
    """One pooler on one dataset and encoder; costs are None if unknown.

    Attributes:
        finished: its finished runs, seeds ascending.
        scores: the metric in percent by seed; empty if a seed has several variants.
        trained_parameters: of pooler and head: a wide pooled vector needs a large head.
        pooler_ms: pass of the pooler over one batch; forward and backward if it was trained.
        relative_throughput: of inference, timed in turn with ``mean``.
    """

    pooler: str
    finished: list[RunRecord]
    scores: dict[int, float]
    pooler_parameters: int | None
    trained_parameters: int | None
    pooler_ms: float | None
    relative_throughput: float | None

    @property
    def mean(self) -> float | None:
        """The metric in percent, mean over seeds."""
        return fmean(self.scores.values()) if self.scores else None

    def metric(self, name: str) -> list[float]:
        """Another metric of the test split in percent, of each run that has it."""
        found = (record.metrics.get(f"test/{name}") for record in self.finished)
        return [100 * value for value in found if value is not None]

    @cached_property
    def right(self) -> Array:
        """Share of seeds that classify each test example correctly, (n,); empty without scores.

        Empty for cross-validation too, where each example has a single prediction, and for tasks
        without one true class.
        """
        classified = self.scores and all("accuracy" in METRICS[r.task] for r in self.finished)
        kept = [r.predictions for r in self.finished if classified and not r.data.folds]
        if len({len(p.targets) for p in kept}) != 1:
            return np.empty(0)
        return np.asarray(np.mean([p.predicted == p.targets for p in kept], axis=0))

    @property
    def examples(self) -> int:
        """Number of test examples of a run, or of all folds."""
        sizes = [len(record.predictions.targets) for record in self.finished]
        folded = self.finished and self.finished[0].data.folds
        return sum(sizes) if folded else max(sizes, default=0)

    @property
    def inference_time(self) -> float | None:
        """Of the whole model, relative to ``mean`` on the last layer."""
        return 1 / self.relative_throughput if self.relative_throughput else None

    @cached_property
    def certificate(self) -> dict[str, ContractLine]:
        """Contract lines of the worst run: a failed one, else the largest deviation."""
        worst: dict[str, ContractLine] = {}
        for record in self.finished:
            for name, line in record.certificate.items():
                other = worst.get(name, line)
                worst[name] = max(other, line, key=lambda x: (not x.kept, abs(x.deviation or 0.0)))
        return in_order(worst)

    @property
    def failed_lines(self) -> list[str]:
        """Contract lines that a run failed."""
        return [name for name, line in self.certificate.items() if not line.kept]


def standing_of(pooler: str, runs: Sequence[RunRecord], metric: str) -> Standing:
    """The standing of a pooler with these runs."""
    finished = [r for r in runs if r.ok]
    unique = len({r.run.seed for r in finished}) == len(finished)
    scores = {r.run.seed: r.metrics.get(f"test/{metric}") for r in finished if unique}

    def of_runs(name: str) -> float | None:
        known = [r.metrics[name] for r in finished if name in r.metrics]
        return median(known) if known else None

    parts = [r.parameters for r in finished]
    return Standing(
        pooler,
        finished,
        {seed: 100 * score for seed, score in scores.items() if score is not None},
        mode(p.pooler for p in parts) if parts else None,
        mode(p.pooler + p.head for p in parts) if parts else None,
        of_runs("perf/pooler_train_ms") or of_runs("perf/pooler_forward_ms"),
        of_runs("perf/relative_throughput"),
    )


def in_order(lines: dict[str, ContractLine]) -> dict[str, ContractLine]:
    """T2 before T10, T7 before T7 bfloat16."""
    return {n: lines[n] for n in sorted(lines, key=lambda n: (len(n.partition(" ")[0]), n))}
