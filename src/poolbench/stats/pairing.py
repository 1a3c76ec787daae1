"""Runs, and whether two poolers' runs may be compared at all.

**S** paired seeds, **n** test examples.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poolbench.stats.protocol import Protocol
from poolbench.stats.scores import Array, accuracy_scores, macro_f1_scores


@dataclass(frozen=True, eq=False)
class Run:
    """One cell at one seed, reduced to what a comparison needs.

    ``labels`` and ``predictions`` are (n,) class numbers, empty unless the status is ``ok``.
    ``order`` has one digest per trained epoch. ``budget`` is the number of settings tried to tune
    this pooler, None where nothing was tuned.
    """

    dataset: str
    encoder: str
    pooler: str
    seed: int
    status: str
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    test_ids: str = ""
    tokens: str = ""
    order: tuple[str, ...] = ()
    budget: int | None = None

    def __post_init__(self) -> None:
        if self.labels.shape != self.predictions.shape or self.labels.ndim != 1:
            raise ValueError(
                f"{self.pooler} seed {self.seed}: labels {self.labels.shape} and predictions "
                f"{self.predictions.shape} should both be (n,)"
            )
        if self.status == "ok" and len(self.labels) < 2:
            raise ValueError(f"{self.pooler} seed {self.seed}: fewer than 2 test examples")

    @classmethod
    def from_record(
        cls,
        record: Mapping[str, Any],
        labels: NDArray[Any] | None = None,
        predictions: NDArray[Any] | None = None,
        budget: int | None = None,
    ) -> "Run":
        """The run a ``record.json`` tells of.

        Raises ValueError when a run that is ``ok`` comes without its labels and predictions.
        """
        cell = record["cell"]
        digests = record.get("digests") or {}
        finished = record["status"] == "ok"
        if finished and (labels is None or predictions is None):
            raise ValueError(f"{cell['pooler']} seed {cell['seed']} is ok but has no predictions")
        return cls(
            dataset=cell["dataset"],
            encoder=cell["encoder"],
            pooler=cell["pooler"],
            seed=int(cell["seed"]),
            status=record["status"],
            labels=np.asarray(labels if finished else [], dtype=np.int64),
            predictions=np.asarray(predictions if finished else [], dtype=np.int64),
            test_ids=digests.get("test_ids") or "",
            tokens=digests.get("tokens") or "",
            order=tuple(digests.get("order") or ()),
            budget=budget,
        )

    def scores(self, metric: str) -> Array:
        """Per-example scores (n,) whose mean is the metric."""
        return self._f1_macro if metric == "f1_macro" else self._accuracy

    @cached_property
    def _accuracy(self) -> Array:
        return accuracy_scores(self.labels, self.predictions)

    @cached_property
    def _f1_macro(self) -> Array:
        return macro_f1_scores(self.labels, self.predictions)


def differences(first: Sequence[Run], second: Sequence[Run], metric: str) -> Array:
    """Paired score differences, first minus second (S, n), seeds in ascending order."""
    pairs = zip(_by_seed(first), _by_seed(second), strict=True)
    return np.stack([a.scores(metric) - b.scores(metric) for a, b in pairs])


def objection(sides: Mapping[str, Sequence[Run]], protocol: Protocol) -> str | None:
    """Why two poolers (name -> runs) of one dataset and encoder are not paired, else None."""
    return (
        _incomplete(sides, protocol)
        or _unequal_seeds(sides)
        or _mismatch(*sides.values())
        or _unequal_budget(sides)
    )


def _incomplete(sides: Mapping[str, Sequence[Run]], protocol: Protocol) -> str | None:
    told = []
    for pooler, runs in sides.items():
        counts = Counter(r.seed for r in runs)
        twice = [seed for seed, count in counts.items() if count > 1]
        missing = set(protocol.seeds or ()) - set(counts)
        if not runs:
            told.append(f"missing: {pooler} has no run")
        elif missing:
            told.append(f"missing: {pooler} {_listed(missing)}")
        if twice:
            told.append(f"more than one run of {pooler} at {_listed(twice)}, select one variant")
        told += [
            f"{status}: {pooler} {_listed({r.seed for r in runs if r.status == status})}"
            for status in sorted({r.status for r in runs} - {"ok"})
        ]
    return "; ".join(told) or None


def _unequal_seeds(sides: Mapping[str, Sequence[Run]]) -> str | None:
    seeds = {pooler: {r.seed for r in runs} for pooler, runs in sides.items()}
    shared = set.intersection(*seeds.values())
    told = [f"{_listed(s - shared)} only for {pooler}" for pooler, s in seeds.items() if s - shared]
    return "unequal seeds: " + ", ".join(told) if told else None


def _mismatch(first: Sequence[Run], second: Sequence[Run]) -> str | None:
    runs = [*first, *second]
    for what, values in (
        ("test example", {r.test_ids for r in runs}),
        ("tokenisation", {r.tokens for r in runs}),
    ):
        if "" in values:
            return f"no {what} digest was recorded"
        if len(values) > 1:
            return f"{what} digests differ"
    if any(not np.array_equal(r.labels, runs[0].labels) for r in runs):
        return "test labels differ"
    for a, b in zip(_by_seed(first), _by_seed(second), strict=True):
        # Early stopping may end two runs at different epochs; they are paired while both train.
        shared = min(len(a.order), len(b.order))
        if shared == 0:
            return f"no order digest was recorded at {_listed([a.seed])}"
        if a.order[:shared] != b.order[:shared]:
            return f"order digests differ at {_listed([a.seed])}"
    return None


def _unequal_budget(sides: Mapping[str, Sequence[Run]]) -> str | None:
    # Untuned is one setting tried.
    budgets = {pooler: {r.budget or 1 for r in runs} for pooler, runs in sides.items()}
    if len(set.union(*budgets.values())) == 1:
        return None
    told = (f"{pooler} {'/'.join(map(str, sorted(b)))}" for pooler, b in budgets.items())
    return "unequal tuning budget, settings tried: " + ", ".join(told)


def _by_seed(runs: Sequence[Run]) -> list[Run]:
    return sorted(runs, key=lambda r: r.seed)


def _listed(seeds: Collection[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, sorted(seeds)))}"
