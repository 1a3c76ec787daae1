"""From numbers to one of ten words, and to one sentence."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf

import numpy as np
from numpy.typing import NDArray

from poolbench.stats.power import MOST_SEEDS

METRIC_NAMES = {"accuracy": "accuracy", "f1_macro": "macro-F1"}


class Word(StrEnum):
    """The verdict on one pair: exactly one word holds for any numbers."""

    BETTER = "better"
    BETTER_UNCERTAIN = "better, size uncertain"
    BETTER_NEGLIGIBLE = "better but negligible"
    WORSE = "worse"
    WORSE_UNCERTAIN = "worse, size uncertain"
    WORSE_NEGLIGIBLE = "worse but negligible"
    TIED = "tied within the margin"
    NOT_ENOUGH = "not enough evidence"
    TOO_SMALL = "test set too small"
    NONE = "no verdict"

    @property
    def wins(self) -> bool:
        """The first pooler is better after Holm, however little."""
        return self in (Word.BETTER, Word.BETTER_UNCERTAIN, Word.BETTER_NEGLIGIBLE)

    @property
    def loses(self) -> bool:
        """The first pooler is worse after Holm, however little."""
        return self in (Word.WORSE, Word.WORSE_UNCERTAIN, Word.WORSE_NEGLIGIBLE)


_WORSE_OF = {
    Word.BETTER: Word.WORSE,
    Word.BETTER_UNCERTAIN: Word.WORSE_UNCERTAIN,
    Word.BETTER_NEGLIGIBLE: Word.WORSE_NEGLIGIBLE,
}
_MIRRORED = _WORSE_OF | {worse: better for better, worse in _WORSE_OF.items()}


@dataclass(frozen=True)
class Comparison:
    """One pooler against another on one dataset and encoder.

    Differences, intervals and the margin are in points, first minus second. Without a verdict
    ``why`` says the reason and the fields that were not worked out are None. ``interval`` has
    confidence ``1 - level``, ``narrow_interval`` (for the tie) ``1 - 2 * level``; both are for this
    pair alone, while ``p_holm`` is corrected for all ``family`` comparisons.
    """

    first: str
    second: str
    dataset: str
    encoder: str
    metric: str
    margin: float
    level: float
    power: float
    family: int
    looks: tuple[int, ...]
    why: str | None = None
    seeds: tuple[int, ...] = ()
    examples: int = 0
    delta: float | None = None
    interval: tuple[float, float] | None = None
    narrow_interval: tuple[float, float] | None = None
    p: float | None = None
    p_holm: float | None = None
    word: Word = Word.NONE
    exploratory: bool = False
    more_seeds: tuple[float, float, float] | None = None  # about, 10 %, 90 %; inf beyond advice
    examples_needed: int | None = None
    differences: NDArray[np.float64] = field(  # (S, n), in units of the score
        default_factory=lambda: np.empty((0, 0)), repr=False, compare=False
    )

    @property
    def per_seed(self) -> tuple[float, ...]:
        """Difference at each seed in points, in the order of ``seeds``."""
        return tuple(float(100 * d) for d in self.differences.mean(axis=1))

    @property
    def sentence(self) -> str:
        """The verdict in words, ready for a report."""
        return sentence(self)

    def swapped(self) -> "Comparison":
        """The same comparison read from the other side."""
        return replace(
            self,
            first=self.second,
            second=self.first,
            delta=None if self.delta is None else -self.delta,
            interval=_mirrored(self.interval),
            narrow_interval=_mirrored(self.narrow_interval),
            word=_MIRRORED.get(self.word, self.word),
            differences=-self.differences,
        )


def decide(
    delta: float,
    interval: tuple[float, float],
    narrow_interval: tuple[float, float],
    p: float,
    level: float,
    margin: float,
    floor: float,
) -> Word:
    """The word for one difference; all but ``p`` and ``level`` in the same units.

    ``floor`` is the smallest difference that endless seeds would find on this test set.
    """
    inside = -margin < narrow_interval[0] and narrow_interval[1] < margin
    if p <= level:
        if inside:
            word = Word.BETTER_NEGLIGIBLE
        elif interval[0] > margin or interval[1] < -margin:
            word = Word.BETTER
        else:
            word = Word.BETTER_UNCERTAIN
        return word if delta > 0 else _WORSE_OF[word]
    if inside:
        return Word.TIED
    return Word.TOO_SMALL if floor > margin else Word.NOT_ENOUGH


def sentence(c: Comparison) -> str:
    """The verdict in words: the claim, its numbers, and how large the difference is."""
    where = f"on {c.dataset} x {c.encoder}"
    if c.delta is None:
        return f"{c.first} against {c.second} {where}: no verdict ({c.why})."
    difference = f"{points(c.delta)} points {METRIC_NAMES[c.metric]}"
    size = f"{counted(len(c.seeds), 'paired seed')}, {counted(c.examples, 'example')}"
    if c.interval is None or c.p_holm is None:
        return f"{c.first} against {c.second} {where}: no verdict ({c.why}); {difference} ({size})."
    numbers = f"{percent(1 - c.level)} interval {span(c.interval)}; {size}; {_tested(c)}"
    claim = f"{c.first} {_verb(c.word)} {c.second} {where}: {difference} ({numbers}). {_size(c)}"
    if not c.exploratory:
        return claim
    return f"Exploratory, looks were planned at {', '.join(map(str, c.looks))} seeds: {claim}"


def _mirrored(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (-interval[1], -interval[0])


def _verb(word: Word) -> str:
    if word is Word.TIED:
        return "ties with"
    return "beats" if word.wins else "loses to" if word.loses else "against"


def _tested(c: Comparison) -> str:
    told = f"p {written_p(c.p_holm)}" + (f", Holm over {c.family}" if c.family > 1 else "")
    if len(c.looks) == 1:
        return told
    at = "at" if c.exploratory else f"look {c.looks.index(len(c.seeds)) + 1} of {len(c.looks)} at"
    return f"{told}, {at} level {_decimal(c.level)}"


def _size(c: Comparison) -> str:
    margin = f"{c.margin:g}-point margin"
    narrow = f"{percent(1 - 2 * c.level)} interval {span(c.narrow_interval)}"
    found = f"would find a difference of {c.margin:g} points with {percent(c.power)} power"
    match c.word:
        case Word.BETTER | Word.WORSE:
            return f"Larger than the {margin}."
        case Word.BETTER_UNCERTAIN | Word.WORSE_UNCERTAIN:
            return f"Size uncertain: perhaps smaller than the {margin}."
        case Word.BETTER_NEGLIGIBLE | Word.WORSE_NEGLIGIBLE:
            return f"But negligible: smaller than the {margin} ({narrow})."
        case Word.TIED:
            return f"Tied within the {margin} ({narrow})."
        case Word.TOO_SMALL:
            few = f"Test set too small: about {c.examples_needed:,} examples"
            return f"{few} {found}; more seeds alone hardly help."
        case _:
            return f"Not enough evidence: {_advice(c.more_seeds)} {found}."


def _advice(more_seeds: tuple[float, float, float] | None) -> str:
    about, low, high = more_seeds or (inf, inf, inf)
    if about <= 0:
        return "a difference smaller than the margin is likely, since these seeds"
    span_of_seeds = f", range {_more(low)} to {_more(high)}," if high > low else ""
    return f"about {_more(about)} more seed{'' if about == 1 else 's'}{span_of_seeds}"


def _more(seeds: float) -> str:
    return f"{max(seeds, 0):,.0f}" if seeds < inf else f"over {MOST_SEEDS:,}"


def points(value: float) -> str:
    """A signed difference in points: +1.8."""
    return f"{round(value, 1) or 0.0:+.1f}"


def span(interval: tuple[float, float] | None) -> str:
    """An interval in points: +0.9 to +2.7."""
    return "unknown" if interval is None else f"{points(interval[0])} to {points(interval[1])}"


def percent(share: float) -> str:
    """A share in percent: 95 %, 98.3 %."""
    return f"{round(100 * share, 1):g} %"


def written_p(p: float | None) -> str:
    """A p value after its letter: = .002, < .001."""
    if p is None:
        return "unknown"
    return "< .001" if p < 0.001 else f"= {_decimal(p)}"


def _decimal(value: float) -> str:
    return "1" if value > 0.9995 else f"{value:.3f}".removeprefix("0")


def counted(number: int, what: str) -> str:
    """A number with its noun: 1 example, 872 examples."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
