"""Findings of a study: standings, verdicts and the best poolers of each dataset and encoder."""

from collections.abc import Sequence
from dataclasses import dataclass

from poolbench.report.controls import control, without_controls
from poolbench.report.layers import layer_of, on_highest_layer
from poolbench.report.selection import Selection
from poolbench.report.standing import Standing, in_order, standing_of
from poolbench.runs.protocol import METRIC_NAMES, METRICS, Protocol, TaskName
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
from poolbench.stats.scores import baseline_scores
from poolbench.stats.verdict import Comparison, plural

SAME_COST = 1.1  # timings closer than this factor are equal
MOST_DRAWN = 8  # poolers in one figure; more cannot be told apart


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
    def finished(self) -> list[RunRecord]:
        """All runs with a result."""
        return [record for s in self.standings for record in s.finished]

    @property
    def kind(self) -> TaskName:
        """What is predicted; ``classification`` while no run has finished."""
        return next((record.task for record in self.finished), "classification")

    @property
    def trained(self) -> bool:
        """Whether any run was trained, or will be."""
        return not self.finished or any(record.trained for record in self.finished)

    @property
    def unit(self) -> str:
        """What a seed stands for: a seed, or a fold of cross-validation."""
        return "fold" if any(record.data.folds for record in self.finished) else "seed"

    @property
    def size(self) -> str:
        """Seeds and test examples, in words, if all poolers and comparisons have the same."""
        counts = {(len(s.scores), s.examples) for s in self.standings if s.finished}
        counts |= {(len(c.seeds), c.examples) for c in self.against if c.seeds}
        if len(counts) != 1:
            return ""
        ((repeated, examples),) = counts
        seeds = f"{plural(repeated, self.unit)}, " if self.trained else ""
        return f"{seeds}{plural(examples, 'test example')}"

    @property
    def why(self) -> str | None:
        """Why no pooler has a verdict against the reference, if that is the same for all."""
        run = {s.pooler for s in self.standings if s.finished}
        whys = {c.why for c in self.against if c.first in run}
        return whys.pop() if len(whys) == 1 else None

    @property
    def layered(self) -> bool:
        """Whether its poolers are compared on several layers."""
        places = [layer_of(s.pooler) for s in self.standings]
        return all(places) and len({place[1] for place in places if place}) > 1

    def baselines(self, metric: str) -> dict[str, float]:
        """The metric in percent of predictors that read no text."""
        kept = [r.predictions for r in self.finished if metric in METRICS[r.task]][:1]
        found = [baseline_scores(p.targets, p.outputs, metric) for p in kept]
        return {name: 100 * float(v.mean()) for of in found for name, v in of.items()}

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
        return in_order({n: line for s in self.standings for n, line in s.certificate.items()})

    def standing(self, pooler: str) -> Standing:
        """The standing of one pooler."""
        return next(s for s in self.standings if s.pooler == pooler)

    def pair(self, first: str, second: str) -> Comparison:
        """Two poolers compared in the family of all pairs, first minus second."""
        c = next(c for c in self.pairs if {c.first, c.second} == {first, second})
        return c if c.first == first else c.swapped()

    @property
    def costs(self) -> list[str]:
        """The costs in which its poolers differ, as attributes of their standings."""
        learned = ["trained_parameters"] * self.trained
        return [*learned, "pooler_ms", *["inference_time"] * self.layered]

    @property
    def cost(self) -> str:
        """The cost that decides: time if all compared poolers have it, else parameters.

        On one layer poolers differ in their own time, on several in that of the whole model.
        """
        time = "inference_time" if self.layered else "pooler_ms"
        of = [getattr(self.standing(s), time) for s in self.best.loss] if self.best else [None]
        return time if None not in of else "trained_parameters"

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
        first = (layer_of(names[0]) or names)[0]
        found = on_highest_layer(protocol.reference, names)
        which = "on its highest layer" if found else "the first pooler by name"
        found = found or on_highest_layer(first, names) or first
        notes.append(
            f"The reference {protocol.reference} is not in this study: {found}, {which}, is the "
            "reference instead."
        )
        protocol = protocol.model_copy(update={"reference": found})
    tasks_of_runs = [METRICS[r.task] for r in runs if r.ok]
    if tasks_of_runs and not any(protocol.metric in metrics for metrics in tasks_of_runs):
        metric = tasks_of_runs[0][0]
        notes.append(
            f"No run of this study has the metric {METRIC_NAMES[protocol.metric]}: poolers are "
            f"compared by {METRIC_NAMES[metric]} instead."
        )
        protocol = protocol.model_copy(update={"metric": metric})
    scored = [ScoredRun.from_record(r, len(selection.grid) if selection else None) for r in runs]
    against = compare_with_reference(scored, protocol)
    probabilities = compare_probabilities(scored, protocol)
    pairs = compare_all_pairs(scored, protocol)
    tasks = []
    for place in sorted({(r.run.dataset, r.run.encoder) for r in runs}):
        here = [r for r in runs if (r.run.dataset, r.run.encoder) == place]
        standings = [
            standing_of(name, [r for r in here if r.run.pooler == name], protocol.metric)
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
