"""Tables of a report."""

from typing import Any

import pandas as pd

from poolbench.report.cells import DASH, Cell, Table, frame_of
from poolbench.report.controls import control, marked
from poolbench.report.overview import Score, scores_of
from poolbench.report.summary import Findings, Task
from poolbench.runs.protocol import METRIC_NAMES, scaled_name
from poolbench.runs.record import ContractLine, RunRecord
from poolbench.stats.across_datasets import Across
from poolbench.stats.verdict import (
    Comparison,
    Word,
    format_interval,
    format_p,
    format_percent,
    format_points,
)

MOST_PAIRED = 50  # poolers in a table of all pairs; comparison.csv has all of them
DIGITS = 12  # of a digest: enough to compare two by eye
SIGNS = {Word.TIED: "=", Word.INCONCLUSIVE: "?", Word.NONE: DASH}
COMPARED = (
    *("dataset", "encoder", "first", "second", "metric", "delta", "p", "p_adjusted", "family"),
    *("word", "why", "exploratory", "margin", "examples", "finds", "collapsed"),
)


def verdict_table(task: Task, findings: Findings) -> Table:
    """Each pooler against the reference, with its costs."""
    scores = {score.pooler: score for score in scores_of(task)}
    compared = {c.first: c for c in task.against}
    proper = {c.first: c for c in task.probabilities}
    tested = [c for c in task.against if c.interval]
    ends = [end for c in tested for end in (*(c.interval or ()), -c.margin, c.margin)]
    interval = f"{format_percent(1 - tested[0].level)} interval" if tested else "interval"
    metric = scaled_name(findings.protocol.metric)
    repeated = f"{task.unit}s"
    rows: list[dict[str, Any]] = [
        {
            "pooler": marked(s.pooler),
            metric: scores[s.pooler].cell if s.pooler in scores else None,
            "verdict": _verdict(c, task.why) if c else "reference",
            "difference": c and c.delta,
            interval: c and _interval(c, ends),
            "p (corrected)": c and _p(c.p_adjusted),
            "by Brier score": _by_probability(proper.get(s.pooler)),
            repeated: len(c.seeds if c else s.scores) or None,
            "examples": (c.examples if c else s.examples) or None,
            "parameters": s.pooler_parameters,
            "pooler ms": s.pooler_ms,
            "throughput": s.relative_throughput,
        }
        for s in task.standings
        for c in [compared.get(s.pooler)]
    ]
    baselines = task.baselines(findings.protocol.metric)
    rows += [{"pooler": name, metric: value} for name, value in baselines.items()]
    frame = frame_of(rows)
    optional = (interval, "p (corrected)", "by Brier score", "pooler ms", "throughput")
    unmeasured = [c for c in optional if frame[c].isna().all()]
    unmeasured += [] if task.probabilities else ["by Brier score"]
    unmeasured += [] if task.trained else [repeated, "parameters"]
    unmeasured += [repeated, "examples"] if task.size else []
    styles = {"difference": "+.1f", "examples": ",d", "parameters": ",d", metric: ".1f"}
    styles |= {"throughput": ".2f", "pooler ms": ".3g"}
    return Table(f"Verdicts on {task.name}", frame.drop(columns=set(unmeasured)), styles)


def metrics_table(task: Task, metric: str) -> Table | None:
    """The test metrics that decide nothing, mean over seeds; None if ``metric`` is the only one."""
    names = [name for name in METRIC_NAMES if name != metric]
    rows = [
        {"pooler": marked(s.pooler)}
        | {
            scaled_name(name): Score(s.pooler, task.name, values).cell
            for name in names
            if (values := s.metric(name))
        }
        for s in task.standings
        if s.scores
    ]
    frame = frame_of(rows)
    return Table(f"Other metrics on {task.name}", frame) if len(frame.columns) > 1 else None


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
    return Table(
        f"All pairs on {task.name}",
        pd.DataFrame(rows, columns=columns, dtype=object),
        kind="matrix",
    )


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
    return Table("Over all tasks", frame, {"mean difference": "+.1f"})


def contract_table(task: Task) -> Table:
    """Poolers by contract lines: passed or failed, with the largest deviation."""
    frame = frame_of(
        {"pooler": marked(s.pooler)}
        | {name: _contract(name, s.certificate.get(name)) for name in task.promises}
        for s in task.standings
    )
    return Table(f"Padding certificate on {task.name}", frame)


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
    metrics = [f"{kind}{findings.protocol.metric}" for kind in ("test/", "best/val_")]
    shown = ["pooler", "seed", "status", *metrics, "epochs", "seconds/wall"]
    shown[1:1] = ["dataset", "encoder"] if len(findings.tasks) > 1 else []
    frame = runs_frame(findings)
    frame["pooler"] = frame["pooler"].map(marked)
    frame["status"] += frame["error"].map(lambda error: f": {error}" if error else "")
    frame = frame.reindex(columns=[*shown, "digest", "command"])
    if not any(task.trained for task in findings.tasks):
        frame = frame.drop(columns=["seed", metrics[1], "epochs"])
    styles = {"seconds/wall": ",.1f", "epochs": ".0f"} | dict.fromkeys(metrics, ".4f")
    return Table("All runs", frame, styles | {"digest": "code tag", "command": "code command"})


def revision_of(record: RunRecord) -> str:
    """Commit of the code, and whether files differed from it; empty if it was not recorded."""
    commit = record.revision
    return commit.commit[:DIGITS] + " with uncommitted changes" * commit.modified if commit else ""


def _verdict(c: Comparison, known: str | None) -> Cell:
    """The word, with the reason for a missing one unless that is ``known``."""
    why = c.why if c.why != known else ""
    note = why or "; ".join(filter(None, ["exploratory" * c.exploratory, c.collapsed]))
    kind = f"{'why' if c.why else 'word'} {_kind(c.word)}"
    return Cell(f"{_sign(c.word)} {c.verdict}", str(c.word), kind, note)


def _by_probability(c: Comparison | None) -> Cell | None:
    if c is None or c.why or c.delta is None:
        return None
    text = f"{_sign(c.word)} {c.word}"
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
