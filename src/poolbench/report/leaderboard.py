"""All records below a folder as rows that may be ranked.

A row is one pooler on one dataset and encoder under one configuration, run by one state of the
code on one state of the data and weights. Its seeds are averaged; nothing else is ever mixed.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from poolbench.core.errors import UserError
from poolbench.report.rendering import render, render_page
from poolbench.report.summary import control, marked, usable
from poolbench.report.tables import DIGITS, Cell, Table, frame_of, interval_cell, revision_of
from poolbench.runs.identity import RunSpec, format_setting
from poolbench.runs.record import RECORD, RunRecord
from poolbench.runs.study import STUDY, read_declaration, read_run
from poolbench.stats.paired_test import Mean, mean_over_seeds
from poolbench.stats.scores import SCORES, Array
from poolbench.stats.verdict import METRIC_NAMES, plural

# Digests that must agree between rows with the same settings in these parts of the configuration.
CONTENTS = {"data": ("dataset",), "encoder": ("encoder",), "tokens": ("dataset", "encoder")}


class Result(NamedTuple):
    """A finished run, when its record was written (s since 1970), and its scores (n,)."""

    record: RunRecord
    written: float
    scores: Array

    @property
    def run(self) -> RunSpec:
        """Its names and settings."""
        return self.record.run

    @property
    def code(self) -> str:
        """The state of the code that computed it."""
        return self.record.digests.code or revision_of(self.record)


@dataclass(frozen=True, eq=False)
class Row:
    """One line of the leaderboard.

    Attributes:
        results: one for each seed, seeds ascending.
        mean: the metric over seeds.
        unusual: settings that most rows of this dataset and encoder do not have.
        stale: how this row differs from the newest one; empty if it is current.
    """

    results: list[Result]
    mean: Mean
    unusual: list[str]
    stale: list[str]

    @property
    def record(self) -> RunRecord:
        """Any of its records: they differ only in the seed."""
        return self.results[0].record

    @property
    def state(self) -> str:
        """Current, or why the row is stale."""
        return f"stale: {', '.join(self.stale)}" if self.stale else "current"

    @property
    def commands(self) -> list[str]:
        """The commands that train its runs; equal ones become one sweep over their seeds."""
        seeds: dict[str, list[str]] = defaultdict(list)
        for run in (result.run for result in self.results if result.run.command):
            words = ["seed={}" if w == f"seed={run.seed}" else w for w in run.command.split(" ")]
            seeds[" ".join(words)].append(str(run.seed))
        commands = []
        for command, of in seeds.items():
            line = command.replace("seed={}", f"seed={','.join(of)}")
            commands.append(line.replace("train.py", "train.py -m", 1) if of[1:] else line)
        return commands

    @property
    def origin(self) -> dict[str, str]:
        """Code, contents and runs behind the row."""
        runs, digests = [result.run for result in self.results], self.record.digests
        facts = {name: getattr(digests, name)[:DIGITS] for name in ("code", *CONTENTS)}
        facts["revision"] = revision_of(self.record)
        facts["runs"] = ", ".join(f"{r.digest} (seed {r.seed}, study {r.study})" for r in runs)
        return {name: value for name, value in facts.items() if value}


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """All rows below a folder: best mean first on each dataset and encoder, stale rows last.

    Attributes:
        without: runs that failed, diverged, are damaged or missing, by their folder.
        notes: studies whose declaration cannot be read.
    """

    metric: str
    rows: list[Row]
    without: dict[str, RunRecord]
    notes: list[str]

    @property
    def summary(self) -> str:
        """Numbers of rows and runs, and of runs without a result."""
        stale = sum(bool(row.stale) for row in self.rows)
        runs = plural(sum(len(row.results) for row in self.rows), "finished run")
        text = f"{plural(len(self.rows), 'row')} from {runs}"
        text += f", {stale} of them stale." if stale else "."
        if self.without:
            counts = Counter(record.status for record in self.without.values())
            kinds = ", ".join(f"{n} {status}" for status, n in counts.items())
            text += f" {plural(len(self.without), 'run')} without a result: {kinds}."
        return text

    def table(self) -> Table:
        """The rows as a table."""
        metric = f"{METRIC_NAMES[self.metric]} (%)"
        frame = frame_of(
            {
                "pooler": Cell(
                    marked(row.record.run.pooler),
                    row.record.run.pooler,
                    kind="",
                    note="stale" * bool(row.stale),
                    href=f"#row-{place}",
                ),
                metric: row.mean.value,
                "95 % interval": interval_cell(row.mean.interval),
                "seeds": len(row.results),
                "dataset": row.record.run.dataset,
                "encoder": row.record.run.encoder,
                "unusual settings": Cell(",\n".join(row.unusual), kind="code lines"),
                "state": Cell(row.state, row.state, "why tied" if row.stale else ""),
                "examples": len(row.results[0].scores),
                "parameters": row.record.parameters.pooler,
                "row": place,
            }
            for place, row in enumerate(self.rows, 1)
        )
        styles = {metric: ".2f", "examples": ",d", "parameters": ",d"}
        return Table("Leaderboard", frame, styles=styles | {"dataset": "tag", "encoder": "tag"})


def leaderboard_files(board: Leaderboard) -> dict[str, str]:
    """Names and contents of the files of a leaderboard."""
    controls = any(control(row.record.run.pooler) for row in board.rows)
    return {
        "leaderboard.html": render_page("leaderboard.html", board=board, controls=controls),
        "leaderboard.md": render("leaderboard.md", board=board, controls=controls),
    }


def read_leaderboard(root: Path, metric: str = "accuracy") -> Leaderboard:
    """All records below ``root`` and all runs that a study there declares.

    Raises:
        UserError: ``root`` is not a folder, or there is no record below it.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder")
    runs = {path.parent: usable(read_run(path.parent), root) for path in root.rglob(RECORD)}
    if not runs:
        raise UserError(f"{root} holds no {RECORD}: train first, python train.py study=...")
    notes = []
    for path in sorted(root.rglob(STUDY)):
        try:
            declaration = read_declaration(path.parent)
        except UserError:
            notes.append(f"{path.relative_to(root)} is damaged: its missing runs are unknown.")
        else:
            for spec in declaration.runs if declaration else ():
                folder = path.parent / spec.path
                runs.setdefault(folder, RunRecord(run=spec, folder=folder, status="missing"))
    groups: dict[tuple[str, ...], list[Result]] = defaultdict(list)
    for record in (r for r in runs.values() if r.ok):
        scores = SCORES[metric](record.predictions.labels, record.predictions.predictions)
        result = Result(record, (record.folder / RECORD).stat().st_mtime, scores)
        run = record.run
        groups[run.dataset, run.encoder, run.pooler, run.variant, result.code].append(result)
    without = {r.folder.relative_to(root).as_posix(): r for r in runs.values() if not r.ok}
    without = dict(sorted(without.items(), key=lambda item: (item[1].status, item[0])))
    return Leaderboard(metric, _rows(list(groups.values()), metric), without, notes)


def _rows(groups: list[list[Result]], metric: str) -> list[Row]:
    """One row for each group of results."""
    for group in groups:
        group.sort(key=lambda r: (r.written, r.record.folder))
    rows = []
    for group in groups:
        newest = group[-1]
        by_seed = {r.run.seed: r for r in group}  # of a repeated seed the newest counts
        results = [by_seed[seed] for seed in sorted(by_seed)]
        recorded = [r.record.metrics.get(f"test/{metric}") for r in results]
        mean = mean_over_seeds(recorded, [r.scores for r in results])
        place = newest.run.dataset, newest.run.encoder
        peers = [g[-1] for g in groups if (g[-1].run.dataset, g[-1].run.encoder) == place]
        rows.append(Row(results, mean, _unusual(newest, peers), _stale(newest, peers)))

    def order(row: Row) -> tuple[Any, ...]:
        run = row.record.run
        return run.dataset, run.encoder, bool(row.stale), -row.mean.value, run.pooler, row.unusual

    return sorted(rows, key=order)


def _unusual(result: Result, peers: Sequence[Result]) -> list[str]:
    unusual = []
    same_pooler = [p for p in peers if p.run.pooler == result.run.pooler]
    for key, value in sorted(result.run.settings.items()):
        # Settings of a pooler are compared with the same pooler only. Code of another state may
        # lack a key: that is no difference.
        others = same_pooler if key.startswith("pooler.") else peers
        values = [other.run.settings[key] for other in others if key in other.run.settings]
        if values.count(value) <= len(values) / 2:
            unusual.append(format_setting(key, value))
    return unusual


def _stale(result: Result, peers: Sequence[Result]) -> list[str]:
    def part(of: Result, groups: tuple[str, ...]) -> dict[str, Any]:
        return {k: v for k, v in of.run.settings.items() if k.partition(".")[0] in groups}

    stale = ["other code"] if result.code != max(peers, key=lambda r: r.written).code else []
    for name, parts in CONTENTS.items():
        same = [p for p in peers if part(p, parts) == part(result, parts)]
        newest = max(same, key=lambda r: r.written)
        if getattr(result.record.digests, name) != getattr(newest.record.digests, name):
            stale.append(f"other {name}")
    return stale
