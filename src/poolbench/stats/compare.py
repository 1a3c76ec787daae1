"""From runs to verdicts: each pooler against the reference, and all pairs.

**S** paired seeds, **n** test examples.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Self

import numpy as np
from numpy.typing import NDArray

from poolbench.runs.protocol import Protocol
from poolbench.runs.record import RunRecord
from poolbench.runs.study import FEWEST_SEEDS
from poolbench.stats.paired_test import guarded_half_width, guarded_p, holm
from poolbench.stats.power import needed, seeds_range, smallest_difference
from poolbench.stats.scores import SCORES, Array
from poolbench.stats.verdict import Comparison, Word, decide, format_points, plural


@dataclass(frozen=True, eq=False)
class ScoredRun:
    """A run, reduced to what a comparison needs.

    Attributes:
        labels, predictions: class numbers (n,), empty unless the status is ``ok``.
        test_ids, tokens: digests of the test examples and of the tokenized dataset.
        order: one digest of the training order per epoch.
        budget: number of settings tried to tune this pooler; None where nothing was tuned.
        logits: (n, C), for scores of the probabilities.
        groups: cluster of each test example (n,), such as its document; None: all independent.
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
    logits: NDArray[np.float32] | None = None
    groups: NDArray[np.int64] | None = None
    _scores: dict[str, Array] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        labels, predictions = self.labels.shape, self.predictions.shape
        if labels != predictions or len(labels) != 1 or (self.status == "ok" and labels[0] < 2):
            raise ValueError(
                f"{self.pooler} seed {self.seed}: labels {labels} and predictions {predictions}, "
                "expected (n,) for both, with 2 or more test examples"
            )

    @classmethod
    def from_record(cls, record: RunRecord, budget: int | None = None) -> Self:
        """The run of a record. Raises RecordError if its predictions cannot be read."""
        names = record.run.model_dump(include={"dataset", "encoder", "pooler", "seed"})
        digests, empty = record.digests, np.empty(0, np.int64)
        kept = record.predictions if record.ok else None
        return cls(
            **names,
            status=record.status,
            labels=kept.labels if kept else empty,
            predictions=kept.predictions if kept else empty,
            test_ids=digests.test_ids,
            tokens=digests.tokens,
            order=tuple(digests.order),
            budget=budget,
            logits=kept.logits if kept else None,
            groups=kept.groups if kept else None,
        )

    def scores(self, metric: str) -> Array:
        """Per-example scores (n,) whose mean is the metric; computed once."""
        if metric not in self._scores:
            predicted = self.logits if metric == "brier" else self.predictions
            self._scores[metric] = SCORES[metric](self.labels, predicted)
        return self._scores[metric]


def compare_with_reference(runs: Iterable[ScoredRun], protocol: Protocol) -> list[Comparison]:
    """Every other pooler against the reference, on each dataset and encoder.

    Holm's correction is over the P-1 comparisons of one dataset and encoder. Poolers without usable
    runs are counted, so finishing their runs later does not change this number.
    """
    runs = list(runs)
    others = sorted({r.pooler for r in runs} - {protocol.reference})
    return _compare(runs, [(other, protocol.reference) for other in others], protocol)


def compare_probabilities(runs: Iterable[ScoredRun], protocol: Protocol) -> list[Comparison]:
    """The comparisons with the reference by Brier score, with the same margin in its points.

    A proper score uses how certain a prediction is and often needs fewer examples. Its family is
    its own.
    """
    return compare_with_reference(runs, protocol.model_copy(update={"metric": "brier"}))


def compare_all_pairs(runs: Iterable[ScoredRun], protocol: Protocol) -> list[Comparison]:
    """Each pair of poolers once, on each dataset and encoder; Holm over all P(P-1)/2 pairs."""
    runs = list(runs)
    return _compare(runs, list(combinations(sorted({r.pooler for r in runs}), 2)), protocol)


def comparable(pairs: Sequence[Comparison]) -> list[str]:
    """The largest set of poolers of one task that all have verdicts on each other."""
    judged = [c for c in pairs if c.word is not Word.NONE]
    others: dict[str, set[str]] = {}
    for c in judged:
        others.setdefault(c.first, {c.first}).add(c.second)
        others.setdefault(c.second, {c.second}).add(c.first)
    return max(map(sorted, others.values()), key=len, default=[])


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
            unfinished.append(f"several runs of {pooler} at {_listed(repeated)}: select one each")
        for status in sorted({r.status for r in runs} - {"ok"}):
            seeds = {r.seed for r in runs if r.status == status}
            unfinished.append(f"{status}: {pooler} {_listed(seeds)}")
    if unfinished:
        yield "; ".join(unfinished)
    by_seed = {pooler: {r.seed: r for r in runs} for pooler, runs in sides.items()}
    first, second = by_seed.values()
    only = {pooler: of.keys() - (first.keys() & second.keys()) for pooler, of in by_seed.items()}
    if any(only.values()):
        listed = (f"{_listed(seeds)} only for {pooler}" for pooler, seeds in only.items() if seeds)
        yield f"unequal seeds: {', '.join(listed)}"
    everything = [*first.values(), *second.values()]
    for what, attribute in (("test example", "test_ids"), ("tokenization", "tokens")):
        digests = {getattr(r, attribute) for r in everything}
        if "" in digests:
            yield f"no {what} digest was recorded"
        if len(digests) > 1:
            yield f"{what} digests differ"
    for attribute in ("labels", "groups"):
        arrays = [getattr(r, attribute) for r in everything]
        if any(not np.array_equal(a, arrays[0]) for a in arrays):
            yield f"test {attribute} differ"
    for seed in sorted(first):
        # Early stopping may end two runs at different epochs: only epochs of both are compared.
        pairs = list(zip(first[seed].order, second[seed].order, strict=False))
        if not pairs:
            yield f"no order digest was recorded at seed {seed}"
        if any(a != b for a, b in pairs):
            yield f"order digests differ at seed {seed}"
    # Untuned is one setting tried.
    budgets = {pooler: {r.budget or 1 for r in runs} for pooler, runs in sides.items()}
    if len(set.union(*budgets.values())) > 1:
        tried = (f"{pooler} {'/'.join(map(str, sorted(b)))}" for pooler, b in budgets.items())
        yield f"unequal tuning budget, settings tried: {', '.join(tried)}"


def collapsed(means: Array) -> NDArray[np.bool_]:
    """Runs (S,) far below the others: 5 points and 5 robust standard deviations off the median."""
    below = np.median(means) - means
    return below > max(0.05, 5 * 1.4826 * float(np.median(np.abs(below))))


def _compare(
    runs: list[ScoredRun], pairs: list[tuple[str, str]], protocol: Protocol
) -> list[Comparison]:
    found: list[Comparison] = []
    for task in sorted({(r.dataset, r.encoder) for r in runs}):
        of_task = sorted((r for r in runs if (r.dataset, r.encoder) == task), key=lambda r: r.seed)
        # By default one look is planned, at the seeds that were declared for this task.
        looks = tuple(protocol.looks or [len({r.seed for r in of_task})])
        sides = [{name: [r for r in of_task if r.pooler == name] for name in p} for p in pairs]
        family = [_describe(task, both, len(pairs), looks, protocol) for both in sides]
        # A comparison without a test counts as p = 1.
        p = np.array([1.0 if c.why else guarded_p(c.estimate) for c in family])
        adjusted = np.minimum(holm(p) * len(looks), 1)  # Bonferroni over the looks
        found += [
            c if c.why else _judge(c, *map(float, pair))
            for c, *pair in zip(family, p, adjusted, strict=True)
        ]
    return found


def _describe(
    task: tuple[str, str],
    sides: Mapping[str, list[ScoredRun]],
    family: int,
    looks: tuple[int, ...],
    protocol: Protocol,
) -> Comparison:
    """The comparison before any test: its differences, or why there are none."""
    (first, second), (dataset, encoder) = sides, task
    chosen = protocol.model_dump(include={"metric", "margin", "power"})
    chosen |= {"family": family, "looks": looks, "level": protocol.alpha / len(looks)}
    blank = Comparison(first, second, dataset, encoder, **chosen)
    why = next(pairing_errors(sides), None)
    if why is not None:
        return replace(blank, why=why)
    scores = {name: np.stack([r.scores(blank.metric) for r in of]) for name, of in sides.items()}
    d = scores[first] - scores[second]  # (S, n)
    if len(d) == 1:
        why = "single seed, no inference"
    elif len(d) < FEWEST_SEEDS:
        why = f"descriptive only, {len(d)} of the {FEWEST_SEEDS} seeds a test needs"
    seeds = tuple(r.seed for r in sides[first])
    return replace(
        blank,
        why=why,
        seeds=seeds,
        examples=d.shape[1],
        delta=float(100 * d.mean()),
        collapsed=_describe_collapsed(scores, seeds),
        differences=d,
        groups=sides[first][0].groups,
    )


def _describe_collapsed(scores: Mapping[str, Array], seeds: Sequence[int]) -> str:
    """Collapsed runs of two poolers, and their difference without these seeds, in words."""
    lost = {name: collapsed(s.mean(axis=1)) for name, s in scores.items()}
    first, second = scores.values()
    kept = ~np.any(list(lost.values()), axis=0)
    if kept.all():
        return ""
    listed = " and ".join(
        f"{which.sum()} of {plural(len(seeds), 'run')} of {name} collapsed "
        f"({_listed(np.array(seeds)[which].tolist())})"
        for name, which in lost.items()
        if which.any()
    )
    without = "it" if sum(which.sum() for which in lost.values()) == 1 else "them"
    return f"{listed}; without {without} {format_points(100 * (first - second)[kept].mean())}."


def _judge(c: Comparison, p: float, p_adjusted: float) -> Comparison:
    estimate, delta, margin = c.estimate, float(c.estimate.delta), c.margin / 100
    # Power at this level holds whatever the results of the other pairs in the family.
    sure = c.level / c.family
    half, narrow = (float(guarded_half_width(estimate, a)) for a in (c.level, 2 * c.level))
    word = decide(delta, half, narrow, p_adjusted, c.level * len(c.looks), margin)
    needs, quantiles = None, None
    if word is Word.INCONCLUSIVE:
        needs = needed(estimate, margin, sure, c.power)
        if needs[0] > len(c.seeds) and needs[1] == c.examples:
            quantiles = seeds_range(estimate, margin, sure, c.power)
    return replace(
        c,
        delta=100 * delta,
        interval=(100 * (delta - half), 100 * (delta + half)),
        narrow_interval=(100 * (delta - narrow), 100 * (delta + narrow)),
        p=p,
        p_adjusted=p_adjusted,
        word=word,
        exploratory=len(c.seeds) not in c.looks,
        needs=needs,
        seeds_range=quantiles,
        finds=100 * smallest_difference(estimate, len(c.seeds), c.examples, sure, c.power),
    )


def _listed(seeds: Collection[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, sorted(seeds)))}"
