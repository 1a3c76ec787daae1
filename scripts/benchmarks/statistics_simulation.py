"""Simulated poolers whose true difference is known, and rates over many simulated studies.

**R** simulated studies, **P** poolers, **S** seeds, **n** test examples.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import stats

from poolbench.stats.paired_test import Crossed, crossed

ALPHA = 0.05
LOOKS = (5, 10, 20)
POOLERS = 6
EQUAL = (0.0,) * POOLERS
MARGIN = 0.05
BATCH = 100  # studies simulated together: bounds the memory


class Regime(NamedTuple):
    """Standard deviations of the effects of seed and example of a pooler; that of noise is 1."""

    seed: float
    example: float
    shared: float = 0.7  # of the difficulty of an example, the same for all poolers
    accuracy: float = 0.8
    examples: int = 500
    cluster: int = 1  # consecutive examples that share the effects of example
    collapse: float | Sequence[float] = 0.0  # share of runs of each pooler with accuracy .5


REGIMES = {
    "seed-dominated": Regime(0.15, 0.05),
    "example-dominated": Regime(0.02, 1.0),
    "mixed": Regime(0.1, 0.6),
}
CLUSTERS = {name: r._replace(cluster=10) for name, r in REGIMES.items()}
# With the variance components of real differences, frozen MiniLM on film reviews: of mean, max and
# cls, whose seeds hardly differ, and of conv and attention.
REAL = {
    "frozen": Regime(0.01, 3.0, 5.0, accuracy=0.75, examples=2530),
    "learned": Regime(0.1, 1.3, 3.0, accuracy=0.75, examples=2530),
}

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
    # As unlikely within the limit as three standard errors of a normal distribution.
    chance = 1.0 if limit is None else stats.binom.sf(np.sum(hits) - 1, len(hits), limit)
    exceeds = bool(chance < 0.00135)
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
    rng: Generator, regime: Regime, studies: int, seeds: int, gains: Sequence[float] = EQUAL
) -> Iterator[Hits]:
    """Which predictions are right, in batches (R, P, S, n).

    A prediction is right if the effects of example, of pooler × example, of pooler × seed and the
    noise add up to more than a threshold; pooler p has the accuracy of the regime plus gains[p].
    """
    spread = np.sqrt(1 + regime.shared**2 + regime.example**2 + regime.seed**2)
    threshold = (spread * stats.norm.isf(regime.accuracy + np.array(gains))).astype(np.float32)
    collapse = np.broadcast_to(regime.collapse, len(gains))[:, None, None]
    normal = partial(rng.standard_normal, dtype=np.float32)
    n, clusters = regime.examples, regime.examples // regime.cluster
    for start in range(0, studies, BATCH):
        r, p = min(BATCH, studies - start), len(gains)
        latent = normal((r, p, seeds, n))
        latent += regime.shared * normal((r, 1, 1, clusters)).repeat(regime.cluster, axis=-1)
        latent += regime.example * normal((r, p, 1, clusters)).repeat(regime.cluster, axis=-1)
        latent += regime.seed * normal((r, p, seeds, 1))
        collapsed = rng.random((r, p, seeds, 1)) < collapse
        yield latent > np.where(collapsed, 0, threshold[:, None, None])


def against(right: Hits, reference: int = 0, cluster: int = 1) -> Crossed:
    """Estimates (R, P') of every pooler after the reference minus the reference."""
    scores = right[:, reference:].astype(np.int8)
    groups = np.arange(right.shape[-1]) // cluster if cluster > 1 else None
    return crossed(scores[:, 1:] - scores[:, :1], groups)


def simulated(
    *parts: Any, regimes: Mapping[str, Regime] = REGIMES, share: int = 1
) -> Callable[[Generator, int], Iterator[Row]]:
    """A check in several regimes; each part is what to measure, the number of seeds, and gains."""

    def rows(rng: Generator, studies: int) -> Iterator[Row]:
        for name, regime in regimes.items():
            for measure, seeds, gains in parts:
                runs = correct(rng, regime, studies // share, seeds, gains)
                for rates in zip(*(list(measure(y)) for y in runs), strict=True):
                    what, limit, _, *shown = rates[0]
                    hits = np.concatenate([rate[2] for rate in rates])
                    yield row(what, name, *(shown or [seeds]), hits, limit)

    return rows
