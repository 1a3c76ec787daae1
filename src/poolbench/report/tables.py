"""Tables of a report as pandas DataFrames, and how they become HTML, Markdown and CSV."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from markupsafe import Markup

from poolbench.report.rendering import markdown_text
from poolbench.report.summary import Findings, Task, control, marked
from poolbench.runs.record import ContractLine, RunRecord
from poolbench.stats.across_datasets import Across
from poolbench.stats.scores import baseline_scores
from poolbench.stats.verdict import (
    METRIC_NAMES,
    Comparison,
    Word,
    format_interval,
    format_p,
    format_percent,
    format_points,
)

DASH = "\N{EN DASH}"  # an unknown value
DIGITS = 12  # of a digest: enough to compare two by eye
SIGNS = {Word.TIED: "=", Word.INCONCLUSIVE: "?", Word.NONE: DASH}
COMPARED = (
    *(
        "dataset",
        "encoder",
        "first",
        "second",
        "metric",
        "delta",
        "p",
        "p_adjusted",
        "family",
        "word",
    ),
    *("why", "exploratory", "margin", "examples", "finds", "collapsed"),
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a formula begins in a spreadsheet


@dataclass(frozen=True)
class Cell:
    """A table cell that shows more than its value.

    ``value`` sorts its column, ``kind`` is a CSS class, ``note`` a second line, ``title`` is shown
    on hover; ``bar`` draws an interval: low, difference, high, margin, and both ends of the scale.
    """

    text: str = DASH
    value: float | str | None = None
    kind: str = "number"
    note: str = ""
    title: str = ""
    href: str = ""
    bar: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Table:
    """A DataFrame to show; ``styles`` maps columns to a number format or the CSS class of texts."""

    name: str
    frame: pd.DataFrame
    styles: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""

    @property
    def rows(self) -> list[list[Cell]]:
        """The cells of every row."""
        styles = [self.styles.get(column, "") for column in self.frame]
        rows = self.frame.itertuples(index=False, name=None)
        return [[_cell(*pair) for pair in zip(row, styles, strict=True)] for row in rows]

    @property
    def markdown(self) -> Markup:
        """The table in GitHub Markdown."""
        columns = zip(*self.rows, strict=True)
        numeric = [any(c.kind.startswith("number") for c in column) for column in columns]
        rows = [list(self.frame), ["---:" if number else "---" for number in numeric]]
        rows += [
            ["" if c.text == DASH else f"{c.text} {c.note}".strip() for c in r] for r in self.rows
        ]
        return Markup("\n".join(f"| {' | '.join(map(markdown_text, row))} |" for row in rows))


def frame_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a DataFrame that keeps None and integers as they are."""
    return pd.DataFrame(list(rows), dtype=object)


def to_csv(frame: pd.DataFrame) -> str:
    """CSV in which no text is a formula: spreadsheets read a leading apostrophe as text."""

    def guard(value: Any) -> Any:
        return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value

    return frame.map(guard).rename(columns=guard).to_csv(index=False)


def verdict_table(task: Task, findings: Findings) -> Table:
    """Each pooler against the reference, with its costs."""
    compared = {c.first: c for c in task.against}
    proper = {c.first: c for c in task.probabilities}
    tested = [c for c in task.against if c.interval]
    ends = [end for c in tested for end in (*(c.interval or ()), -c.margin, c.margin)]
    interval = f"{format_percent(1 - tested[0].level)} interval" if tested else "interval"
    metric = f"{METRIC_NAMES[findings.protocol.metric]} (%)"
    rows: list[dict[str, Any]] = [
        {
            "pooler": marked(s.pooler),
            "verdict": _verdict(c) if c else "reference",
            "difference": c and c.delta,
            interval: c and _interval(c, ends),
            "p (corrected)": c and _p(c.p_adjusted),
            metric: s.mean,
            "by Brier score": _by_probability(proper.get(s.pooler)),
            "seeds": len(c.seeds if c else s.scores) or None,
            "examples": (c.examples if c else len(s.right)) or None,
            "parameters": s.pooler_parameters,
            "pooler ms": s.pooler_ms,
            "throughput": s.relative_throughput,
        }
        for s in task.standings
        for c in [compared.get(s.pooler)]
    ]
    for record in [r for s in task.standings for r in s.finished][:1]:
        baselines = baseline_scores(record.predictions.labels, findings.protocol.metric)
        rows += [{"pooler": name, metric: 100 * v.mean()} for name, v in baselines.items()]
    frame = frame_of(rows)
    unmeasured = [c for c in ("pooler ms", "throughput") if frame[c].isna().all()]
    styles = {"difference": "+.1f", "examples": ",d", "parameters": ",d", metric: ".1f"}
    styles |= {"throughput": ".2f", "pooler ms": ".3g"}
    return Table("Verdicts", frame.drop(columns=unmeasured), styles)


def pairs_table(task: Task) -> Table:
    """All pairs: row minus column in points, after Holm over all pairs."""
    names = [s.pooler for s in task.standings]

    def cell(first: str, second: str) -> Cell | str:
        if first == second:
            return ""
        c = task.pair(first, second)
        text = DASH if c.delta is None else f"{format_points(c.delta)} {_sign(c.word)}"
        return Cell(text, c.delta, _kind(c.word), title=c.sentence)

    columns = ["row minus column", *map(marked, names)]
    rows = [[marked(a), *(cell(a, b) for b in names)] for a in names]
    return Table("All pairs", pd.DataFrame(rows, columns=columns, dtype=object), kind="matrix")


def across_table(across: list[Across]) -> Table:
    """Each pooler against the reference over all datasets and encoders."""
    frame = frame_of(
        {"pooler": marked(a.first)}
        | a.counts
        | {
            "better on at least": a.beats_at_least,
            "worse on at least": a.loses_at_least,
            "mean difference": a.delta,
            "interval": a.interval and Cell(format_interval(a.interval), a.delta),
            "p (corrected)": _p(a.p),
        }
        for a in across
    )
    return Table("All datasets and encoders", frame, {"mean difference": "+.1f"})


def contract_table(task: Task) -> Table:
    """Poolers by contract lines: passed or failed, with the largest deviation."""
    frame = frame_of(
        {"pooler": marked(s.pooler)}
        | {name: _contract(name, s.certificate.get(name)) for name in task.promises}
        for s in task.standings
    )
    return Table("Padding certificate", frame)


def comparison_frame(findings: Findings) -> pd.DataFrame:
    """One row per comparison with the reference and per pair; differences in points."""
    rows = []
    for task in findings.tasks:
        against = [(c, "reference") for c in (*task.against, *task.probabilities)]
        for c, family in (*against, *((c, "all pairs") for c in task.pairs)):
            row = {name: getattr(c, name) for name in COMPARED}
            row |= {"first_control": control(c.first), "second_control": control(c.second)}
            for names, values in (
                (("low", "high"), c.interval),
                (("seeds_needed", "examples_needed"), c.needs),
                (("seeds_10", "seeds_90"), c.seeds_range),
            ):
                row |= dict(zip(names, values or (None, None), strict=True))
            row |= {"compared_with": family, "confidence": 1 - c.level}
            rows.append(row | {"seeds": len(c.seeds) or None})
    return frame_of(rows)


def runs_frame(findings: Findings) -> pd.DataFrame:
    """One row per run, finished or not, with everything its record measured."""
    parts: dict[str, Any] = dict.fromkeys(
        ("parameters", "status", "error", "metrics", "seconds", "hardware", "versions"), True
    )
    parts["run"] = {"dataset", "encoder", "pooler", "seed", "digest", "command"}
    parts |= {"data": {"examples"}, "digests": {"data", "test_ids", "encoder", "tokens", "code"}}
    rows = [
        r.model_dump(include=parts, exclude=set() if r.ok else {"parameters"})
        | {"control": control(r.run.pooler), "epochs": len(r.history) or None}
        | {"encoder tuning": r.run.setting("encoder.tuning"), "revision": revision_of(r)}
        for r in findings.study.runs
    ]
    frame = pd.json_normalize(rows, sep="/")
    return frame.rename(columns=lambda name: name.removeprefix("run/").removeprefix("metrics/"))


def runs_table(findings: Findings) -> Table:
    """All runs of the study with their commands."""
    test = f"test/{findings.protocol.metric}"
    shown = ["pooler", "seed", "status", test, "best/val_accuracy", "epochs", "seconds/wall"]
    shown[1:1] = ["dataset", "encoder"] if len(findings.tasks) > 1 else []
    frame = runs_frame(findings)
    frame["pooler"] = frame["pooler"].map(marked)
    frame["status"] += frame["error"].map(lambda error: f": {error}" if error else "")
    frame = frame.reindex(columns=[*shown, "digest", "command"])
    styles = {test: ".2%", "best/val_accuracy": ".2%", "seconds/wall": ",.1f", "epochs": ".0f"}
    return Table("All runs", frame, styles | {"digest": "code tag", "command": "code command"})


def interval_cell(interval: tuple[float, float] | None) -> Cell | None:
    """An interval of a mean, in percent."""
    return Cell("{:.1f} to {:.1f}".format(*interval), interval[0]) if interval else None


def revision_of(record: RunRecord) -> str:
    """Commit of the code, and whether files differed from it; empty if it was not recorded."""
    commit = record.revision
    return commit.commit[:DIGITS] + " with uncommitted changes" * commit.modified if commit else ""


def date_of(record: RunRecord) -> str:
    """The day on which a record was written (UTC)."""
    return record.written.date().isoformat()


def _cell(value: Any, style: str) -> Cell:
    if isinstance(value, Cell):
        return value
    if isinstance(value, str):
        return Cell(value, value, style)
    return Cell() if pd.isna(value) else Cell(format(value, style), float(value))


def _verdict(c: Comparison) -> Cell:
    note = c.why or "; ".join(filter(None, ["exploratory" * c.exploratory, c.collapsed]))
    kind = f"{'why' if c.why else 'word'} {_kind(c.word)}"
    return Cell(f"{_sign(c.word)} {c.verdict}", str(c.word), kind, note)


def _by_probability(c: Comparison | None) -> Cell | None:
    if c is None or c.why or c.delta is None:
        return None
    text = f"{_sign(c.word)} {c.verdict}"
    return Cell(text, c.delta, f"word {_kind(c.word)}", format_points(c.delta), c.sentence)


def _interval(c: Comparison, ends: list[float]) -> Cell | None:
    if c.delta is None or c.interval is None:
        return None
    bar = (c.interval[0], c.delta, c.interval[1], c.margin, min(ends), max(ends))
    return Cell(format_interval(c.interval), c.delta, "number interval", bar=bar)


def _sign(word: Word) -> str:
    """A verdict as one character, so that colour is never the only sign."""
    return "▲" if word.wins else "▼" if word.loses else SIGNS[word]


def _kind(word: Word) -> str:
    return "better" if word.wins else "worse" if word.loses else "tied" * (word is Word.TIED)


def _p(p: float | None) -> Cell | None:
    return None if p is None else Cell(format_p(p).removeprefix("= "), p)


def _contract(name: str, line: ContractLine | None) -> Cell | None:
    if line is None:
        return None
    deviation = "" if line.deviation is None else f"{line.deviation:.1e}" if line.deviation else "0"
    if line.kept:
        return Cell("passed", line.deviation or 0.0, note=deviation)
    # The name again: its column head may be out of sight.
    return Cell(f"failed {name}", line.deviation or 1e9, "number worse", deviation)
