"""Two poolers over several tasks (dataset × encoder): counts, mean difference, new datasets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, log2, sqrt

import numpy as np
from scipy import stats

from poolbench.stats.paired_test import Crossed, holm, paired, two_sided_p
from poolbench.stats.pairing import groups_of, scores_of
from poolbench.stats.scores import Array
from poolbench.stats.verdict import Comparison, Word, format_estimate, format_p, format_test, plural

FEWEST_DATASETS = 6  # for a claim about new datasets


@dataclass(frozen=True)
class Across:
    """One pair of poolers over all its tasks.

    ``delta`` and ``interval`` (points, first minus second) are the mean over *these* datasets,
    with encoders averaged inside a dataset; ``p`` and ``p_new`` (for new datasets) are corrected
    for ``family`` pairs (Holm) and the looks. None: not computed, for the reason in ``why_...``.
    """

    first: str
    second: str
    tasks: tuple[Comparison, ...]
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

    @property
    def looks(self) -> int:
        """Number of planned looks."""
        return len(self.tasks[0].looks)

    @property
    def counts(self) -> dict[str, int]:
        """Tasks by outcome for the first pooler; it wins or loses by any amount, after Holm."""
        words = [c.word for c in self.tasks]
        return {
            "wins": sum(word.wins for word in words),
            "ties": words.count(Word.TIED),
            "losses": sum(word.loses for word in words),
            "undecided": words.count(Word.INCONCLUSIVE),
            "no verdict": words.count(Word.NONE),
        }

    @property
    def sentence(self) -> str:
        """Counts, mean difference and scope in words."""
        datasets = plural(len({c.dataset for c in self.tasks}), "dataset")
        encoders = plural(len({c.encoder for c in self.tasks}), "encoder")
        counts = [f"{name} {n}" for name, n in self.counts.items() if n or name != "no verdict"]
        claims = [
            f"{verb} {self.second} on at least {k} of {len(self.tasks)}"
            for verb, k in (("beats", self.beats_at_least), ("loses to", self.loses_at_least))
            if k
        ]
        claim = " and ".join(claims) or "no win or loss is certain over all tasks together"
        counted = f"{self.first} vs {self.second} over {datasets} and {encoders}"
        counted += f": {', '.join(counts)}; {claim}."
        if self.delta is None or self.interval is None:
            mean = f"No mean difference ({self.why_no_mean})."
        else:
            metric, test = (
                self.tasks[0].metric,
                format_test(self.p, self.family, len(self.tasks[0].looks)),
            )
            estimate = format_estimate(self.delta, metric, self.level, self.interval, test)
            mean = f"Mean over these datasets {estimate}."
        return f"{counted} {mean} {self._scope()}"

    def _scope(self) -> str:
        if self.p_new is None or self.delta is None:
            return f"Nothing is claimed about new datasets ({self.why_not_new})."
        test = f"sign-flip over datasets, p {format_p(self.p_new)}"
        if self.p_new > self.level * self.looks:
            return f"Not shown to hold on new datasets ({test})."
        better, other = (self.first, self.second) if self.delta > 0 else (self.second, self.first)
        return f"On new datasets like these {better} beats {other} on average ({test})."


def compare_across(comparisons: Iterable[Comparison]) -> list[Across]:
    """Each pair over all datasets and encoders, from its comparisons on single tasks.

    "Beats on at least k" is the partial conjunction of Dror et al. (2017) on the guarded p, at
    level / number of pairs, so the counts hold for all pairs together. A task without verdict
    counts as p = 1.
    """
    by_pair: dict[tuple[str, str], list[Comparison]] = {}
    for c in comparisons:
        by_pair.setdefault((c.first, c.second), []).append(c)
    found = [_over_tasks(tuple(tasks), len(by_pair)) for tasks in by_pair.values()]
    p, p_new = _adjusted(found, "p"), _adjusted(found, "p_new")
    return [replace(a, p=one, p_new=new) for a, one, new in zip(found, p, p_new, strict=True)]


def partial_conjunction(p: Array, alpha: float) -> int:
    """The largest k for which "the effect holds in at least k of these M results" is shown.

    ``p`` (M,) may be dependent: Bonferroni form of Dror, Baumer, Bogomolov and Reichart
    (TACL 2017), where the p of "at least k" is (M - k + 1) times the k-th smallest.
    """
    ordered = np.sort(p)
    steps = len(ordered) - np.arange(len(ordered))
    return int(np.sum(np.maximum.accumulate(ordered * steps) <= alpha))


def sign_flip_p(differences: Array) -> float:
    """Two-sided p of the mean (M,) under random signs (Fisher 1935): exact up to M = 16.

    Assumes values that are symmetric around zero under the null hypothesis, one per dataset. The
    smallest exact p is 2 / 2**M.
    """
    test = stats.permutation_test(
        (differences,), np.sum, permutation_type="samples", n_resamples=2**16, rng=0
    )
    return float(test.pvalue)


def _adjusted(found: Sequence[Across], name: str) -> list[float | None]:
    """p corrected for the pairs and the looks; a missing one counts as 1 and stays missing."""
    p = [getattr(a, name) for a in found]
    adjusted = holm(np.array([1.0 if value is None else value for value in p]))
    return [
        None if value is None else min(float(holms) * a.looks, 1.0)
        for a, value, holms in zip(found, p, adjusted, strict=True)
    ]


def _over_tasks(tasks: tuple[Comparison, ...], family: int) -> Across:
    level = tasks[0].level
    by_dataset: dict[str, list[Comparison]] = {}
    for c in tasks:
        by_dataset.setdefault(c.dataset, []).append(c)
    beats, loses = (_at_least(tasks, sign, level / family) for sign in (+1, -1))
    found = Across(tasks[0].first, tasks[0].second, tasks, level, family, beats, loses)
    why = _why_no_mean(by_dataset)
    if why is not None:
        return replace(found, why_no_mean=why, why_not_new=why)
    estimates = [_over_encoders(of) for of in by_dataset.values()]
    delta, half, p = _mean_of_datasets(estimates, level)
    why = _why_not_new(len(estimates), family, level)
    return replace(
        found,
        delta=100 * delta,
        interval=(100 * (delta - half), 100 * (delta + half)),
        p=p,
        p_new=None if why else sign_flip_p(np.array([e.delta for e in estimates])),
        why_not_new=why,
    )


def _over_encoders(of_dataset: Sequence[Comparison]) -> Crossed:
    """The estimate of a dataset, with its encoders averaged example by example.

    Encoders share the test examples: treating them as independent would count these twice.
    """
    (first, second), metric = of_dataset[0].sides, of_dataset[0].metric
    differences = [
        scores_of(c.sides[first], metric) - scores_of(c.sides[second], metric) for c in of_dataset
    ]
    groups, folds = groups_of(of_dataset[0].sides[first])
    return paired(np.mean(differences, axis=0), groups, folds)


def _at_least(tasks: tuple[Comparison, ...], sign: int, level: float) -> int:
    p = [1.0 if c.p is None or c.delta is None or sign * c.delta <= 0 else c.p for c in tasks]
    return partial_conjunction(np.array(p), level)


def _why_no_mean(by_dataset: Mapping[str, Sequence[Comparison]]) -> str | None:
    words = [c.word for of_dataset in by_dataset.values() for c in of_dataset]
    if Word.NONE in words:
        return f"{words.count(Word.NONE)} of {len(words)} tasks have no verdict"
    if len({c.trained for of_dataset in by_dataset.values() for c in of_dataset}) > 1:
        return "nothing was trained on some of the tasks"
    for dataset, of_dataset in by_dataset.items():
        if len({(c.seeds, c.examples, c.unit) for c in of_dataset}) > 1:
            return f"seeds or examples differ between the encoders on {dataset}"
    return None


def _mean_of_datasets(estimates: list[Crossed], level: float) -> tuple[float, float, float]:
    """Mean over these datasets, half width of its 1 - level interval, and p; both guarded.

    Datasets share no examples, so their variances add; degrees of freedom by Satterthwaite.
    """
    m = len(estimates)
    delta = float(np.mean([e.delta for e in estimates]))
    halves, ps = [], []
    for guard in zip(*(e.guards for e in estimates), strict=True):
        variances, dofs = np.array(guard, dtype=np.float64).T
        total = variances.sum()
        dof = total**2 / np.sum(variances**2 / dofs) if total > 0 else 1.0
        halves.append(float(stats.t.isf(level / 2, dof)) * sqrt(total) / m)
        ps.append(float(two_sided_p(delta, total / m**2, dof)))
    return delta, max(halves), max(ps)


def _why_not_new(datasets: int, family: int, level: float) -> str | None:
    if datasets < FEWEST_DATASETS:
        return f"{datasets} of the {FEWEST_DATASETS} datasets such a claim needs"
    # The smallest p of a sign-flip test is 2 / 2**M, and Holm multiplies it by the pairs.
    reachable = ceil(1 + log2(family / level))
    if datasets < reachable:
        return f"{datasets} datasets cannot reach level {level:.2g}, {reachable} could"
    return None
