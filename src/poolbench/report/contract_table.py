"""The padding certificate: which lines of the contract each pooler was measured to keep.

A record holds ``{"T1": {"promise": ..., "deviation": ..., "limit": ..., "kept": ...}, ...}``;
deviation and limit are null for a line without a number.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from math import inf
from typing import Any

from poolbench.report.blocks import NOTHING, Entry, facts, table, text
from poolbench.report.controls import control, marked, note
from poolbench.report.summary import Standing, Task
from poolbench.stats.verdict import counted


@dataclass(frozen=True)
class Line:
    """One line of the contract as one pooler was measured on it."""

    promise: str
    deviation: float | None
    limit: float | None
    kept: bool


def certificate(standing: Standing) -> dict[str, Line]:
    """Line -> the worst of a pooler's cells: a broken one, else the largest deviation."""
    found: dict[str, Line] = {}
    for cell in standing.finished:
        for name, line in _lines(cell.record.get("certificate")):
            if name not in found or _badness(line) > _badness(found[name]):
                found[name] = line
    return dict(sorted(found.items(), key=lambda item: _in_order(item[0])))


def broken(standing: Standing) -> dict[str, Line]:
    """The lines that a pooler was measured not to keep."""
    return {name: line for name, line in certificate(standing).items() if not line.kept}


def certificate_lines(task: Task) -> list[str]:
    """One line for each pooler that was certified."""
    told = []
    for s in task.standings:
        lines, failed = certificate(s), broken(s)
        if not lines:
            continue
        every = counted(len(lines), "line")
        kept = f"{len(lines) - len(failed)} of {every} kept"
        found = f"{', '.join(failed)} broken, {kept}" if failed else f"all {every} kept"
        told.append(f"{marked(s.pooler)}: {found}")
    return told


def certificate_table(task: Task) -> str:
    """Poolers by lines as HTML, and what each line promises."""
    found = {s.pooler: certificate(s) for s in task.standings}
    promises = {name: _promise(line) for lines in found.values() for name, line in lines.items()}
    if not promises:
        return '<p class="quiet">These records hold no padding certificate.</p>'
    names = sorted(promises, key=_in_order)
    rows = [
        [text(marked(pooler)), *(_entry(name, lines.get(name)) for name in names)]
        for pooler, lines in found.items()
    ]
    caption = (
        "Largest deviation measured over the cells of each pooler; 0 means bit-identical, ✓ a line "
        "without a number. ✗ marks a line that is not kept."
    )
    if any(map(control, found)):
        caption += f"{note(found)} Pitfalls are meant to break some."
    shown = table("Padding certificate", ["pooler", *names], rows, caption)
    return shown + facts((name, promises[name]) for name in names)


def _lines(recorded: Any) -> Iterator[tuple[str, Line]]:
    """What can be read of a record's certificate; nothing else is certified."""
    for name, line in recorded.items() if isinstance(recorded, Mapping) else ():
        if isinstance(line, Mapping) and isinstance(line.get("kept"), bool):
            yield (
                str(name),
                Line(
                    promise=str(line.get("promise", "")),
                    deviation=_number(line.get("deviation")),
                    limit=_number(line.get("limit")),
                    kept=line["kept"],
                ),
            )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _badness(line: Line) -> tuple[bool, float]:
    return not line.kept, -inf if line.deviation is None else abs(line.deviation)


def _in_order(name: str) -> tuple[str, int]:
    """T2 before T10."""
    letters = name.rstrip("0123456789")
    return letters, int(name.removeprefix(letters) or 0)


def _entry(name: str, line: Line | None) -> Entry:
    if line is None:
        return Entry(NOTHING, None, "number")
    measured = "" if line.deviation is None else f"{line.deviation:.1e}" if line.deviation else "0"
    if line.kept:
        return Entry(measured or "✓", line.deviation or 0.0, "number")
    worst_last = 1e9 if line.deviation is None else line.deviation
    # The id once more: far down, or far right, the head of the column is out of sight.
    return Entry(f"✗ {escape(name)}<br>{measured}", worst_last, "number worse")


def _promise(line: Line) -> str:
    return line.promise if line.limit is None else f"{line.promise} (limit {line.limit:.2g})"
