"""What a study found: standings, verdicts and the top group of every dataset and encoder."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean, median
from typing import Any

import numpy as np

from poolbench.report.controls import control
from poolbench.report.selection import Selection
from poolbench.runs.pooler_cost import PoolerCosts, read_pooler_costs
from poolbench.runs.study import Study, StudyCell
from poolbench.stats.across_datasets import Across, compare_across
from poolbench.stats.compare import compare_all_pairs, compare_with_reference, top_group
from poolbench.stats.pairing import Run
from poolbench.stats.protocol import Protocol
from poolbench.stats.scores import Array
from poolbench.stats.verdict import Comparison

# Timings closer than this are one timing; equal parameter counts are equal anyway.
SAME_COST = 1.1


@dataclass(frozen=True, eq=False)
class Standing:
    """One pooler on one dataset and encoder: how good at each seed, and what it costs.

    ``scores`` maps seeds to the metric in percent; it is empty where a seed has several variants,
    since none of them is the pooler's. Costs are None where they are not known:
    ``pooler_ms`` is the pooler's own time, forward and backward, in the study's benchmark,
    ``samples_per_sec`` that of the whole training, a median over seeds.
    """

    pooler: str
    cells: tuple[StudyCell, ...]
    scores: Mapping[int, float]
    pooler_parameters: int | None
    head_parameters: int | None
    pooler_ms: float | None
    samples_per_sec: float | None

    @property
    def mean(self) -> float | None:
        """The metric in percent, over seeds."""
        return fmean(self.scores.values()) if self.scores else None

    @property
    def trained_parameters(self) -> int | None:
        """Of pooler and head: a wide pooled vector is paid for in the head."""
        if self.pooler_parameters is None or self.head_parameters is None:
            return None
        return self.pooler_parameters + self.head_parameters

    @property
    def finished(self) -> list[StudyCell]:
        """Its trained and tested cells, seeds ascending."""
        return sorted((c for c in self.cells if c.ok), key=lambda c: c.seed)

    @cached_property
    def right(self) -> Array:
        """Per test example the share of seeds that got it right, (n,); empty without scores."""
        kept = [c.predictions for c in self.finished if c.predictions is not None and self.scores]
        if not kept or len({len(p.labels) for p in kept}) > 1:
            return np.empty(0)
        return np.asarray(np.mean([p.predictions == p.labels for p in kept], axis=0))


@dataclass(frozen=True, eq=False)
class Task:
    """One dataset read by one encoder, with every pooler's standing there, best mean first.

    ``against`` compares with the reference, ``pairs`` all poolers with each other, ``top`` are
    those that none beats, controls aside. ``cheapest`` is the recommended one of these, None
    without verdicts.
    """

    dataset: str
    encoder: str
    standings: tuple[Standing, ...]
    against: tuple[Comparison, ...]
    pairs: tuple[Comparison, ...]
    top: tuple[str, ...]
    texts: Sequence[str] | None

    @property
    def name(self) -> str:
        """dataset x encoder."""
        return f"{self.dataset} x {self.encoder}"

    @property
    def candidates(self) -> tuple[Standing, ...]:
        """The standings of those that may be recommended: all but the controls."""
        return tuple(s for s in self.standings if not control(s.pooler))

    def standing(self, pooler: str) -> Standing:
        """The standing of one pooler."""
        return next(s for s in self.standings if s.pooler == pooler)

    def pair(self, first: str, second: str) -> Comparison:
        """Two poolers compared in the family of all pairs, first minus second."""
        for c in self.pairs:
            if (c.first, c.second) == (first, second):
                return c
            if (c.second, c.first) == (first, second):
                return c.swapped()
        raise KeyError((first, second))

    @property
    def cost(self) -> str:
        """What the top group is weighed by: ``pooler_ms`` where all have it, else parameters."""
        timed = all(self.standing(name).pooler_ms is not None for name in self.top)
        return "pooler_ms" if self.top and timed else "trained_parameters"

    @property
    def cheapest(self) -> Standing | None:
        """Of the top group; among equally cheap ones the highest mean."""
        group = [self.standing(name) for name in self.top]
        priced = [(getattr(s, self.cost), s) for s in group if getattr(s, self.cost) is not None]
        if not priced:
            return None
        least = min(price for price, _ in priced)
        return max((s for price, s in priced if price <= SAME_COST * least), key=_quality)


@dataclass(frozen=True, eq=False)
class Findings:
    """Everything a report shows. ``across`` is empty unless there are several tasks.

    ``costs`` is the benchmark of the study's poolers.
    """

    study: Study
    protocol: Protocol
    tasks: tuple[Task, ...]
    across: tuple[Across, ...]
    selection: Selection | None
    costs: PoolerCosts
    notes: tuple[str, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds that any cell has or should have."""
        return tuple(sorted({cell.seed for cell in self.study.cells}))


def find(study: Study, protocol: Protocol, selection: Selection | None = None) -> Findings:
    """Compare the poolers of a study; with a selection, the variants it chose.

    A reference that the study does not have is replaced by its first pooler, and a note says so.
    """
    cells = selection.chosen if selection else study.cells
    names = sorted({cell.pooler for cell in cells}, key=lambda name: (bool(control(name)), name))
    notes = []
    if protocol.reference not in names:
        notes.append(
            f"The reference {protocol.reference} is not in this study: {names[0]}, its first "
            "pooler by name, takes its place."
        )
        protocol = replace(protocol, reference=names[0])
    runs = [_run(cell, selection.budget if selection else None) for cell in cells]
    against = compare_with_reference(runs, protocol)
    pairs = compare_all_pairs(runs, protocol)
    costs = read_pooler_costs(study.folder)
    where = sorted({(cell.dataset, cell.encoder) for cell in cells})
    tasks = tuple(
        _task(study, place, cells, against, pairs, protocol.metric, costs) for place in where
    )
    across = compare_across(against, protocol) if len(tasks) > 1 and against else []
    across.sort(key=lambda a: (a.delta is None, -(a.delta or 0.0)))
    return Findings(study, protocol, tasks, tuple(across), selection, costs, tuple(notes))


def without_controls(pairs: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons of poolers that may be recommended with each other."""
    return [c for c in pairs if not (control(c.first) or control(c.second))]


def _task(
    study: Study,
    place: tuple[str, str],
    cells: Sequence[StudyCell],
    against: Sequence[Comparison],
    pairs: Sequence[Comparison],
    metric: str,
    costs: PoolerCosts,
) -> Task:
    here = [cell for cell in cells if (cell.dataset, cell.encoder) == place]
    by_pooler: dict[str, list[StudyCell]] = {}
    for cell in here:
        by_pooler.setdefault(cell.pooler, []).append(cell)
    standings = [_standing(name, group, metric, costs) for name, group in by_pooler.items()]
    standings.sort(key=lambda s: (-_quality(s), s.pooler))
    rank = {s.pooler: i for i, s in enumerate(standings)}
    # A pooler that other tasks have, and this one does not, has nothing to show here.
    compared = [c for c in against if (c.dataset, c.encoder) == place and c.first in rank]
    matched = [
        c for c in pairs if (c.dataset, c.encoder) == place and {c.first, c.second} <= rank.keys()
    ]
    return Task(
        *place,
        standings=tuple(standings),
        against=tuple(sorted(compared, key=lambda c: rank[c.first])),
        pairs=tuple(matched),
        top=tuple(sorted(top_group(without_controls(matched)), key=lambda name: rank[name])),
        texts=study.texts.get(place),
    )


def _standing(pooler: str, cells: Sequence[StudyCell], metric: str, costs: PoolerCosts) -> Standing:
    finished = [cell for cell in cells if cell.ok]
    one_each = len({c.seed for c in finished}) == len(finished)
    scores = {c.seed: c.metric(f"test/{metric}") for c in finished if one_each}
    parameters = [c.record.get("parameters") or {} for c in finished]
    return Standing(
        pooler=pooler,
        cells=tuple(cells),
        scores={seed: 100 * score for seed, score in sorted(scores.items()) if score is not None},
        pooler_parameters=_usual([p.get("pooler") for p in parameters]),
        head_parameters=_usual([p.get("head") for p in parameters]),
        pooler_ms=costs.milliseconds.get(pooler),
        samples_per_sec=_middle([c.metric("perf/samples_per_sec") for c in finished]),
    )


def _run(cell: StudyCell, budget: int | None) -> Run:
    kept = cell.predictions
    if kept is not None and len(kept.labels) > 1:
        return Run.from_record(cell.record, kept.labels, kept.predictions, budget)
    status = "too few test examples" if cell.ok else cell.status
    nothing = np.empty(0, dtype=np.int64)
    return Run(
        cell.dataset, cell.encoder, cell.pooler, cell.seed, status, nothing, nothing, budget=budget
    )


def _quality(standing: Standing) -> float:
    return -1.0 if standing.mean is None else standing.mean


def _usual(values: Sequence[Any]) -> int | None:
    counts = Counter(value for value in values if value is not None)
    return int(counts.most_common(1)[0][0]) if counts else None


def _middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
