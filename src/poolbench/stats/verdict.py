"""From numbers to one of nine words, and to one sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf

from poolbench.runs.protocol import METRIC_NAMES
from poolbench.stats.paired_test import Crossed
from poolbench.stats.pairing import ScoredRun
from poolbench.stats.power import MOST_SEEDS


class Word(StrEnum):
    """The verdict on one pair: exactly one word applies to any numbers."""

    BETTER = "better"
    BETTER_UNCERTAIN = "better, size uncertain"
    BETTER_NEGLIGIBLE = "better but negligible"
    WORSE = "worse"
    WORSE_UNCERTAIN = "worse, size uncertain"
    WORSE_NEGLIGIBLE = "worse but negligible"
    TIED = "tied within the margin"
    INCONCLUSIVE = "inconclusive"
    NONE = "no verdict"

    @property
    def wins(self) -> bool:
        """Whether the first pooler is better after Holm's correction, by any amount."""
        return self in _BETTER

    @property
    def loses(self) -> bool:
        """Whether the first pooler is worse after Holm's correction, by any amount."""
        return self in _WORSE


_BETTER = (Word.BETTER, Word.BETTER_UNCERTAIN, Word.BETTER_NEGLIGIBLE)
_WORSE = (Word.WORSE, Word.WORSE_UNCERTAIN, Word.WORSE_NEGLIGIBLE)
_VERBS = dict.fromkeys(_BETTER, "beats") | dict.fromkeys(_WORSE, "loses to")
_VERBS[Word.TIED] = "ties with"
_MIRRORED = dict(zip(_BETTER + _WORSE, _WORSE + _BETTER, strict=True))


@dataclass(frozen=True)
class Comparison:
    """One pooler compared with another on one dataset and encoder.

    Differences, intervals and the margin are in points, first minus second. Without a verdict
    ``why`` is the reason, and values that were not computed are None. ``interval`` has confidence
    1 - ``level``, ``narrow_interval`` (for the tie) 1 - 2 ``level``; both are for this pair alone
    and for one of the ``looks``, while ``p_adjusted`` is corrected for the ``family`` comparisons
    (Holm) and the looks. ``needs`` are the seeds and examples with which the margin would be
    detected, ``seeds_range`` the 10 % and 90 % quantiles of the seeds; inf beyond the advised
    maximum. ``finds`` is the smallest difference that is detected with the power of the protocol.
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
    p_adjusted: float | None = None
    word: Word = Word.NONE
    exploratory: bool = False
    needs: tuple[float, float] | None = None
    seeds_range: tuple[float, float] | None = None
    finds: float | None = None
    collapsed: str = ""  # which runs are far below the others, in words
    unit: str = "seed"  # what a seed stands for: seed or fold; "" where nothing was trained
    per_seed: tuple[float, ...] = ()  # difference at each seed in points
    estimate: Crossed | None = field(default=None, repr=False, compare=False)  # if it is tested
    # The runs of both poolers. The differences at each example are computed from them when they are
    # needed: of all pairs of a large study they take several GB.
    sides: Mapping[str, Sequence[ScoredRun]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def size(self) -> str:
        """Numbers of seeds or folds and of examples: 5 paired seeds, 872 examples."""
        examples = plural(self.examples, "example")
        if not self.trained:
            return f"{examples} alone, nothing was trained"
        return f"{plural(len(self.seeds), f'paired {self.unit}')}, {examples}"

    @property
    def trained(self) -> bool:
        """Whether seeds were compared; otherwise uncertainty is over the test examples alone."""
        return self.unit != ""

    @property
    def verdict(self) -> str:
        """The word, with the number of seeds or examples where more are needed."""
        if self.word is not Word.INCONCLUSIVE or self.needs is None:
            return str(self.word)
        if self.needs == (len(self.seeds), self.examples):
            return "inconclusive: probably smaller than the margin"
        wanted = format_needs(self.needs, len(self.seeds), self.examples, self.unit)
        return f"inconclusive: needs {wanted}"

    @property
    def look(self) -> int:
        """Number of the planned look that this is, from 1; 0 if it is exploratory."""
        return 0 if self.exploratory else self.looks.index(len(self.seeds)) + 1

    @property
    def sentence(self) -> str:
        """The claim, its numbers, and how large the difference is."""
        verb = _VERBS.get(self.word, "vs")
        claim = f"{self.first} {verb} {self.second} on {self.dataset} × {self.encoder}:"
        if self.delta is None:
            return f"{claim} no verdict ({self.why})."
        if self.interval is None:
            difference = f"{format_points(self.delta)} points {METRIC_NAMES[self.metric]}"
            return f"{claim} no verdict ({self.why}); {difference} ({self.size})."
        looks = ", ".join(map(str, self.looks))
        prefix = f"Exploratory, planned at {looks} seeds: " if self.exploratory else ""
        test = f"{self.size}; {format_test(self.p_adjusted, self.family, len(self.looks))}"
        estimate = format_estimate(self.delta, self.metric, self.level, self.interval, test)
        return f"{prefix}{claim} {estimate}. {_conclusion(self)} {self.collapsed}".rstrip()

    def swapped(self) -> "Comparison":
        """The same comparison with the poolers exchanged."""
        return replace(
            self,
            first=self.second,
            second=self.first,
            delta=None if self.delta is None else -self.delta,
            interval=_mirrored(self.interval),
            narrow_interval=_mirrored(self.narrow_interval),
            word=_MIRRORED.get(self.word, self.word),
            per_seed=tuple(-d for d in self.per_seed),
            estimate=self.estimate and replace(self.estimate, delta=-self.estimate.delta),
        )


def decide(delta: float, half: float, narrow: float, p: float, alpha: float, margin: float) -> Word:
    """The word for one difference; all but ``p`` and ``alpha`` in the same units.

    ``half`` and ``narrow`` are half widths of the intervals for the size and for the tie (two
    one-sided tests, Schuirmann 1987); ``p`` is corrected for comparisons and looks.
    """
    tied, large = abs(delta) + narrow < margin, abs(delta) - half > margin
    if p > alpha:
        return Word.TIED if tied else Word.INCONCLUSIVE
    word = Word.BETTER_NEGLIGIBLE if tied else Word.BETTER if large else Word.BETTER_UNCERTAIN
    return word if delta > 0 else _MIRRORED[word]


def format_points(value: float) -> str:
    """A signed difference in points: +1.8."""
    return f"{round(value, 1) or 0.0:+.1f}"


def format_interval(interval: tuple[float, float] | None) -> str:
    """An interval in points: +0.9 to +2.7."""
    return "unknown" if interval is None else " to ".join(map(format_points, interval))


def format_estimate(
    delta: float, metric: str, level: float, interval: tuple[float, float], test: str
) -> str:
    """A difference with its interval and test: +1.8 points accuracy (95 % interval ...; ...)."""
    confidence = f"{format_percent(1 - level)} interval {format_interval(interval)}"
    return f"{format_points(delta)} points {METRIC_NAMES[metric]} ({confidence}; {test})"


def format_test(p: float | None, family: int, looks: int) -> str:
    """A p value and its correction: p = .002, Holm over 5, corrected for 3 looks."""
    holm = f", Holm over {family}" * (family > 1)
    return f"p {format_p(p)}{holm}" + f", corrected for {looks} looks" * (looks > 1)


def format_needs(needs: tuple[float, float], seeds: int, examples: int, unit: str = "seed") -> str:
    """What is needed beyond these seeds and examples: about 8 more seeds."""
    if max(needs) == inf:
        return f"more {f'{unit}s and ' * bool(unit)}test examples than can be advised"
    wanted = f"{float(f'{needs[1]:.2g}'):,.0f} test examples"
    if needs[0] == seeds:
        return f"about {wanted}"
    if needs[1] == examples:
        return f"about {plural(round(needs[0]) - seeds, f'more {unit}')}"
    return f"about {needs[0]:,.0f} {unit}s and {wanted}"


def format_percent(share: float) -> str:
    """A share in percent: 95 %, 98.3 %."""
    return f"{round(100 * share, 1):g} %"


def format_p(p: float | None) -> str:
    """A p value with its relation sign: = .002, < .001."""
    return "unknown" if p is None else "< .001" if p < 0.001 else f"= {_decimal(p)}"


def plural(number: int, noun: str) -> str:
    """A number with its noun: 1 example, 872 examples."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _decimal(value: float) -> str:
    return "1" if value > 0.9995 else f"{value:.3f}".removeprefix("0")


def _mirrored(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (-interval[1], -interval[0])


def _conclusion(c: Comparison) -> str:
    margin = f"{c.margin:g}-point margin"
    narrow = f"{format_percent(1 - 2 * c.level)} interval {format_interval(c.narrow_interval)}"
    detect = f"detect a difference of {c.margin:g} points with {format_percent(c.power)} power"
    match c.word:
        case Word.BETTER | Word.WORSE:
            return f"Larger than the {margin}."
        case Word.BETTER_UNCERTAIN | Word.WORSE_UNCERTAIN:
            return f"Size uncertain: it may be smaller than the {margin}."
        case Word.BETTER_NEGLIGIBLE | Word.WORSE_NEGLIGIBLE:
            return f"But negligible: smaller than the {margin} ({narrow})."
        case Word.TIED:
            return f"Tied within the {margin} ({narrow})."
    verdict = c.verdict.capitalize()
    if c.needs is None or c.needs == (len(c.seeds), c.examples):
        return f"{verdict}, since these runs {detect}."
    low, high = c.seeds_range or (0.0, 0.0)
    low, high = max(low - len(c.seeds), 0), max(high - len(c.seeds), 0)
    most = f"{high:,.0f}" if high < inf else f"over {MOST_SEEDS}"
    quantiles = f" (range {low:,.0f} to {most})" if high > low else ""
    fixed = f" with {len(c.seeds)} {c.unit}s" if c.trained and c.needs[0] == len(c.seeds) else ""
    return f"{verdict}{quantiles}{fixed} to {detect}."
