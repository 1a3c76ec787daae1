"""Terminal output: progress and summary."""

import statistics
import sys
import textwrap
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Self

import pytorch_lightning as pl
from rich import get_console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from poolbench.runs.identity import RunSpec, format_setting, varying_settings
from poolbench.runs.protocol import METRIC_NAMES, METRICS
from poolbench.runs.record import RECORD, RunRecord

Row = tuple[RunSpec, RunRecord | None]
REFRESH = 0.5  # seconds
SAME = ("dataset", "encoder", "pooler")  # runs that only their settings tell apart


class Progress(pl.Callback):
    """A line for each finished run of a sweep and, on a terminal, one for the run in progress."""

    def __init__(self, specs: Sequence[RunSpec]) -> None:
        self.total, self.failed = len(specs), 0
        self.waiting = list(specs)
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.several = [
            k for k in ("dataset", "encoder") if len({getattr(s, k) for s in specs}) > 1
        ]
        self.varying = varying_settings(specs, SAME)
        shown = all(spec.setting("trainer.enable_progress_bar") for spec in specs)
        self.terminal = shown and sys.stdout.isatty()
        self.live = Live(console=get_console(), auto_refresh=False, transient=True)
        self.running, self.done, self.started, self.shown = "", 0.0, time.monotonic(), 0.0

    def __enter__(self) -> Self:
        if self.terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def start(self, spec: RunSpec) -> None:
        """Announce a run."""
        # The time left counts the run in progress first.
        self.waiting.sort(key=lambda other: other != spec)
        self.running, self.done, self.started = self._name(spec), 0.0, time.monotonic()
        self._show("")

    def finish(self, spec: RunSpec, record: RunRecord) -> None:
        """A run has a record, from now or from an earlier command."""
        self.waiting.remove(spec)
        self.failed += not record.ok
        self.done, self.started = 0.0, time.monotonic()
        if "wall" in record.seconds:
            self.seconds[spec.variant].append(record.seconds["wall"])
        outcome = f"{record.status}, {record.error}"
        if record.ok:
            metric = spec.setting("comparison.metric")
            outcome = f"{METRIC_NAMES[metric]} {record.metrics[f'test/{metric}']:.4f}"
        if self.total > 1:
            line = f"{self._count(timed=not self.terminal)} {self._name(spec)}: {outcome}"
            # Into a file each run is one line.
            wraps = not self.terminal
            get_console().print(line, markup=False, highlight=False, soft_wrap=wraps)

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        epoch, epochs = trainer.current_epoch, trainer.max_epochs or 1
        self.done = (epoch + (index + 1) / trainer.num_training_batches) / epochs
        if time.monotonic() - self.shown > REFRESH:
            self._show(f", epoch {epoch + 1}/{epochs}")

    def _show(self, state: str) -> None:
        if self.terminal:
            line = f"{self._count(timed=True)} {self.running}{state}"
            self.live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
            self.shown = time.monotonic()

    def _time_left(self) -> str:
        """A variant that never ran is taken to be like the others."""
        spent = time.monotonic() - self.started
        known = [seconds for timed in self.seconds.values() for seconds in timed]
        known = known or ([spent / self.done] if self.done else [])
        if not known or not self.waiting:
            return ""
        # The first run may encode for all: half of the runs took less.
        usual = [statistics.median(known)]
        each = [statistics.fmean(self.seconds.get(s.variant, usual)) for s in self.waiting]
        return f", about {clock(sum(each) - min(spent, each[0]))} left"

    def _name(self, spec: RunSpec) -> str:
        place = " × ".join(getattr(spec, key) for key in self.several)
        name = _named(spec, self.varying)
        return f"{name}{f' on {place}' if place else ''}, seed {spec.seed}"

    def _count(self, timed: bool) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        done = self.total - len(self.waiting)
        return f"[{done}/{self.total}{failed}{self._time_left() if timed else ''}]"


def print_summary(rows: Sequence[Row]) -> bool:
    """Print the results of a command; whether every run has one."""
    results = [record for _, record in rows if record and record.ok]
    if len(rows) > 1:
        _print_sweep(results)
    elif results:
        _print_run(results[0])
    for spec, record in rows:
        if record is None or not record.ok:
            _print_missing(spec, record)
    missing = len(rows) - len(results)
    if len(rows) > 1:
        for note in sorted({note for record in results for note in record.notes}):
            print(f"  note: {note}")
        lacking = f"{missing} of {len(rows)} runs have no result" if missing else ""
        report = f"report{' of the others' * bool(missing)}: python scripts/report.py"
        command = f"{report} {rows[0][0].study_folder}" if results else ""
        print(f"  {'; '.join(filter(None, (lacking, command)))}")
    return not missing


def _print_missing(spec: RunSpec, record: RunRecord | None) -> None:
    """Why a run has no result. The path of its log has a line of its own, to be copied."""
    lines = [f"{spec.label}: no result; run the same command again"]
    if record is not None:
        lines = [f"{spec.label}: {record.status}", f"  {record.error}"]
    if sys.stderr.isatty():
        width = get_console().width - 2
        lines = [textwrap.fill(line, width, subsequent_indent="  ") for line in lines]
    if record is not None:
        lines.append(f"  {spec.folder / (record.failure_log or '')}")
    print(textwrap.indent("\n".join(lines), "  "), file=sys.stderr)


def clock(seconds: float) -> str:
    """A duration: 45 s, 3 min 07 s, 2 h 5 min."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _print_run(record: RunRecord) -> None:
    """Accuracy, speed, size, and where everything is."""
    spec, metrics, parameters = record.run, record.metrics, record.parameters
    tuning = spec.setting("encoder.tuning")
    rows = [
        (f"test {METRIC_NAMES[name.removeprefix('test/')]}", f"{metrics[name]:.4f}")
        for name in _measured(record)
    ]
    if "best/epoch" in metrics:
        best = f"{best_validation(record):.4f} after epoch {metrics['best/epoch'] + 1:.0f}"
        rows.append(("best validation", best))
    if "perf/samples_per_sec" in metrics:
        speed = f"{metrics['perf/samples_per_sec']:,.0f} examples/s"
        tokens = f"{metrics['perf/tokens_per_sec']:,.0f} tokens/s"
        rows.append(("training speed", f"{speed}, {tokens} (from {record.step_input})"))
    if "perf/relative_throughput" in metrics:
        speed = f"{metrics['perf/inference_samples_per_sec']:,.0f} examples/s"
        relative = f"{metrics['perf/relative_throughput']:.2f} × mean"
        own = f"pooler {metrics['perf/pooler_forward_ms']:.2f} ms a batch"
        rows.append(("inference", f"{speed}, {relative} ({own})"))
    trained = parameters.pooler + parameters.head + parameters.encoder * (tuning == "full")
    parts = f"pooler {parameters.pooler:,}, head {parameters.head:,}"
    rows.append(("parameters", f"trains {trained:,} ({parts})"))
    rows.append(("record", str(spec.folder / RECORD)))
    rows += [record.logger] if record.logger else []
    rows += [("note", note) for note in record.notes]
    print(f"\n{spec.pooler} on {spec.dataset} × {spec.encoder} ({tuning}), seed {spec.seed}")
    for name, value in rows:
        print(f"  {name:<16} {value}")


def best_validation(record: RunRecord) -> float | None:
    """The validation metric of the best epoch; None if nothing was trained."""
    found = [
        value
        for name, value in record.metrics.items()
        if name.startswith("best/val_") and name != "best/val_loss"
    ]
    return record.metrics.get(f"best/val_{METRICS[record.task][0]}", next(iter(found), None))


def _measured(record: RunRecord) -> list[str]:
    """Names of the test metrics of a task, the one that the study compares first."""
    chosen = record.run.setting("comparison.metric")
    return [f"test/{name}" for name in sorted(METRICS[record.task], key=lambda n: n != chosen)]


def _print_sweep(results: Sequence[RunRecord]) -> None:
    """A table for each dataset and encoder, with one line for each variant, over its seeds."""
    groups: dict[str, list[RunRecord]] = defaultdict(list)
    for record in results:
        groups[record.run.variant].append(record)
    tables: dict[str, Table] = {}
    specs = [records[0].run for records in groups.values()]
    varying = varying_settings(specs, SAME)
    for spec, records in zip(specs, groups.values(), strict=True):
        # Relative throughput is measured once for all seeds.
        name = "perf/relative_throughput"
        speeds = [r.metrics[name] for r in records if name in r.metrics]
        first, second = _measured(records[0])[:2]
        place = f"{spec.dataset} × {spec.encoder}"
        if place not in tables:
            tables[place] = _new_table(first, second)
        table = tables[place]
        table.add_row(
            _named(spec, varying),
            str(len(records)),
            _mean([record.metrics[first] for record in records]),
            f"{statistics.fmean(record.metrics[second] for record in records):.4f}",
            f"{statistics.median(speeds):.2f} × mean" if speeds else "",
            f"{records[0].parameters.pooler:,}",
        )
    for place, table in tables.items():
        with get_console().capture() as printed:
            get_console().print(table, width=get_console().width - 2)
        lines = printed.get().splitlines()
        print("", f"  {place}", *(f"  {line.rstrip()}" for line in lines), sep="\n")


def _new_table(*metrics: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="")
    table.add_column("pooler")
    first, second = (METRIC_NAMES[metric.removeprefix("test/")] for metric in metrics)
    for name in ("runs", f"test {first}", second, "throughput", "parameters"):
        table.add_column(name, no_wrap=True)
    return table


def _named(spec: RunSpec, varying: Iterable[str]) -> str:
    """The pooler of a run, with those of its settings in which runs differ."""
    settings = spec.settings
    own = (format_setting(key, settings[key]) for key in varying if key in settings)
    return " ".join([spec.pooler, *own])


def _mean(values: Sequence[float]) -> str:
    mean = f"{statistics.fmean(values):.4f}"
    return f"{mean} ± {statistics.stdev(values):.4f}" if len(values) > 1 else mean
