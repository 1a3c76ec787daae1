"""The same findings as CSV: every comparison, every cell."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from poolbench.report.controls import control
from poolbench.report.summary import Findings
from poolbench.runs.study import StudyCell
from poolbench.stats.verdict import Comparison

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def comparison_csv(findings: Findings) -> str:
    """:func:`comparison_rows` as CSV."""
    return _written(comparison_rows(findings))


def comparison_rows(findings: Findings) -> list[dict[str, Any]]:
    """One row per pair of poolers, dataset and encoder; differences in points.

    ``first_control`` and ``second_control`` name the kind of a control, and are empty otherwise.

    ``family`` says over which comparisons Holm corrected: those with the reference, or all pairs.
    """
    return [
        {"family": family, **_comparison(c)}
        for task in findings.tasks
        for family, found in (("reference", task.against), ("pairs", task.pairs))
        for c in found
    ]


def cells_csv(findings: Findings) -> str:
    """One row per cell, finished or not, with every metric of its record."""
    return _written([_cell(cell) for cell in findings.study.cells])


def guarded(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets a leading apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _comparison(c: Comparison) -> dict[str, Any]:
    low, high = c.interval or (None, None)
    about, fewest, most = c.more_seeds or (None, None, None)
    return {
        "dataset": c.dataset,
        "encoder": c.encoder,
        "first": c.first,
        "second": c.second,
        "first_control": control(c.first),
        "second_control": control(c.second),
        "metric": c.metric,
        "difference": c.delta,
        "low": low,
        "high": high,
        "confidence": 1 - c.level,
        "p": c.p,
        "p_holm": c.p_holm,
        "compared": c.family,
        "word": str(c.word),
        "why": c.why,
        "exploratory": c.exploratory,
        "margin": c.margin,
        "seeds": len(c.seeds) or None,
        "examples": c.examples or None,
        "more_seeds": about,
        "more_seeds_10": fewest,
        "more_seeds_90": most,
        "examples_needed": c.examples_needed,
    }


def _cell(cell: StudyCell) -> dict[str, Any]:
    def part(name: str) -> Mapping[str, Any]:
        return cell.record.get(name) or {}

    return {
        "dataset": cell.dataset,
        "encoder": cell.encoder,
        "pooler": cell.pooler,
        "control": control(cell.pooler),
        "seed": cell.seed,
        "digest": cell.digest,
        "status": cell.status,
        "error": cell.error,
        **part("metrics"),
        **{f"parameters/{name}": value for name, value in part("parameters").items()},
        **{f"seconds/{name}": value for name, value in part("seconds").items()},
        "folder": cell.folder,
        "command": cell.command,
    }


def _written(rows: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writerow({name: guarded(name) for name in columns})
    writer.writerows(_row(row) for row in rows)
    return out.getvalue()


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: guarded(value) for name, value in row.items()}
