"""Replace values of JSON files, and use the study that they are of in every way."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from poolbench.report import explained, narrative, provenance, tables
from poolbench.report.build import findings_of, report_files
from poolbench.report.caveats import caveats
from poolbench.report.cells import to_csv
from poolbench.report.leaderboard import leaderboard_files, read_leaderboard
from poolbench.report.published import published_tables
from poolbench.runs.record import _checksum
from tests.conftest import works

EXAMPLES = 30
RUN = Path("reviews/tiny/conv/seed=1-d0")
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 10**30, -0.5, 1e300, 1e999, "", "x\0", "../..", "<b>|\n"),
    *([], {}, [[1]], {"": [None]}),
)
DELETED = object()


def places(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """The paths of all values in a JSON document; of lists those of the first element."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, *path, key)
    elif isinstance(value, list) and value:
        yield from places(value[0], *path, 0)


def replaced(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    document = copy.deepcopy(document)
    *parents, last = path
    inner = document
    for key in parents:
        inner = inner[key]
    if value is DELETED:
        del inner[last]
    else:
        inner[last] = value
    return document


def signed(record: dict[str, Any]) -> bytes:
    """The record with a valid checksum, where one can be computed."""
    record = {k: v for k, v in record.items() if k != "checksum"}
    try:
        return json.dumps(record | {"checksum": _checksum(record)}).encode()
    except ValueError:  # 1e999, which no checksum can cover
        return json.dumps(record | {"checksum": ""}).encode()


def report(folder: Path) -> None:
    """Everything of a report but its figures."""
    findings = findings_of(folder)
    narrative.answers(findings), provenance.missing(findings), caveats(findings)
    provenance.run_facts(findings), tables.runs_table(findings).markdown
    to_csv(tables.comparison_frame(findings))
    for table, _ in published_tables(findings):
        assert table.markdown
    for task in findings.tasks:
        assert tables.verdict_table(task, findings).markdown
        assert tables.pairs_table(task).markdown
        assert tables.contract_table(task).markdown
        for found in explained.disagreements(task):
            [found.describe(i) for i in found.clearest(found.won)]


def leaderboard(folder: Path) -> None:
    board = read_leaderboard(folder)
    assert board.summary
    assert board.overview().markdown
    for row in board.rows:
        assert row.state
        assert row.origin
        assert isinstance(row.commands, list)


def both(folder: Path) -> None:
    works(lambda: report(folder))
    works(lambda: leaderboard(folder))


def pages(folder: Path) -> None:
    """Report and leaderboard with figures and pages, which takes longer."""
    works(lambda: report_files(findings_of(folder)))
    works(lambda: leaderboard_files(read_leaderboard(folder)))


def mutations(document: Any) -> list[tuple[tuple[str | int, ...], Any]]:
    return [(path, value) for path in places(document) for value in (DELETED, *VALUES)]
