"""What a person reads while cells run and when they are done."""

import statistics
import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from poolbench.core.nested import leaves
from poolbench.runs.identity import Cell
from poolbench.runs.record import RECORD

Record = dict[str, Any]
Row = tuple[Cell, Record | None]


class Progress:
    """One line for each cell of a sweep, with what is left; silent for a single cell."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.total = len(cells)
        self.ahead = list(cells)
        self.records: list[Record] = []
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def running(self, cell: Cell) -> None:
        """A cell begins."""
        if self.total > 1 and sys.stdout.isatty():
            print(f"{self._count()} running {_name(cell)}", end="\r", flush=True)

    def done(self, cell: Cell, record: Record) -> None:
        """A cell has its record, of today or of an earlier command."""
        self.records.append(record)
        self.ahead.remove(cell)
        if "seconds" in record:
            self.seconds[cell.variant].append(record["seconds"]["wall"])
        if self.total > 1:
            print(f"{self._count()} {_name(cell)}: {_outcome(record)}{self._left()}")

    def _left(self) -> str:
        """Poolers take from a second to minutes: what has never run is counted, not guessed at."""
        timed = [self.seconds[c.variant] for c in self.ahead if c.variant in self.seconds]
        untimed = len(self.ahead) - len(timed)
        told = ""
        if timed:
            told += f", about {_clock(sum(map(statistics.fmean, timed)))} left"
        if untimed:
            told += f", {untimed} cell{'s' * (untimed > 1)} not yet timed"
        return told

    def _count(self) -> str:
        failed = sum(record["status"] != "ok" for record in self.records)
        done = f"[{len(self.records)}/{self.total}"
        return f"{done}, {failed} failed]" if failed else f"{done}]"


def print_all(rows: Sequence[Row]) -> int:
    """Sum up a command; the exit code: 0, or 1 where a cell failed, diverged or has no record."""
    if len(rows) == 1:
        print_cell(*rows[0])
    else:
        print_sweep(rows)
    return 0 if all(record and record["status"] == "ok" for _, record in rows) else 1


def print_cell(cell: Cell, record: dict[str, Any] | None) -> None:
    """How good, how fast, how large, and where everything lies."""
    if record is None or record["status"] != "ok":
        _print_failures([(cell, record)])
        return
    metrics, parameters = record["metrics"], record["parameters"]
    tuning = record["config"]["encoder"]["tuning"]
    best = f"{metrics['best/val_accuracy']:.4f} after epoch {metrics['best/epoch'] + 1:.0f}"
    rows = [
        ("test accuracy", f"{metrics['test/accuracy']:.4f}"),
        ("test macro-F1", f"{metrics['test/f1_macro']:.4f}"),
        ("best validation", best),
    ]
    if "perf/samples_per_sec" in metrics:
        what = f"encoder {tuning}"
        if record["trained_on"] != "token ids":
            what = f"head on {record['trained_on']}"
        speed = f"{metrics['perf/samples_per_sec']:,.0f} examples/s"
        tokens = f"{metrics['perf/tokens_per_sec']:,.0f} real tokens/s"
        rows.append(("training speed", f"{speed}, {tokens} ({what})"))
    rows += [
        ("pooler parameters", f"{parameters['pooler']:,} (head {parameters['head']:,})"),
        ("record", str(cell.folder / RECORD)),
    ]
    if record["tracked"]:
        rows.append(tuple(record["tracked"]))
    rows += [("mind", caveat) for caveat in record["caveats"]]
    print(f"\n{cell.pooler} on {cell.dataset} x {cell.encoder} ({tuning}), seed {cell.seed}")
    for name, value in rows:
        print(f"  {name:<18} {value}")


def print_sweep(rows: Sequence[Row]) -> None:
    """One line for each pooler, over its seeds, and every cell that has no result."""
    groups: dict[str, list[tuple[Cell, Record]]] = defaultdict(list)
    for cell, record in rows:
        if record and record["status"] == "ok":
            groups[cell.variant].append((cell, record))
    settings = {variant: dict(leaves(group[0][1]["config"])) for variant, group in groups.items()}
    lines = [("pooler", "dataset x encoder", "cells", "test accuracy", "macro-F1", "parameters")]
    for variant, group in groups.items():
        cell, records = group[0][0], [record for _, record in group]
        namesakes = [v for v, others in groups.items() if others[0][0].pooler == cell.pooler]
        apart = _differences(settings[variant], [settings[v] for v in namesakes])
        lines.append(
            (
                f"{cell.pooler} {apart}".strip(),
                f"{cell.dataset} x {cell.encoder}",
                str(len(records)),
                _spread([record["metrics"]["test/accuracy"] for record in records]),
                _spread([record["metrics"]["test/f1_macro"] for record in records]),
                f"{records[0]['parameters']['pooler']:,}",
            )
        )
    if groups:
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        print()
        for line in lines:
            print("  " + "  ".join(f"{text:<{w}}" for text, w in zip(line, widths, strict=True)))
    _print_failures([row for row in rows if row[1] is None or row[1]["status"] != "ok"])
    for caveat in sorted({c for _, record in rows if record for c in record.get("caveats", [])}):
        print(f"  mind: {caveat}")
    study = rows[0][0].study_folder
    print(f"  report: python scripts/report.py {study}")


def _print_failures(rows: Sequence[Row]) -> None:
    for cell, record in rows:
        if record is None:
            print(f"  {_name(cell)}: no result; run the same command again", file=sys.stderr)
        else:
            log = cell.folder / record["log"]
            print(f"  {_name(cell)} {record['status']}: {record['error']} ({log})", file=sys.stderr)


def _name(cell: Cell) -> str:
    return f"{cell.pooler} on {cell.dataset} x {cell.encoder}, seed {cell.seed}"


def _outcome(record: dict[str, Any]) -> str:
    if record["status"] != "ok":
        return f"{record['status']}, {record['error']}"
    return f"test accuracy {record['metrics']['test/accuracy']:.4f}"


def _differences(own: dict[str, Any], others: Sequence[dict[str, Any]]) -> str:
    """The settings in which one group differs from others that show the same names."""
    telling = [
        key
        for key, value in own.items()
        if not key.startswith(("dataset.", "encoder.")) and key not in ("seed", "output_dir")
        if any(other.get(key) != value for other in others)
    ]
    return " ".join(f"{key}={own[key]}" for key in telling)


def _spread(values: Sequence[float]) -> str:
    middle = f"{statistics.fmean(values):.4f}"
    return f"{middle} ± {statistics.stdev(values):.4f}" if len(values) > 1 else middle


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
