"""Runs as a comparison needs them, and why those of two poolers cannot be paired.

**S** paired seeds, **n** test examples.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from poolbench.runs.protocol import TaskName
from poolbench.runs.record import RunRecord
from poolbench.stats.clusters import Groups
from poolbench.stats.scores import SCORES, Array, baseline_scores


@dataclass(frozen=True, eq=False)
class ScoredRun:
    """A run, reduced to what a comparison needs.

    Attributes:
        targets, outputs: of each test example, as in ``runs/predictions.py``; empty unless the
            status is ``ok``.
        test_ids, tokens: digests of the test examples and of the tokenized dataset.
        order: one digest of the training order per epoch.
        budget: number of settings tried to tune this pooler; None where nothing was tuned.
        groups: which test examples depend on each other, as in ``clusters.py``.
        folds: of cross-validation, whose fold ``seed`` this run was tested on; 0: all runs share
            their test examples.
        trained: whether there was anything to learn; otherwise there is no order.
    """

    dataset: str
    encoder: str
    pooler: str
    seed: int
    status: str
    targets: NDArray[Any]
    outputs: NDArray[Any]
    test_ids: str = ""
    tokens: str = ""
    order: tuple[str, ...] = ()
    budget: int | None = None
    groups: Groups = None
    folds: int = 0
    task: TaskName = "classification"
    trained: bool = True
    _scores: dict[str, Array] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        targets, outputs = self.targets.shape, self.outputs.shape
        if targets[:1] != outputs[:1] or (self.status == "ok" and targets[0] < 2):
            raise ValueError(
                f"{self.pooler} seed {self.seed}: targets {targets} and outputs {outputs}, "
                "expected one of each for 2 or more test examples"
            )

    @classmethod
    def from_record(cls, record: RunRecord, budget: int | None = None) -> Self:
        """The run of a record. Raises RecordError if its predictions cannot be read."""
        names = record.run.model_dump(include={"dataset", "encoder", "pooler", "seed"})
        digests, empty = record.digests, np.empty(0)
        kept = record.predictions if record.ok else None
        return cls(
            **names,
            status=record.status,
            targets=kept.targets if kept else empty,
            outputs=kept.outputs if kept else empty,
            test_ids=digests.test_ids,
            tokens=digests.tokens,
            order=tuple(digests.order),
            budget=budget,
            groups=kept.groups if kept else None,
            folds=record.data.folds,
            task=record.task,
            trained=record.trained or not record.ok,
        )

    def scores(self, metric: str) -> Array:
        """Per-example scores (n,) whose mean is the metric; computed once."""
        if metric not in self._scores:
            self._scores[metric] = SCORES[metric](self.targets, self.outputs)
        return self._scores[metric]


def repeated(sides: Mapping[str, Sequence[ScoredRun]]) -> dict[str, Sequence[ScoredRun]]:
    """The runs of two poolers; one that trained nothing counts at each seed of one that did.

    Its scores are the same at every seed.
    """
    found = dict(sides)
    for (name, runs), (_, others) in permutations(sides.items(), 2):
        if len(runs) == 1 and not runs[0].trained and all(r.trained for r in others):
            found[name] = [replace(runs[0], seed=r.seed, order=r.order) for r in others] or runs
    return found


def scores_of(runs: Sequence[ScoredRun], metric: str) -> Array:
    """Scores of the runs of one pooler, (S, n); of all folds end to end, (n,)."""
    scores = [r.scores(metric) for r in runs]
    return np.concatenate(scores) if runs[0].folds else np.stack(scores)


def groups_of(
    runs: Sequence[ScoredRun],
) -> tuple[Groups, NDArray[np.int64] | None]:
    """Cluster and fold of each test example (n,), in the order of :func:`scores_of`."""
    tested = _tested(runs)
    groups = [r.groups for r in tested if r.groups is not None]
    folds = np.repeat(np.arange(len(tested)), [len(r.targets) for r in tested])
    return np.concatenate(groups) if groups else None, folds if runs[0].folds else None


def baselines_of(runs: Sequence[ScoredRun], metric: str) -> dict[str, Array]:
    """Scores (n,) of predictors that read no text, in the order of :func:`scores_of`."""
    tested = _tested(runs)
    targets = np.concatenate([r.targets for r in tested])
    return baseline_scores(targets, np.concatenate([r.outputs for r in tested]), metric)


def _tested(runs: Sequence[ScoredRun]) -> Sequence[ScoredRun]:
    """One run for each part of the test examples: all folds, or any run."""
    return runs if runs[0].folds else runs[:1]


def pairing_errors(sides: Mapping[str, Sequence[ScoredRun]]) -> Iterator[str]:
    """Why the runs of two poolers (name -> runs) on one task cannot be paired.

    The first reason is the one to show: a check assumes that those before it passed.
    """
    unfinished = []
    for pooler, runs in sides.items():
        repeated = [seed for seed, count in Counter(r.seed for r in runs).items() if count > 1]
        if not runs:
            unfinished.append(f"missing: {pooler} has no run")
        if repeated:
            unfinished.append(f"several runs of {pooler} at {listed(repeated)}: select one each")
        for status in sorted({r.status for r in runs} - {"ok"}):
            seeds = {r.seed for r in runs if r.status == status}
            unfinished.append(f"{status}: {pooler} {listed(seeds)}")
    if unfinished:
        yield "; ".join(unfinished)
    by_seed = {pooler: {r.seed: r for r in runs} for pooler, runs in sides.items()}
    first, second = by_seed.values()
    only = {pooler: of.keys() - (first.keys() & second.keys()) for pooler, of in by_seed.items()}
    if any(only.values()):
        lone = (f"{listed(seeds)} only for {pooler}" for pooler, seeds in only.items() if seeds)
        yield f"unequal seeds: {', '.join(lone)}"
    everything = [*first.values(), *second.values()]
    if len(tasks := {r.task for r in everything}) > 1:
        yield f"tasks differ: {', '.join(sorted(tasks))}"
    if len(folds := {r.folds for r in everything}) > 1:
        yield f"cross-validation differs, numbers of folds: {', '.join(map(str, sorted(folds)))}"
    (k,) = folds
    if k and (lacking := set(range(k)) - first.keys()):
        yield f"missing: folds {', '.join(map(str, sorted(lacking)))} of {k}, as seeds"
    # Only the runs of one fold share their test examples.
    shared = [[first[seed], second[seed]] for seed in first] if k else [everything]
    for what, attribute in (("test example", "test_ids"), ("tokenization", "tokens")):
        digests = [{getattr(r, attribute) for r in same} for same in shared]
        if any("" in found for found in digests):
            yield f"no {what} digest was recorded"
        if any(len(found) > 1 for found in digests):
            yield f"{what} digests differ"
    for attribute in ("targets", "groups"):
        arrays = [[getattr(r, attribute) for r in same] for same in shared]
        if any(not np.array_equal(a, same[0]) for same in arrays for a in same):
            yield f"test {attribute} differ"
    for seed in sorted(first):
        # Early stopping may end two runs at different epochs: only epochs of both are compared.
        pairs = list(zip(first[seed].order, second[seed].order, strict=False))
        if not pairs and (first[seed].trained or second[seed].trained):
            yield f"no order digest was recorded at seed {seed}"
        if any(a != b for a, b in pairs):
            yield f"order digests differ at seed {seed}"
    # Untuned is one setting tried.
    budgets = {pooler: {r.budget or 1 for r in runs} for pooler, runs in sides.items()}
    if len(set.union(*budgets.values())) > 1:
        tried = (f"{pooler} {'/'.join(map(str, sorted(b)))}" for pooler, b in budgets.items())
        yield f"unequal tuning budget, settings tried: {', '.join(tried)}"


def listed(seeds: Collection[int]) -> str:
    """Seeds in words: seeds 0, 3."""
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, sorted(seeds)))}"
