"""Findings of a study: standings, verdicts and the best poolers of each dataset and encoder."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, median, mode

import numpy as np

from poolbench.report.selection import Selection
from poolbench.runs.protocol import Protocol
from poolbench.runs.record import ContractLine, RunRecord
from poolbench.runs.study import Study
from poolbench.stats.across_datasets import Across, compare_across
from poolbench.stats.best import Best, best_of
from poolbench.stats.compare import (
    ScoredRun,
    compare_all_pairs,
    compare_probabilities,
    compare_with_reference,
)
from poolbench.stats.scores import Array
from poolbench.stats.verdict import Comparison

SAME_COST = 1.1  # timings closer than this factor are equal
MOST_DRAWN = 8  # poolers in one figure; more cannot be told apart
CONTROLS = {"pitfall-": "pitfall", "control-": "width control"}
CONTROLS_EXPLAINED = (
    "† A control is compared and never recommended: a pitfall makes a known mistake on purpose; a "
    "width control has the width of another pooler but not its method."
)


def control(pooler: str) -> str | None:
    """Kind of a control, by its name; None for a pooler that may be recommended.

    Example:
        >>> control("pitfall-view_conv"), control("control-mean_1536"), control("mean")
        ('pitfall', 'width control', None)
    """
    return next((kind for prefix, kind in CONTROLS.items() if pooler.startswith(prefix)), None)


def marked(pooler: str) -> str:
    """The name as tables and figures show it: a control has a dagger."""
    return f"† {pooler}" if control(pooler) else pooler


def dagger_note(poolers: Iterable[str]) -> str:
    """Ends a caption: explains the dagger if one of the poolers is a control."""
    return " †\N{NO-BREAK SPACE}marks a control." if any(map(control, poolers)) else ""


@dataclass(frozen=True, eq=False)
class Standing:
    """One pooler on one dataset and encoder; costs are None if unknown.

    Attributes:
        finished: its finished runs, seeds ascending.
        scores: the metric in percent by seed; empty if a seed has several variants.
        trained_parameters: of pooler and head: a wide pooled vector needs a large head.
        pooler_ms: forward and backward pass of the pooler on one batch.
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

    @cached_property
    def right(self) -> Array:
        """Share of seeds that classify each test example correctly, (n,); empty without scores.

        Empty for cross-validation too, where each example has a single prediction.
        """
        kept = [r.predictions for r in self.finished if self.scores and not r.data.folds]
        if len({len(p.targets) for p in kept}) != 1:
            return np.empty(0)
        return np.asarray(np.mean([p.predicted == p.targets for p in kept], axis=0))

    @cached_property
    def certificate(self) -> dict[str, ContractLine]:
        """Contract lines of the worst run: a failed one, else the largest deviation."""
        worst: dict[str, ContractLine] = {}
        for record in self.finished:
            for name, line in record.certificate.items():
                other = worst.get(name, line)
                worst[name] = max(other, line, key=lambda x: (not x.kept, abs(x.deviation or 0.0)))
        return _in_order(worst)

    @property
    def failed_lines(self) -> list[str]:
        """Contract lines that a run failed."""
        return [name for name, line in self.certificate.items() if not line.kept]


@dataclass(frozen=True, eq=False)
class Task:
    """One dataset with one encoder, and the standings of all its poolers, best mean first.

    ``against`` are the comparisons with the reference, ``probabilities`` the same by Brier score,
    ``pairs`` those of all pairs; ``best`` are the comparisons with the best, without controls, None
    if fewer than two poolers have verdicts.
    ``missing`` is the number of declared runs without a record.
    """

    dataset: str
    encoder: str
    reference: str
    standings: list[Standing]
    against: list[Comparison]
    probabilities: list[Comparison]
    pairs: list[Comparison]
    best: Best | None
    missing: int
    texts: Sequence[str] | None

    @property
    def name(self) -> str:
        """Dataset × encoder."""
        return f"{self.dataset} × {self.encoder}"

    @property
    def candidates(self) -> list[Standing]:
        """The standings of poolers that may be recommended: all but the controls."""
        return [s for s in self.standings if not control(s.pooler)]

    @property
    def drawn(self) -> list[Standing]:
        """The standings of figures that cannot show all: the best means and the reference."""
        scored = [s for s in self.standings if s.scores]
        return [s for i, s in enumerate(scored) if i < MOST_DRAWN or s.pooler == self.reference]

    @property
    def promises(self) -> dict[str, ContractLine]:
        """The contract lines that were measured here."""
        return _in_order({n: line for s in self.standings for n, line in s.certificate.items()})

    def standing(self, pooler: str) -> Standing:
        """The standing of one pooler."""
        return next(s for s in self.standings if s.pooler == pooler)

    def pair(self, first: str, second: str) -> Comparison:
        """Two poolers compared in the family of all pairs, first minus second."""
        c = next(c for c in self.pairs if {c.first, c.second} == {first, second})
        return c if c.first == first else c.swapped()

    @property
    def cost(self) -> str:
        """The cost that decides: ``pooler_ms`` if all compared poolers have it, else parameters."""
        timed = self.best and all(self.standing(s).pooler_ms is not None for s in self.best.loss)
        return "pooler_ms" if timed else "trained_parameters"

    @property
    def cheapest(self) -> list[Standing]:
        """The poolers to choose from that cost least, highest mean first; the first is named."""
        eligible = [self.standing(name) for name in self.best.eligible] if self.best else []
        costs = [getattr(s, self.cost) or 0 for s in eligible]
        cheap = [s for s, c in zip(eligible, costs, strict=True) if c <= SAME_COST * min(costs)]
        return sorted(cheap, key=lambda s: -(s.mean or 0.0))


@dataclass(frozen=True, eq=False)
class Findings:
    """Everything a report shows; ``across`` is empty unless there are several tasks."""

    study: Study
    protocol: Protocol
    tasks: list[Task]
    across: list[Across]
    selection: Selection | None
    notes: list[str]


def find(study: Study, protocol: Protocol, selection: Selection | None = None) -> Findings:
    """Compare the poolers of a study; with a selection, its chosen variants.

    A reference that is not in the study is replaced by the first pooler, with a note.
    """
    runs = sorted(selection.chosen if selection else study.runs, key=lambda r: r.run.seed)
    names = sorted({r.run.pooler for r in runs}, key=lambda name: (bool(control(name)), name))
    notes = []
    if protocol.reference not in names:
        notes.append(
            f"The reference {protocol.reference} is not in this study: {names[0]}, the first "
            "pooler by name, is the reference instead."
        )
        protocol = protocol.model_copy(update={"reference": names[0]})
    scored = [ScoredRun.from_record(r, len(selection.grid) if selection else None) for r in runs]
    against = compare_with_reference(scored, protocol)
    probabilities = compare_probabilities(scored, protocol)
    pairs = compare_all_pairs(scored, protocol)
    tasks = []
    for place in sorted({(r.run.dataset, r.run.encoder) for r in runs}):
        here = [r for r in runs if (r.run.dataset, r.run.encoder) == place]
        standings = [
            _standing(name, [r for r in here if r.run.pooler == name], protocol.metric)
            for name in sorted({r.run.pooler for r in here})
        ]
        standings.sort(key=lambda s: -(s.mean or 0.0))
        rank = {s.pooler: i for i, s in enumerate(standings)}
        # Poolers that only other tasks have are not shown here.
        of_task = [
            [c for c in family if (c.dataset, c.encoder) == place and c.first in rank]
            for family in (against, probabilities, pairs)
        ]
        compared, proper = (sorted(of, key=lambda c: rank[c.first]) for of in of_task[:2])
        matched = [c for c in of_task[2] if c.second in rank]
        candidates = [
            r for r in scored if (r.dataset, r.encoder) == place and not control(r.pooler)
        ]
        task = Task(
            *place,
            protocol.reference,
            standings,
            against=compared,
            probabilities=proper,
            pairs=matched,
            best=best_of(candidates, without_controls(matched)),
            missing=sum(r.status == "missing" for r in here),
            texts=study.test_texts.get(place),
        )
        tasks.append(task)
    across = compare_across(against) if len(tasks) > 1 and against else []
    across.sort(key=lambda a: (a.delta is None, -(a.delta or 0.0)))
    return Findings(study, protocol, tasks, across, selection, notes)


def without_controls(pairs: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons of poolers that may be recommended with each other."""
    return [c for c in pairs if not (control(c.first) or control(c.second))]


def _standing(pooler: str, runs: Sequence[RunRecord], metric: str) -> Standing:
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
        of_runs("perf/pooler_train_ms"),
        of_runs("perf/relative_throughput"),
    )


def _in_order(lines: dict[str, ContractLine]) -> dict[str, ContractLine]:
    """T2 before T10, T7 before T7 bfloat16."""
    return {n: lines[n] for n in sorted(lines, key=lambda n: (len(n.partition(" ")[0]), n))}
