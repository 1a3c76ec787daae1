"""Terminal output: progress and summary."""

import statistics
import sys
from collections import defaultdict
from collections.abc import Sequence

from poolbench.runs.identity import RunSpec
from poolbench.runs.record import RECORD, RunRecord

Row = tuple[RunSpec, RunRecord | None]


class Progress:
    """One line for each run of a sweep, with the time left; silent for a single run."""

    def __init__(self, specs: Sequence[RunSpec]) -> None:
        self.total = len(specs)
        self.waiting = list(specs)
        self.failed = 0
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def start(self, spec: RunSpec) -> None:
        """Announce a run, on a terminal."""
        if self.total > 1 and sys.stdout.isatty():
            print(f"{self._count()} running {spec.label}", end="\r", flush=True)

    def finish(self, spec: RunSpec, record: RunRecord) -> None:
        """A run has a record, from now or from an earlier command."""
        self.waiting.remove(spec)
        self.failed += not record.ok
        if "wall" in record.seconds:
            self.seconds[spec.variant].append(record.seconds["wall"])
        outcome = f"{record.status}, {record.error}"
        if record.ok:
            outcome = f"test accuracy {record.metrics['test/accuracy']:.4f}"
        if self.total > 1:
            print(f"{self._count()} {spec.label}: {outcome}{self._time_left()}")

    def _time_left(self) -> str:
        """Poolers take from a second to minutes: those that never ran are counted, not guessed."""
        timed = [self.seconds[s.variant] for s in self.waiting if s.variant in self.seconds]
        untimed = len(self.waiting) - len(timed)
        text = f", about {clock(sum(map(statistics.fmean, timed)))} left" if timed else ""
        return text + (f", {untimed} run{'s' * (untimed > 1)} not timed yet" if untimed else "")

    def _count(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"[{self.total - len(self.waiting)}/{self.total}{failed}]"


def print_summary(rows: Sequence[Row]) -> bool:
    """Print the results of a command; whether every run has one."""
    results = [record for _, record in rows if record and record.ok]
    if len(rows) > 1:
        _print_sweep(results)
    elif results:
        _print_run(results[0])
    for spec, record in rows:
        if record is None:
            print(f"  {spec.label}: no result; run the same command again", file=sys.stderr)
        elif not record.ok:
            log = spec.folder / (record.failure_log or "")
            print(f"  {spec.label} {record.status}: {record.error} ({log})", file=sys.stderr)
    if len(rows) > 1:
        for note in sorted({note for record in results for note in record.notes}):
            print(f"  note: {note}")
        print(f"  report: python scripts/report.py {rows[0][0].study_folder}")
    return len(results) == len(rows)


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
    best = f"{metrics['best/val_accuracy']:.4f} after epoch {metrics['best/epoch'] + 1:.0f}"
    rows = [
        ("test accuracy", f"{metrics['test/accuracy']:.4f}"),
        ("test macro-F1", f"{metrics['test/f1_macro']:.4f}"),
        ("best validation", best),
    ]
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


def _print_sweep(results: Sequence[RunRecord]) -> None:
    """One line for each variant, over its seeds."""
    groups: dict[str, list[RunRecord]] = defaultdict(list)
    for record in results:
        groups[record.run.variant].append(record)
    specs = [records[0].run for records in groups.values()]
    names = "pooler, dataset × encoder, runs, test accuracy, macro-F1, throughput, parameters"
    lines = [names.split(", ")]
    for spec, records in zip(specs, groups.values(), strict=True):
        namesakes = [other for other in specs if other.pooler == spec.pooler]
        # Relative throughput is measured once for all seeds.
        name = "perf/relative_throughput"
        speeds = [r.metrics[name] for r in records if name in r.metrics]
        lines.append(
            [
                f"{spec.pooler} {_differences(spec, namesakes)}".strip(),
                f"{spec.dataset} × {spec.encoder}",
                str(len(records)),
                _mean([record.metrics["test/accuracy"] for record in records]),
                _mean([record.metrics["test/f1_macro"] for record in records]),
                f"{statistics.median(speeds):.2f} × mean" if speeds else "",
                f"{records[0].parameters.pooler:,}",
            ]
        )
    if groups:
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        print()
        for line in lines:
            print("  " + "  ".join(f"{text:<{w}}" for text, w in zip(line, widths, strict=True)))


def _differences(own: RunSpec, others: Sequence[RunSpec]) -> str:
    """The settings in which a run differs from others of the same pooler."""
    settings = [other.settings for other in others]
    return " ".join(
        f"{key}={value}"
        for key, value in own.settings.items()
        if not key.startswith(("dataset.", "encoder."))
        and any(other.get(key) != value for other in settings)
    )


def _mean(values: Sequence[float]) -> str:
    mean = f"{statistics.fmean(values):.4f}"
    return f"{mean} ± {statistics.stdev(values):.4f}" if len(values) > 1 else mean
