"""Two poolers over many datasets and encoders: counts, the mean over these cells, new datasets.

**M** datasets, **K** cells (dataset x encoder), **S** paired seeds, **n** test examples.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import ceil, log2, sqrt

import numpy as np
from scipy import stats

from poolbench.stats.paired_test import (
    Crossed,
    crossed,
    holm,
    partial_conjunction,
    sign_flip_p,
    two_sided_p,
)
from poolbench.stats.protocol import Protocol
from poolbench.stats.verdict import (
    METRIC_NAMES,
    Comparison,
    Word,
    counted,
    percent,
    points,
    span,
    written_p,
)


@dataclass(frozen=True)
class Across:
    """One pair of poolers over all its cells; ``cells`` in order is the forest plot.

    ``delta`` and ``interval`` (points, first minus second) are the mean over *these* datasets,
    encoders averaged inside a dataset; ``p`` and ``p_new`` are corrected by Holm over ``family``
    pairs. Where something could not be worked out it is None and ``why_no_mean`` or ``why_not_new``
    says the reason.
    """

    first: str
    second: str
    cells: tuple[Comparison, ...]
    level: float
    family: int
    beats_at_least: int
    loses_at_least: int
    delta: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    why_no_mean: str | None = None
    p_new: float | None = None
    why_not_new: str | None = None

    def count(self, *words: Word) -> int:
        """Cells with one of these words."""
        return sum(c.word in words for c in self.cells)

    @property
    def wins(self) -> int:
        """Cells where the first pooler is better after Holm, however little."""
        return sum(c.word.wins for c in self.cells)

    @property
    def losses(self) -> int:
        """Cells where the first pooler is worse after Holm, however little."""
        return sum(c.word.loses for c in self.cells)

    @property
    def ties(self) -> int:
        """Cells tied within the margin."""
        return self.count(Word.TIED)

    @property
    def undecided(self) -> int:
        """Cells where the data cannot say."""
        return self.count(Word.NOT_ENOUGH, Word.TOO_SMALL)

    @property
    def without_verdict(self) -> int:
        """Cells whose runs cannot be compared; they count against both poolers."""
        return self.count(Word.NONE)

    @property
    def sentence(self) -> str:
        """Counts, mean and scope in words, ready for a report."""
        return " ".join((_counted(self), _averaged(self), _scope(self)))


def compare_across(comparisons: Iterable[Comparison], protocol: Protocol) -> list[Across]:
    """Each pair's verdicts over all datasets and encoders, from `compare_with_reference` or pairs.

    "Beats on at least k" is the partial conjunction of Dror et al. (2017) on the guarded p, at
    level / number of pairs, so the counts hold for all pairs together. A cell without verdict
    counts as p = 1.
    """
    by_pair: dict[tuple[str, str], list[Comparison]] = {}
    for c in comparisons:
        by_pair.setdefault((c.first, c.second), []).append(c)
    found = [_over_cells(tuple(cells), len(by_pair), protocol) for cells in by_pair.values()]
    p = holm(np.array([1.0 if a.p is None else a.p for a in found]))
    p_new = holm(np.array([1.0 if a.p_new is None else a.p_new for a in found]))
    return [
        replace(
            a,
            p=None if a.p is None else float(p[i]),
            p_new=None if a.p_new is None else float(p_new[i]),
        )
        for i, a in enumerate(found)
    ]


def _over_cells(cells: tuple[Comparison, ...], family: int, protocol: Protocol) -> Across:
    level = cells[0].level
    blank = Across(
        first=cells[0].first,
        second=cells[0].second,
        cells=cells,
        level=level,
        family=family,
        beats_at_least=_at_least(cells, +1, level / family),
        loses_at_least=_at_least(cells, -1, level / family),
    )
    by_dataset: dict[str, list[Comparison]] = {}
    for c in cells:
        by_dataset.setdefault(c.dataset, []).append(c)
    why = _no_mean(cells, by_dataset)
    if why is not None:
        return replace(blank, why_no_mean=why, why_not_new=why)
    # Encoders share the test examples of a dataset, so they are averaged example by example:
    # treating them as independent would count the same examples twice.
    estimates = [
        crossed(np.mean([c.differences for c in of_dataset], axis=0))
        for of_dataset in by_dataset.values()
    ]
    delta, half, p = _mean_of_datasets(estimates, level)
    why_not_new = _not_new(len(estimates), family, level, protocol)
    return replace(
        blank,
        delta=100 * delta,
        interval=(100 * (delta - half), 100 * (delta + half)),
        p=p,
        p_new=sign_flip_p(np.array([e.delta for e in estimates])) if why_not_new is None else None,
        why_not_new=why_not_new,
    )


def _at_least(cells: tuple[Comparison, ...], sign: int, level: float) -> int:
    p = [1.0 if c.p is None or c.delta is None or sign * c.delta <= 0 else c.p for c in cells]
    return partial_conjunction(np.array(p), level)


def _no_mean(cells: tuple[Comparison, ...], by_dataset: dict[str, list[Comparison]]) -> str | None:
    unjudged = sum(c.word is Word.NONE for c in cells)
    if unjudged:
        return f"{unjudged} of {len(cells)} cells have no verdict"
    for dataset, of_dataset in by_dataset.items():
        if len({(c.seeds, c.examples) for c in of_dataset}) > 1:
            return f"seeds or examples differ between the encoders on {dataset}"
    return None


def _mean_of_datasets(estimates: list[Crossed], level: float) -> tuple[float, float, float]:
    """Mean over these datasets, half width of its 1 - level interval, and p; both guarded.

    Datasets share no examples, so their variances add; degrees of freedom by Satterthwaite.
    """
    m = len(estimates)
    delta = float(np.mean([e.delta for e in estimates]))
    halves, ps = [], []
    for parts in (
        [(float(e.variance), float(e.dof)) for e in estimates],
        [(float(e.seed_variance), float(e.seeds - 1)) for e in estimates],
    ):
        total = sum(v for v, _ in parts)
        dof = total**2 / sum(v**2 / df for v, df in parts) if total > 0 else 1.0
        halves.append(float(stats.t.isf(level / 2, dof)) * sqrt(total) / m)
        ps.append(float(two_sided_p(delta, total / m**2, dof)))
    return delta, max(halves), max(ps)


def _not_new(datasets: int, family: int, level: float, protocol: Protocol) -> str | None:
    """Why nothing can be claimed about new datasets, or None."""
    if datasets < protocol.fewest_datasets:
        return f"{datasets} of the {protocol.fewest_datasets} datasets such a claim needs"
    # The smallest p of a sign-flip test is 2 / 2**M, and Holm multiplies it by the pairs.
    reachable = ceil(1 + log2(family / level))
    if datasets < reachable:
        return f"{datasets} datasets cannot reach level {level:.2g}, {reachable} could"
    return None


def _counted(a: Across) -> str:
    datasets = len({c.dataset for c in a.cells})
    encoders = len({c.encoder for c in a.cells})
    told = (
        f"{a.first} against {a.second} over {counted(datasets, 'dataset')} and "
        f"{counted(encoders, 'encoder')}: "
        f"wins {a.wins}, ties {a.ties}, losses {a.losses}, undecided {a.undecided}"
    )
    if a.without_verdict:
        told += f", without verdict {a.without_verdict}"
    counts = [
        f"{verb} {a.second} on at least {k} of {len(a.cells)}"
        for verb, k in (("beats", a.beats_at_least), ("loses to", a.loses_at_least))
        if k
    ]
    return f"{told}; {' and '.join(counts) or 'weighed together, none is sure'}."


def _averaged(a: Across) -> str:
    if a.delta is None or a.interval is None:
        return f"No mean difference ({a.why_no_mean})."
    holm_over = f", Holm over {a.family}" if a.family > 1 else ""
    return (
        f"Mean over these datasets {points(a.delta)} points {METRIC_NAMES[a.cells[0].metric]} "
        f"({percent(1 - a.level)} interval {span(a.interval)}; p {written_p(a.p)}{holm_over})."
    )


def _scope(a: Across) -> str:
    if a.p_new is None or a.delta is None:
        return f"Nothing is claimed about new datasets ({a.why_not_new})."
    tested = f"sign-flip over datasets, p {written_p(a.p_new)}"
    if a.p_new > a.level:
        return f"Not shown to hold on new datasets ({tested})."
    better, other = (a.first, a.second) if a.delta > 0 else (a.second, a.first)
    return f"On new datasets like these {better} beats {other} on average ({tested})."
