"""The leaderboard: all records below a folder, as rows that can be ranked."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

from poolbench.core.errors import UserError
from poolbench.report.cells import Table
from poolbench.report.controls import control
from poolbench.report.leaderboard_rows import Row, rows_of
from poolbench.report.overview import Score, matrix, ranks
from poolbench.report.rendering import render, render_page
from poolbench.runs.protocol import Metric, Protocol
from poolbench.runs.record import RECORD, Status
from poolbench.runs.schema import RecordError
from poolbench.runs.study import STUDY, notes_on, read_declaration, read_records
from poolbench.stats.best import best_of
from poolbench.stats.compare import ScoredRun, compare_with_reference
from poolbench.stats.verdict import plural


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """All rows below a folder: best mean first on each dataset and encoder, stale rows last.

    Attributes:
        without: status and error of runs without a result, by their folder.
        notes: what is damaged, and runs that other code has made.
    """

    metric: Metric
    rows: list[Row]
    without: dict[str, tuple[Status, str | None]]
    notes: list[str]

    @property
    def summary(self) -> str:
        """Numbers of rows and runs, and of runs without a result."""
        runs = plural(sum(len(row.results) for row in self.rows), "finished run")
        stale = sum(bool(row.stale) for row in self.rows)
        text = f"{plural(len(self.rows), 'row')} from {runs}"
        text += f", {stale} of them stale." if stale else "."
        kinds = Counter(status for status, _ in self.without.values())
        listed = ", ".join(f"{n} {status}" for status, n in kinds.items())
        return text + f" {plural(kinds.total(), 'run')} without a result: {listed}." * bool(kinds)

    def overview(self) -> Table:
        """The matrix of poolers and tasks; ranks and the best group are of current rows."""
        scores = []
        for _, rows in groupby(enumerate(self.rows, 1), lambda pair: pair[1].task):
            of_task = list(rows)
            current = {
                p: row for p, row in of_task if not (row.stale or control(row.record.run.pooler))
            }
            best = _best(current)
            rank = ranks({place: fmean(row.values) for place, row in current.items()})
            scores += [
                Score(
                    row.record.run.pooler,
                    row.task,
                    row.values,
                    (*row.unusual, *([row.state] if row.stale else ())),
                    rank.get(place),
                    place in best,
                    f"#row-{place}",
                )
                for place, row in of_task
            ]
        return matrix(scores)


def leaderboard_files(board: Leaderboard) -> dict[str, str]:
    """Names and contents of the files of a leaderboard."""
    controls = any(control(row.record.run.pooler) for row in board.rows)
    shown: dict[str, Any] = {"board": board, "controls": controls}
    page = render_page("leaderboard.html", **shown)
    return {"leaderboard.html": page, "leaderboard.md": render("leaderboard.md", **shown)}


def read_leaderboard(root: Path, metric: Metric = "accuracy") -> Leaderboard:
    """All records below ``root`` and all runs that a study there declares.

    Raises:
        UserError: ``root`` is not a folder, or there is no record below it.
    """
    records, lost = read_records(root)
    if not records and not lost:
        raise UserError(f"{root} holds no {RECORD}: train first, python train.py study=...")
    finished, notes = [record for record in records if record.ok], []
    places = {record.folder: (record.status, record.error) for record in records}
    for path in sorted(root.rglob(STUDY)):
        try:
            declaration = read_declaration(path.parent)
            for spec in declaration.runs if declaration else ():
                places.setdefault(path.parent / spec.path, ("missing", None))
        except RecordError as error:
            notes.append(f"{error} (its missing runs are unknown)".replace(f"{root}/", ""))
    found = {place.relative_to(root).as_posix(): why for place, why in places.items()}
    found |= {place: ("damaged", error) for place, error in lost.items()}
    absent = sorted((why[0], place, why) for place, why in found.items() if why[0] != "ok")
    without = {place: why for _, place, why in absent}
    return Leaderboard(metric, rows_of(finished, metric), without, notes + notes_on({}, finished))


def _best(rows: Mapping[int, Row]) -> set[int]:
    """The rows of a task that cannot be ruled out as best, as if they were one study.

    Only rows with the most frequent seeds and test examples can be compared in pairs.
    """

    def paired(row: Row) -> tuple[Any, ...]:
        return [r.run.seed for r in row.results], row.record.digests.test_ids

    frequent = Counter(str(paired(row)) for row in rows.values()).most_common(1)
    runs = [
        replace(ScoredRun.from_record(record), pooler=str(place))
        for place, row in rows.items()
        if str(paired(row)) == frequent[0][0]
        for record in row.results
    ]
    if not runs:
        return set()
    protocol = Protocol(metric=next(iter(rows.values())).metric, reference=runs[0].pooler)
    best = best_of(runs, compare_with_reference(runs, protocol))
    return {int(place) for place in best.group} if best else set()
