"""Terminal output: the summary of a command."""

import statistics
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Sequence

from rich import get_console
from rich.table import Table

from poolbench.runs.identity import RunSpec, format_setting, varying_settings
from poolbench.runs.protocol import METRIC_NAMES, METRICS
from poolbench.runs.record import RECORD, RunRecord
from poolbench.runs.remarks import remarks

Row = tuple[RunSpec, RunRecord | None]
SAME = ("dataset", "encoder", "pooler")  # runs that only their settings tell apart


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
        for note in sorted({note for record in results for note in remarks(record)}):
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
    rows += [("note", note) for note in remarks(record)]
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
    """Names of the test metrics of a record, the one that the study compares first."""
    chosen = record.run.setting("comparison.metric")
    names = [f"test/{name}" for name in sorted(METRICS[record.task], key=lambda n: n != chosen)]
    return [name for name in names if name in record.metrics]  # earlier code measured fewer


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
            named(spec, varying),
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


def named(spec: RunSpec, varying: Iterable[str]) -> str:
    """The pooler of a run, with those of its settings in which runs differ."""
    settings = spec.settings
    own = (format_setting(key, settings[key]) for key in varying if key in settings)
    return " ".join([spec.pooler, *own])


def _mean(values: Sequence[float]) -> str:
    mean = f"{statistics.fmean(values):.4f}"
    return f"{mean} ± {statistics.stdev(values):.4f}" if len(values) > 1 else mean
