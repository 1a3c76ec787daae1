"""Checks of the comparison protocol on simulated poolers whose true difference is known.

**R** simulated studies, **P** poolers, **S** seeds, **n** test examples.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import stats

from poolbench.stats.across_datasets import partial_conjunction
from poolbench.stats.paired_test import (
    Crossed,
    crossed,
    guarded_half_width,
    guarded_p,
    holm,
    two_sided_p,
)
from poolbench.stats.power import predicted_power, seeds_needed, seeds_range
from poolbench.stats.scores import macro_f1_scores

ALPHA = 0.05
LOOKS = (5, 10, 20)
EXAMPLES = 500
POOLERS = 6
EQUAL = (0.0,) * POOLERS
MARGIN = 0.05
ACCURACY = 0.8
BATCH = 100  # studies simulated together: bounds the memory
# Standard deviations of a pooler's effects of seed and of example; that of the noise is 1.
REGIMES = {"seed-dominated": (0.15, 0.05), "example-dominated": (0.02, 1.0), "mixed": (0.1, 0.6)}
SHARED = 0.7  # difficulty of an example, the same for all poolers

Hits = NDArray[np.bool_]
Rate = tuple[str, float | None, Hits]  # what, limit, studies (R,) in which it happened


class Row(NamedTuple):
    """One measured rate; ``limit`` is None where the rate is shown but not checked."""

    what: str
    setting: str
    seeds: int | str
    rate: float
    limit: float | None
    exceeds: bool
    cells: tuple[str, str]  # the rate with its Monte-Carlo standard error, and the limit


def row(what: str, setting: str, seeds: int | str, hits: Any, limit: float | None = None) -> Row:
    """The share of studies (R,) in which something happened."""
    rate = float(np.mean(hits))
    p = rate if limit is None else limit
    error = np.sqrt(p * (1 - p) / len(hits))
    exceeds = limit is not None and bool(rate > limit + 3 * error)
    measured = f"{rate:.3f} ± {error:.3f}{' **exceeds**' * exceeds}"
    cells = measured, "" if limit is None else f"{limit:.3f}"
    return Row(what, setting, seeds, rate, limit, exceeds, cells)


def tables(rows: Iterable[Row], names: Sequence[str] = ()) -> str:
    """Markdown: rates measured in all settings ``names`` with one column each, then the others."""
    by_line: dict[tuple[str, int | str], dict[str, Row]] = {}
    for one in rows:
        by_line.setdefault((one.what, one.seeds), {})[one.setting] = one
    wide = [f"| rate | seeds | {' | '.join(names)} | limit |", "|---" * (len(names) + 3) + "|"]
    long = ["| rate | setting | seeds | measured | limit |", "|---" * 5 + "|"]
    for (what, seeds), line in by_line.items():
        if names and set(names) <= set(line):
            rates, limits = zip(*(line.pop(name).cells for name in names), strict=True)
            wide.append(f"| {what} | {seeds} | {' | '.join(rates)} | {limits[0]} |")
        for setting, one in line.items():
            long.append(f"| {what} | {setting} | {seeds} | {' | '.join(one.cells)} |")
    return "\n".join([*wide, "", *long] if names else long)


def correct(
    rng: Generator, regime: str, studies: int, seeds: int, gains: Sequence[float] = EQUAL
) -> Iterator[Hits]:
    """Which predictions are right, in batches (R, P, S, n).

    A prediction is right if the effects of example, of pooler × example, of pooler × seed and the
    noise add up to more than a threshold, which gives pooler p the accuracy ACCURACY + gains[p].
    """
    by_seed, by_example = REGIMES[regime]
    spread = np.sqrt(1 + SHARED**2 + by_example**2 + by_seed**2)
    threshold = (spread * stats.norm.isf(ACCURACY + np.array(gains))).astype(np.float32)
    normal = partial(rng.standard_normal, dtype=np.float32)
    for start in range(0, studies, BATCH):
        r, p = min(BATCH, studies - start), len(gains)
        latent = normal((r, p, seeds, EXAMPLES))
        latent += SHARED * normal((r, 1, 1, EXAMPLES))
        latent += by_example * normal((r, p, 1, EXAMPLES))
        latent += by_seed * normal((r, p, seeds, 1))
        yield latent > threshold[:, None, None]


def against(right: Hits, reference: int = 0) -> Crossed:
    """Estimates (R, P') of every pooler after the reference minus the reference."""
    scores = right[:, reference:].astype(np.int8)
    return crossed(scores[:, 1:] - scores[:, :1])


def false_positives(right: Hits) -> Iterator[Rate]:
    p = guarded_p(against(right))
    yield "A/A, one pair", ALPHA, p[:, 0] <= ALPHA
    yield "A/A, any of 5 (Holm)", ALPHA, holm(p).min(axis=1) <= ALPHA


def all_pairs(right: Hits) -> Iterator[Rate]:
    p = np.concatenate([guarded_p(against(right, k)) for k in range(POOLERS - 1)], axis=1)
    yield "A/A, any of all 15 pairs (Holm)", ALPHA, holm(p).min(axis=1) <= ALPHA


def macro_f1(right: Hits) -> Iterator[Rate]:
    labels = (np.arange(EXAMPLES) % 5 == 0).astype(np.int64)  # one in five positive
    scores = macro_f1_scores(labels, np.where(right, labels, 1 - labels))
    hits = guarded_p(crossed(scores[:, 1] - scores[:, 0])) <= ALPHA
    yield "A/A, one pair, macro-F1", ALPHA, hits


def at_3_points(right: Hits) -> Iterator[Rate]:
    estimate = against(right)
    delta, half = estimate.delta[:, 0], guarded_half_width(estimate, ALPHA)[:, 0]
    yield "95 % interval misses the truth", ALPHA, np.abs(delta - 0.03) > half
    yield "power at 3 points, one pair", None, delta > half


def at_half_a_point(right: Hits) -> Iterator[Rate]:
    estimate = against(right)
    wrong = estimate.delta < -guarded_half_width(estimate, ALPHA)
    yield "wrong sign at 0.5 points", ALPHA / 2, wrong[:, 0]


def at_the_margin(right: Hits) -> Iterator[Rate]:
    estimate = against(right)
    tied = np.abs(estimate.delta) + guarded_half_width(estimate, 2 * ALPHA) < MARGIN
    larger = estimate.delta - guarded_half_width(estimate, ALPHA) > MARGIN
    yield "false tie at the margin, one pair", ALPHA, tied[:, 0]
    yield "false tie at the margin, any of 5", None, tied.any(axis=1)
    yield 'false "larger than the margin", one pair', ALPHA / 2, larger[:, 0]
    yield 'false "larger than the margin", any of 5', None, larger.any(axis=1)


def peeking(right: Hits) -> Iterator[tuple[str, float | None, Hits, str]]:
    each = range(LOOKS[0], LOOKS[-1] + 1)
    estimates = [against(right[:, :, :seeds]) for seeds in each]
    p = np.concatenate([guarded_p(e) for e in estimates], axis=1)  # (R, looks)
    planned = p[:, [each.index(seeds) for seeds in LOOKS]] <= ALPHA / len(LOOKS)
    naive = np.concatenate([two_sided_p(e.delta, *e.guards[1]) for e in estimates], axis=1) <= ALPHA
    yield "A/A, three planned looks at alpha/3", ALPHA, planned.any(axis=1), "5, 10, 20"
    yield "A/A, a look at alpha after every seed", None, (p <= ALPHA).any(axis=1), "5 to 20"
    yield "naive: t over seeds after every seed", None, naive.any(axis=1), "5 to 20"


def naive_wins(right: Hits) -> Iterator[Rate]:
    """Studies in which naive procedures claim a win."""
    d = right[:, 1].astype(np.int8) - right[:, 0].astype(np.int8)  # (R, S, n)
    best = np.sort(right.mean(axis=(2, 3)), axis=1)
    won, lost = (d > 0).sum(axis=(1, 2)), (d < 0).sum(axis=(1, 2))
    mcnemar = stats.chi2.sf((won - lost) ** 2 / np.maximum(won + lost, 1), 1)
    by_example = stats.ttest_1samp(d.mean(axis=1), 0, axis=1).pvalue
    yield f"naive: the highest mean of {right.shape[1]} wins", None, best[:, -1] > best[:, -2]
    yield "naive: McNemar on pooled seeds", None, mcnemar <= ALPHA
    yield "naive: t over examples", None, by_example <= ALPHA
    over_seeds = two_sided_p(d.mean(axis=(1, 2)), *crossed(d).guards[1])
    yield "naive: paired t over seeds alone", None, over_seeds <= ALPHA


def least_favourable(rng: Generator, studies: int) -> Iterator[Row]:
    """The mix of variances for which Satterthwaite's approximation is worst, with normal errors.

    Found by a scan over ratios of mean squares. Shown, not checked: it is known to exceed alpha.
    """
    studies *= 20  # a study is four random numbers here
    for seeds, by_seed, by_example in ((5, 50.0, 12.0), (10, 100.0, 40.0), (20, 6.0, 8.0)):
        dof_s, dof_i = seeds - 1, EXAMPLES - 1
        ms_seed = by_seed * rng.chisquare(dof_s, studies) / dof_s
        ms_example = by_example * rng.chisquare(dof_i, studies) / dof_i
        ms_error = rng.chisquare(dof_s * dof_i, studies) / (dof_s * dof_i)
        variance = (by_seed + by_example - 1) / (seeds * EXAMPLES)
        delta = rng.standard_normal(studies) * np.sqrt(variance)
        p = guarded_p(Crossed(delta, ms_seed, ms_example, ms_error, seeds, EXAMPLES))
        yield row("A/A, one pair", "least favourable mix", seeds, p <= ALPHA)


def advice(rng: Generator, studies: int, gain: float = 0.05) -> Iterator[Row]:
    """Whether the advised seeds give 80 % power at 5 points, and the range contains them."""
    family, gains = POOLERS - 1, (0.0, gain, *EQUAL[2:])
    for regime in REGIMES:
        pilots = [against(y) for y in correct(rng, regime, studies, 5, gains[:2])]
        squares = [[e.ms_seed, e.ms_example, e.ms_error] for e in pilots]
        mean_squares = np.concatenate(squares, axis=1).mean(axis=(1, 2)).tolist()
        true = Crossed(gain, *mean_squares, seeds=5, examples=EXAMPLES)
        for name, level in (("at alpha/5", ALPHA / family), ("at alpha", ALPHA)):
            needed = int(seeds_needed(true, gain, level))
            power = float(predicted_power(true, needed, gain, ALPHA / family))
            runs = correct(rng, regime, studies, needed, gains)
            hits = np.concatenate([holm(guarded_p(against(y)))[:, 0] <= ALPHA for y in runs])
            setting = f"{regime}, advised {name} (predicted {power:.3f})"
            yield row("power at 5 points after Holm over 5", setting, needed, hits)
        needed = int(seeds_needed(true, gain, ALPHA / family))
        batches = correct(rng, regime, min(studies, 400), 5, gains[:2])
        pairs = (d for y in batches for d in y[:, 1].astype(np.int8) - y[:, 0].astype(np.int8))
        ranges = [seeds_range(crossed(d), gain, ALPHA / family) for d in pairs]
        held = [low <= needed <= high for _, low, high in ranges]
        yield row("10-90 % range covers the seeds needed", regime, 5, held)


def replicability(rng: Generator, studies: int) -> Iterator[Row]:
    """With a true effect on three of eight datasets, "beats on at least 4" is claimed."""
    z = rng.standard_normal((studies, 8)) + np.array([8.0] * 3 + [0.0] * 5)
    p = np.where(z > 0, 2 * stats.norm.sf(np.abs(z)), 1.0)
    hits = [partial_conjunction(of_study, ALPHA) > 3 for of_study in p]
    yield row('"beats on at least k", k too large', "3 of 8 datasets differ", "any", hits, ALPHA)


def simulated(*parts: Any) -> Callable[[Generator, int], Iterator[Row]]:
    """A check in all regimes; each part is what to measure, the number of seeds, and the gains."""

    def rows(rng: Generator, studies: int) -> Iterator[Row]:
        for regime in REGIMES:
            for measure, seeds, gains in parts:
                batches = [list(measure(y)) for y in correct(rng, regime, studies, seeds, gains)]
                for rates in zip(*batches, strict=True):
                    what, limit, _, *shown = rates[0]
                    hits = np.concatenate([rate[2] for rate in rates])
                    yield row(what, regime, *(shown or [seeds]), hits, limit)

    return rows


CHECKS = {
    "false positives": simulated(
        (false_positives, 5, EQUAL), (false_positives, 10, EQUAL), (all_pairs, 5, EQUAL)
    ),
    "macro-F1": simulated((macro_f1, 5, EQUAL[:2])),
    "least favourable mix": least_favourable,
    "intervals": simulated((at_3_points, 10, (0.0, 0.03)), (at_half_a_point, 10, (0.0, 0.005))),
    "ties": simulated((at_the_margin, 10, (0.0, *[MARGIN] * (POOLERS - 1)))),
    "peeking": simulated((peeking, LOOKS[-1], EQUAL[:2])),
    "naive procedures": simulated((naive_wins, 5, EQUAL)),
    "advice": advice,
    "replicability": replicability,
}
