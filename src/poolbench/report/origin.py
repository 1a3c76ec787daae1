"""How a study was run: versions, machines, digests, and every cell with its command."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from poolbench.report.blocks import Entry, number, table, text
from poolbench.report.controls import marked
from poolbench.report.summary import Findings
from poolbench.runs.study import StudyCell
from poolbench.stats.verdict import METRIC_NAMES, counted, percent

DIGITS = 12  # of a digest: enough to see whether two are one


def run_facts(findings: Findings) -> list[tuple[str, str]]:
    """Names and values; where cells differ, each value with the number of its cells."""
    study, protocol = findings.study, findings.protocol
    cells = [cell for cell in study.cells if cell.record]
    counts = Counter(cell.status for cell in study.cells)
    seconds = sum(_of(cell, "seconds").get("wall") or 0.0 for cell in cells)
    told = [
        ("cells", ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))),
        ("seeds", ", ".join(map(str, findings.seeds))),
        ("metric", METRIC_NAMES[protocol.metric]),
        ("reference", protocol.reference),
        ("margin", f"{protocol.margin:g} points"),
        ("alpha", f"{percent(protocol.alpha)}, over {len(protocol.looks)} planned looks at "
         f"{', '.join(map(str, protocol.looks))} seeds"),
    ]  # fmt: skip
    if findings.selection:
        chosen = findings.selection
        told.append(("tuned", f"{', '.join(chosen.keys)}, {chosen.budget} settings per pooler"))
        told += [
            (f"taken by {pooler} on {dataset} x {encoder}", chosen.written(values))
            for (dataset, encoder, pooler), values in chosen.taken.items()
        ]
    told += [
        ("encoder tuning", _values(cell.setting("encoder.tuning") for cell in cells)),
        ("test examples", _values(_of(cell, "data", "examples").get("test") for cell in cells)),
        ("device", _values(_of(cell, "hardware").get("device") for cell in cells)),
        ("platform", _values(_of(cell, "hardware").get("platform") for cell in cells)),
        ("threads", _values(_of(cell, "hardware").get("threads") for cell in cells)),
        ("revision", _values(_revision(cell) for cell in cells)),
        ("training time", f"{seconds / 60:,.1f} min in all"),
    ]
    libraries = sorted({name for cell in cells for name in _of(cell, "versions")})
    versions = (f"{n} {_values(_of(c, 'versions').get(n) for c in cells)}" for n in libraries)
    digests = sorted({name for cell in cells for name in _of(cell, "digests")} - {"order"})
    contents = (f"{name} {_values(_digest(cell, name) for cell in cells)}" for name in digests)
    told += [("versions", ", ".join(versions)), ("digests", ", ".join(contents))]
    return [(name, value) for name, value in told if value]


def cells_table(findings: Findings) -> str:
    """Every cell of the study, finished or not."""
    several = len(findings.tasks) > 1
    columns = ["pooler", *(["dataset", "encoder"] if several else []), "seed", "status"]
    columns += ["test %", "validation %", "epochs", "seconds", "digest", "command or folder"]
    rows = []
    for cell in findings.study.cells:
        seconds = _of(cell, "seconds").get("wall")
        where = [text(cell.dataset), text(cell.encoder)] if several else []
        history = cell.record.get("history") or ()
        rows.append(
            [
                text(marked(cell.pooler)),
                *where,
                number(cell.seed, "d"),
                text(cell.status if cell.error is None else f"{cell.status}: {cell.error}"),
                _percent(cell.metric(f"test/{findings.protocol.metric}")),
                _percent(cell.metric("best/val_accuracy")),
                number(len(history) or None, "d"),
                number(seconds, ",.1f"),
                text(cell.digest, "code tag"),
                text(cell.command or cell.folder, "code command"),
            ]
        )
    return table("Every cell", columns, rows)


def _percent(share: float | None) -> Entry:
    return number(None if share is None else 100 * share, ".2f")


def _of(cell: StudyCell, *keys: str) -> Mapping[str, Any]:
    found: Any = cell.record
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _revision(cell: StudyCell) -> str | None:
    revision = _of(cell, "revision")
    if not revision:
        return None
    changed = " with uncommitted changes" if revision.get("modified") else ""
    return f"{str(revision.get('commit'))[:DIGITS]}{changed}"


def _digest(cell: StudyCell, name: str) -> str | None:
    value = _of(cell, "digests").get(name)
    return None if value is None else str(value)[:DIGITS]


def _values(values: Iterable[Any]) -> str:
    """All values there are; empty where none was recorded."""
    counts = Counter("not recorded" if value is None else str(value) for value in values)
    if len(counts) < 2:
        return "".join(counts).removeprefix("not recorded")
    return ", ".join(f"{value} ({counted(n, 'cell')})" for value, n in counts.most_common())
