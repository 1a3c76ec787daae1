"""The leaderboard: all records below a folder, as rows that can be ranked.

A row is one pooler on one dataset and encoder under one configuration, run by one state of the
code on one state of the data and weights. Its seeds are averaged; nothing else is ever mixed.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from poolbench.core.errors import UserError
from poolbench.report.cells import Table
from poolbench.report.overview import Score, matrix
from poolbench.report.published import mean_of
from poolbench.report.rendering import render, render_page
from poolbench.report.summary import control
from poolbench.report.tables import DIGITS, revision_of
from poolbench.runs.identity import format_setting
from poolbench.runs.protocol import METRIC_NAMES, METRICS, Metric, Protocol
from poolbench.runs.record import RECORD, RunRecord, Status
from poolbench.runs.schema import RecordError
from poolbench.runs.study import STUDY, notes_on, read_declaration, read_records
from poolbench.stats.best import best_of
from poolbench.stats.compare import ScoredRun, compare_with_reference
from poolbench.stats.means import Mean
from poolbench.stats.verdict import plural

# Digests that must agree between rows with the same settings in these parts of the configuration.
CONTENTS = {"data": ("dataset",), "encoder": ("encoder",), "tokens": ("dataset", "encoder")}


@dataclass(frozen=True, eq=False)
class Row:
    """One line of the leaderboard.

    Attributes:
        results: one for each seed, seeds ascending.
        metric: that of the leaderboard, or the primary one of its task if that has no such metric.
        other: whether it is not that of the leaderboard.
        mean: the metric over seeds.
        unusual: settings that most rows of this dataset and encoder do not have.
        stale: how this row differs from the newest one; empty if it is current.
    """

    results: list[RunRecord]
    metric: Metric
    other: bool
    mean: Mean
    unusual: list[str]
    stale: list[str]

    @property
    def record(self) -> RunRecord:
        """Any of its records: they differ only in the seed."""
        return self.results[0]

    @property
    def task(self) -> str:
        """Dataset × encoder, with what is not the same in the whole leaderboard."""
        kind = self.record.task.replace("_", " ")
        notes = [kind] * (kind != "classification") + [METRIC_NAMES[self.metric]] * self.other
        name = f"{self.record.run.dataset} × {self.record.run.encoder}"
        return f"{name} ({', '.join(notes)})" if notes else name

    @property
    def values(self) -> list[float]:
        """The metric in percent of each seed."""
        return [mean_of([record], self.metric).value for record in self.results]

    @property
    def state(self) -> str:
        """Current, or why the row is stale."""
        return f"stale: {', '.join(self.stale)}" if self.stale else "current"

    @property
    def commands(self) -> list[str]:
        """The commands that train its runs; equal ones become one sweep over their seeds."""
        seeds: dict[str, list[str]] = defaultdict(list)
        for run in (record.run for record in self.results if record.run.command):
            command = re.sub(rf"(?<= )seed={run.seed}(?!\S)", "seed={}", run.command)
            seeds[command].append(str(run.seed))
        lines = {c.replace("seed={}", f"seed={','.join(of)}"): len(of) for c, of in seeds.items()}
        return [c.replace("train.py", "train.py -m", int(runs > 1)) for c, runs in lines.items()]

    @property
    def origin(self) -> dict[str, str]:
        """Its interval, settings, code, contents and runs."""
        interval = self.mean.interval
        facts = {
            "95 % interval": "{:.1f} to {:.1f}".format(*interval) if interval else "",
            "unusual settings": ", ".join(self.unusual),
            "test examples": f"{len(self.record.predictions.targets):,}",
            "parameters of the pooler": f"{self.record.parameters.pooler:,}",
        }
        facts |= {n: getattr(self.record.digests, n)[:DIGITS] for n in ("code", *CONTENTS)}
        runs = [f"{r.run.digest} (seed {r.run.seed}, study {r.run.study})" for r in self.results]
        facts |= {"revision": revision_of(self.record), "runs": ", ".join(runs)}
        return {name: value for name, value in facts.items() if value}


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
            ranked = [p for p, row in of_task if not (row.stale or control(row.record.run.pooler))]
            best = _best({place: self.rows[place - 1] for place in ranked})
            scores += [
                Score(
                    row.record.run.pooler,
                    row.task,
                    row.values,
                    (*row.unusual, *([row.state] if row.stale else ())),
                    ranked.index(place) + 1 if place in ranked else None,
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
    return Leaderboard(metric, _rows(finished, metric), without, notes + notes_on({}, finished))


def _rows(records: Iterable[RunRecord], wanted: Metric) -> list[Row]:
    """One row for each pooler, configuration and state of the code."""
    groups: dict[tuple[str, ...], list[RunRecord]] = {}
    for r in sorted(records, key=lambda r: (r.written, r.folder)):
        place = (r.run.dataset, r.run.encoder, r.task, r.run.pooler, r.run.variant, _code(r))
        groups[place] = [*groups.pop(place, []), r]  # in the order of their newest records
    rows = []
    for key, group in groups.items():
        by_seed = {r.run.seed: r for r in group}  # of a repeated seed the newest counts
        results = [by_seed[seed] for seed in sorted(by_seed)]
        peers = [g[-1] for other, g in groups.items() if other[:3] == key[:3]]
        differences = _unusual(group[-1], peers), _stale(group[-1], peers)
        metrics = METRICS[group[-1].task]
        metric = wanted if wanted in metrics else metrics[0]
        rows.append(Row(results, metric, metric != wanted, mean_of(results, metric), *differences))

    def order(row: Row) -> tuple[Any, ...]:
        run = row.record.run
        place = run.dataset, run.encoder, row.record.task
        return *place, bool(row.stale), -row.mean.value, run.pooler, row.unusual

    return sorted(rows, key=order)


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


def _code(record: RunRecord) -> str:
    return record.digests.code or revision_of(record)


def _unusual(record: RunRecord, peers: Sequence[RunRecord]) -> list[str]:
    unusual = []
    settings = [(peer.run.pooler, peer.run.settings) for peer in peers]
    for key, value in sorted(record.run.settings.items()):
        # Settings of a pooler are compared with the same pooler only. Code of another state may
        # lack a key: that is no difference.
        every = not key.startswith("pooler.")
        of = [s[key] for name, s in settings if key in s and (every or name == record.run.pooler)]
        if of.count(value) <= len(of) / 2:
            unusual.append(format_setting(key, value))
    return unusual


def _stale(record: RunRecord, peers: Sequence[RunRecord]) -> list[str]:
    """How a record differs from the newest of its peers, which is the last."""

    def part(of: RunRecord, groups: tuple[str, ...]) -> dict[str, Any]:
        return {k: v for k, v in of.run.settings.items() if k.partition(".")[0] in groups}

    stale = ["other code"] if _code(record) != _code(peers[-1]) else []
    for name, parts in CONTENTS.items():
        newest = [p for p in peers if part(p, parts) == part(record, parts)][-1]
        if getattr(record.digests, name) != getattr(newest.digests, name):
            stale.append(f"other {name}")
    return stale
