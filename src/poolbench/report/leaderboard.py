"""Every record below a folder as rows that may be ranked: what was measured, by which code.

A row is one pooler on one dataset and encoder under one configuration, made by one revision of the
code from one state of data and weights. Its seeds are averaged; nothing else is ever mixed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from poolbench.runs.finished import Result, read_finished
from poolbench.runs.study import StudyCell, written_setting
from poolbench.stats.mean import Mean, mean_over_seeds
from poolbench.stats.verdict import counted

# Digests that must agree between rows with the same settings in these parts of the configuration.
CONTENTS = {"data": ("dataset",), "encoder": ("encoder",), "tokens": ("dataset", "encoder")}


@dataclass(frozen=True, eq=False)
class Row:
    """One line of the leaderboard.

    Attributes:
        results: one for each seed, seeds ascending.
        mean: the metric over seeds.
        unusual: settings that most rows of this dataset and encoder do not have.
        stale: in what this row differs from the newest one; empty where it is current.
    """

    results: tuple[Result, ...]
    mean: Mean
    unusual: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()

    @property
    def newest(self) -> Result:
        """The result that was written last."""
        return max(self.results, key=lambda r: r.written)

    @property
    def cell(self) -> StudyCell:
        """Any of its cells: they differ in nothing but the seed."""
        return self.results[0].cell


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """All rows below a folder: best mean first on each dataset and encoder, stale rows last.

    Attributes:
        without: cells that failed, diverged, are damaged or still missing; folders below the root.
        notes: what else a reader should know.
    """

    root: Path
    metric: str
    rows: tuple[Row, ...]
    without: tuple[StudyCell, ...]
    notes: tuple[str, ...]


def read_leaderboard(root: Path, metric: str = "accuracy") -> Leaderboard:
    """Everything below ``root``, whatever state it is in; the metric is of ``protocol.METRICS``.

    Raises:
        BadInput: ``root`` is not a folder, or there is no record below it.
    """
    finished = read_finished(root, metric)
    by_row: dict[tuple[Any, ...], list[Result]] = {}
    for r in sorted(finished.results, key=lambda r: r.written):
        names = r.cell.dataset, r.cell.encoder, r.cell.pooler
        by_row.setdefault((*names, r.variant, r.code, r.schema), []).append(r)
    rows = [_row(group, metric) for group in by_row.values()]
    return Leaderboard(
        root=root,
        metric=metric,
        rows=tuple(sorted(_marked(rows), key=_order)),
        without=tuple(sorted(finished.without, key=_by_status)),
        notes=(*map(_unread, finished.unread), *_repeated(by_row.values())),
    )


def _row(group: Sequence[Result], metric: str) -> Row:
    """Oldest first in; of a seed that was trained twice the newest counts."""
    by_seed = {r.cell.seed: r for r in group}
    results = tuple(by_seed[seed] for seed in sorted(by_seed))
    recorded = [r.cell.metric(f"test/{metric}") for r in results]
    return Row(results, mean_over_seeds(recorded, [r.scores for r in results]))


def _marked(rows: Sequence[Row]) -> list[Row]:
    """The rows with what differs between them, and with the stale ones marked."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.cell.dataset, row.cell.encoder), []).append(row)
    return [
        replace(row, unusual=_unusual(row, group), stale=_stale(row.newest, group))
        for group in groups.values()
        for row in group
    ]


def _unusual(row: Row, group: Sequence[Row]) -> tuple[str, ...]:
    told = []
    for key, value in sorted(row.results[0].settings.items()):
        # Knobs of a pooler are compared with the same pooler's, everything else with all rows.
        own = key.startswith("pooler.")
        peers = [r for r in group if not own or r.cell.pooler == row.cell.pooler]
        settings = [r.results[0].settings for r in peers]
        # Older code did not have every key: that is no difference.
        values = [other[key] for other in settings if key in other]
        if values.count(value) <= len(values) / 2:
            told.append(written_setting(key, value))
    return tuple(told)


def _stale(result: Result, group: Sequence[Row]) -> tuple[str, ...]:
    peers = [row.newest for row in group]
    current = max(peers, key=_age)
    told = []
    if result.code != current.code:
        told.append("other code")
    if result.schema != current.schema:
        told.append(f"record schema {result.schema}, now {current.schema}")
    for name, parts in CONTENTS.items():
        alike = [p for p in peers if _part(p, parts) == _part(result, parts)]
        if result.digests.get(name) != max(alike, key=_age).digests.get(name):
            told.append(f"other {name}")
    return tuple(told)


def _age(result: Result) -> tuple[int, float]:
    return result.schema, result.written


def _part(result: Result, parts: Sequence[str]) -> Mapping[str, Any]:
    return {k: v for k, v in result.settings.items() if k.partition(".")[0] in parts}


def _repeated(groups: Iterable[Sequence[Result]]) -> list[str]:
    """Seeds of one row that were trained more than once."""
    again, otherwise = 0, []
    for group in groups:
        newest = {r.cell.seed: r for r in group}
        for r in group:
            kept = newest[r.cell.seed]
            again += r is not kept
            if not np.array_equal(r.scores, kept.scores):
                otherwise.append(f"{r.cell.folder} (not counted) and {kept.cell.folder}")
    told = [f"The same cell with other results: {pair}." for pair in otherwise]
    if again:
        cells = counted(again, "cell")
        told.insert(0, f"Trained more than once: {cells}; of each the newest counts.")
    return told


def _unread(plan: str) -> str:
    return f"{plan} is damaged: what it planned and its commands are not shown."


def _order(row: Row) -> tuple[Any, ...]:
    cell = row.cell
    return cell.dataset, cell.encoder, bool(row.stale), -row.mean.value, cell.pooler, row.unusual


def _by_status(cell: StudyCell) -> tuple[str, str]:
    return cell.status, cell.folder
