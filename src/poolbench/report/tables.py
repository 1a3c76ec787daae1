"""The verdicts as HTML tables: against the reference, and every pair."""

from collections.abc import Sequence
from html import escape

from poolbench.report.blocks import (
    NOTHING,
    Entry,
    details,
    interval_bar,
    number,
    paragraphs,
    table,
    text,
)
from poolbench.report.controls import EXPLAINED, control, marked, note
from poolbench.report.summary import Standing, Task
from poolbench.runs.pooler_cost import PoolerCosts
from poolbench.stats.across_datasets import Across
from poolbench.stats.verdict import (
    METRIC_NAMES,
    Comparison,
    Word,
    percent,
    points,
    span,
    written_p,
)

SIGNS = {
    Word.TIED: "=",
    Word.NOT_ENOUGH: "?",
    Word.TOO_SMALL: "?",
    Word.NONE: NOTHING,
}


def sign(word: Word) -> str:
    """A verdict as one character, so that colour is never the only sign."""
    return "▲" if word.wins else "▼" if word.loses else SIGNS[word]


def verdicts(task: Task, metric: str, costs: PoolerCosts) -> str:
    """Each pooler against the reference, and the same in sentences."""
    by_pooler = {c.first: c for c in task.against}
    timed = any(s.pooler_ms is not None for s in task.standings)
    level = next((c.level for c in task.against if c.interval), None)
    columns = [
        "pooler",
        "verdict",
        "difference",
        f"{percent(1 - level)} interval" if level else "interval",
        "p (Holm)",
        f"{METRIC_NAMES[metric]} (%)",
        "seeds",
        "examples",
        "parameters",
        *(["pooler ms"] if timed else []),
        "examples/s*",
    ]
    reach = _reach(task)
    rows = []
    for s in task.standings:
        row = [text(marked(s.pooler)), *_compared(by_pooler.get(s.pooler), s, reach)]
        row.append(number(s.pooler_parameters, ",.0f"))
        row += [number(s.pooler_ms, ".3g")] if timed else []
        row.append(number(s.samples_per_sec, ",.0f"))
        rows.append(row)
    caption = (
        "Differences in points; the grey band is the margin. Parameters are the pooler's own. "
        "* Training speed is indicative: runs on a shared machine cannot be compared by time."
    )
    if timed:
        caption += f" Pooler ms is forward and backward of one batch ({costs.setting}), "
        caption += "all poolers in turn in one run."
    if any(control(s.pooler) for s in task.standings):
        caption += f" {EXPLAINED}"
    sentences = [c.sentence for c in task.against]
    told = details("The same in sentences", paragraphs(sentences)) if sentences else ""
    return table("Verdicts", columns, rows, caption) + told


def overall_table(across: Sequence[Across]) -> str:
    """Each pooler over all datasets and encoders, and the same in sentences."""
    columns = ["pooler", "wins", "ties", "losses", "undecided", "no verdict", "sure of at least"]
    columns += ["mean difference", "interval", "p (Holm)"]
    rows = [
        [
            text(marked(a.first)),
            *(number(n, "d") for n in (a.wins, a.ties, a.losses, a.undecided, a.without_verdict)),
            text(_sure(a), "word"),
            number(a.delta, "+.1f"),
            Entry(span(a.interval) if a.interval else NOTHING, a.delta, "number"),
            Entry(_p(a.p), a.p, "number"),
        ]
        for a in across
    ]
    caption = (
        f"Against {across[0].second}, in datasets x encoders. The mean difference is over these "
        f"datasets alone, with its {percent(1 - across[0].level)} interval."
        f"{note(a.first for a in across)}"
    )
    told = details("The same in sentences", paragraphs(a.sentence for a in across))
    return table("Over all datasets and encoders", columns, rows, caption) + told


def matrix(task: Task) -> str:
    """Every pair: row minus column in points, after Holm over all pairs."""
    names = [s.pooler for s in task.standings]
    if len(names) < 2:
        return ""
    rows = []
    for first in names:
        pairs = [None if first == second else task.pair(first, second) for second in names]
        rows.append([text(marked(first)), *(Entry("") if c is None else _pair(c) for c in pairs)])
    caption = (
        "Row minus column in points. ▲ the row is better, ▼ worse, = tied within the margin, "
        f"? the data cannot say, {NOTHING} no verdict; after Holm over all pairs, "
        "which asks for more than the table above. "
        f"Top group, beaten by none: {', '.join(task.top) or 'no verdict yet'}.{note(names)}"
    )
    columns = ["row minus column", *map(marked, names)]
    return table("Every pair", columns, rows, caption, kind="matrix")


def _reach(task: Task) -> tuple[float, float]:
    """Ends of the scale on which all intervals of a table are drawn, in points."""
    drawn = [c for c in task.against if c.interval is not None]
    edges = [edge for c in drawn for edge in (*(c.interval or ()), -c.margin, c.margin)]
    return min(edges, default=-1.0), max(edges, default=1.0)


def _compared(c: Comparison | None, s: Standing, reach: tuple[float, float]) -> list[Entry]:
    if c is None:
        blank = number(None, "")
        seeds = number(len(s.scores), "d")
        examples = number(len(s.right) or None, ",d")
        return [text("reference"), blank, blank, blank, number(s.mean, ".1f"), seeds, examples]
    why = f'<br><span class="quiet">{escape(c.why)}</span>' if c.why else ""
    exploratory = '<br><span class="quiet">exploratory</span>' if c.exploratory else ""
    return [
        Entry(
            f"{sign(c.word)} {escape(c.word)}{why}{exploratory}",
            str(c.word),
            f"{'why' if c.why else 'word'} {_kind(c.word)}",
        ),
        number(c.delta, "+.1f"),
        _interval(c, reach),
        Entry(_p(c.p_holm), c.p_holm, "number"),
        number(s.mean, ".1f"),
        number(len(c.seeds) or None, "d"),
        number(c.examples or None, ",d"),
    ]


def _interval(c: Comparison, reach: tuple[float, float]) -> Entry:
    if c.delta is None or c.interval is None:
        return number(None, "")
    bar = interval_bar(c.delta, c.interval, c.margin, reach)
    return Entry(escape(span(c.interval)) + bar, c.delta, "number interval")


def _pair(c: Comparison) -> Entry:
    if c.delta is None:
        return Entry(f'<span title="{escape(c.sentence)}">{NOTHING}</span>', None)
    shown = f"{points(c.delta)} {sign(c.word)}"
    return Entry(f'<span title="{escape(c.sentence)}">{shown}</span>', c.delta, _kind(c.word))


def _kind(word: Word) -> str:
    if word.wins:
        return "better"
    if word.loses:
        return "worse"
    return "tied" if word is Word.TIED else ""


def _sure(a: Across) -> str:
    counts = ((a.beats_at_least, "better"), (a.loses_at_least, "worse"))
    return ", ".join(f"{k} {word}" for k, word in counts if k) or NOTHING


def _p(p: float | None) -> str:
    return NOTHING if p is None else escape(written_p(p).removeprefix("= "))
