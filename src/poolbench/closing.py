"""What a person reads when a cell is done."""

from typing import Any

from poolbench.cell import Cell
from poolbench.results.record import RECORD


def print_summary(record: dict[str, Any], cell: Cell, finished_before: bool = False) -> None:
    """A short table: how good, how fast, how large, and where everything lies."""
    metrics, parameters = record["metrics"], record["parameters"]
    tuning = record["config"]["encoder"]["tuning"]
    best = f"{metrics['best/val_accuracy']:.4f} after epoch {metrics['best/epoch'] + 1:.0f}"
    rows = [
        ("test accuracy", f"{metrics['test/accuracy']:.4f}"),
        ("test macro-F1", f"{metrics['test/f1_macro']:.4f}"),
        ("best validation", best),
    ]
    if "perf/samples_per_sec" in metrics:
        source = "heads from stored states" if record["config"]["cache"]["enabled"] else "frozen"
        speed = f"{metrics['perf/samples_per_sec']:,.0f} examples/s"
        tokens = f"{metrics['perf/tokens_per_sec']:,.0f} real tokens/s"
        what = source if tuning == "frozen" else "end to end"
        rows.append(("training speed", f"{speed}, {tokens} ({what})"))
    rows += [
        ("pooler parameters", f"{parameters['pooler']:,} (head {parameters['head']:,})"),
        ("record", str(cell.folder / RECORD)),
    ]
    if record["tracked"]:
        rows.append(tuple(record["tracked"]))
    rows += [("mind", caveat) for caveat in record["caveats"]]
    if finished_before:
        rows.append(("finished before", "nothing was run again"))
    print(f"\n{cell.pooler} on {cell.dataset} x {cell.encoder} ({tuning}), seed {cell.seed}")
    for name, value in rows:
        print(f"  {name:<18} {value}")
