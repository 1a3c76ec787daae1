"""The rows of a leaderboard: which runs share one, and which rows are stale.

A row is one pooler on one dataset and encoder under one configuration, run by one state of the
code on one state of the data and weights. Its seeds are averaged; nothing else is ever mixed.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from poolbench.report.tables import DIGITS, revision_of
from poolbench.runs.identity import format_setting
from poolbench.runs.protocol import METRIC_NAMES, METRICS, Metric
from poolbench.runs.record import RunRecord
from poolbench.stats.means import Mean, mean_of

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


def rows_of(records: Iterable[RunRecord], wanted: Metric) -> list[Row]:
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
