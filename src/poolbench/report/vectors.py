"""What a pooled vector costs: the metric against bytes, where a run has a ``vector_cost.json``."""

from contextlib import suppress

from poolbench.report.cells import Cell, Table, frame_of
from poolbench.report.controls import dagger_note, marked
from poolbench.report.figures import GREY, SYMBOLS, Figure, Looks, Part, axis, layout, trace
from poolbench.report.summary import Findings, Task
from poolbench.runs.protocol import scaled_name
from poolbench.runs.schema import RecordError
from poolbench.runs.vector_cost import VectorCosts, read_vector_costs
from poolbench.stats.verdict import format_interval

NO_MARK: Part = {"type": "scatter", "mode": "markers", "x": [None], "y": [None]}


def measured(task: Task) -> dict[str, VectorCosts]:
    """Pooler -> the costs of its lowest seed that has any, of the poolers that figures show."""
    found: dict[str, VectorCosts] = {}
    for standing in task.drawn:
        for record in standing.finished:
            with suppress(RecordError):  # named by unusable()
                if costs := read_vector_costs(record):
                    found.setdefault(standing.pooler, costs)
    return found


def unusable(findings: Findings) -> list[str]:
    """Why files are left out, in whole sentences."""
    notes = []
    for record in findings.study.finished:
        try:
            read_vector_costs(record)
        except RecordError as error:
            notes.append(f"{error}: it is left out.")
    return notes


def by_bytes(task: Task, drawn: Looks) -> Figure | None:
    """The metric against bytes: a colour for each pooler, a symbol and a line for each format."""
    costs = measured(task)
    if not costs:
        return None
    every = [c for of in costs.values() for c in of.costs]
    symbols = dict(zip(dict.fromkeys(c.format for c in every), SYMBOLS, strict=False))
    metric = scaled_name(next(iter(costs.values())).metric)
    hover = {"customdata[0]": "format", "customdata[1]": "width", "x": "bytes", "y:.1f": metric}
    traces = []
    for pooler, of in costs.items():
        for name, symbol in symbols.items():
            points = [c for c in of.costs if c.format == name]
            x, y = [c.bytes for c in points], [c.value for c in points]
            found = trace(pooler, drawn, hover, x, y, [[name, c.width] for c in points])
            found |= {"mode": "lines+markers", "showlegend": name == next(iter(symbols))}
            found["line"] = {"color": drawn[pooler]["color"], "width": 1}
            found["marker"]["symbol"] = symbol
            traces.append(found)
    for name, symbol in symbols.items():
        traces.append(NO_MARK | {"name": name, "marker": {"symbol": symbol, "color": GREY}})
    sizes = sorted({c.bytes for c in every})
    ticks: Part = {"type": "log", "tickvals": sizes[:: len(sizes) // 12 + 1]}
    caption = (
        "Quality against the bytes of a pooled vector. Each line is one format at all, 1/2, 1/4 "
        "and 1/8 of the dimensions."
    )
    shown = layout(axis("bytes of a vector", **ticks), axis(metric))
    return Figure("bytes", caption + dagger_note(costs), traces, shown)


def table(task: Task) -> Table:
    """All formats and widths of each pooler, with the difference to its vectors as they are."""
    rows = [
        {
            "pooler": marked(pooler),
            "format": cost.format,
            "width": cost.width,
            "bytes": cost.bytes,
            scaled_name(of.metric): cost.value,
            "difference": cost.difference if cost.interval else None,
            "interval": cost.interval and Cell(format_interval(cost.interval), cost.difference),
        }
        for pooler, of in measured(task).items()
        for cost in of.costs
    ]
    frame = frame_of(rows)
    styles = {"width": ",d", "bytes": ",d", "difference": "+.1f", frame.columns[4]: ".1f"}
    return Table(f"What a vector costs on {task.name}", frame, styles)


def smallest(task: Task, margin: float) -> list[str]:
    """For each pooler the smallest vector within the margin, in a sentence."""
    found = []
    for pooler, costs in measured(task).items():
        text = f"nothing smaller is shown to lose less than {margin:g} points."
        if best := costs.smallest(margin):
            times = costs.costs[0].bytes / best.bytes
            text = (
                f"{best.format} at width {best.width:,} ({best.bytes:,} bytes, {times:.3g} times "
            )
            text += f"smaller) is shown to lose less than {margin:g} points."
        found.append(f"{marked(pooler)}: {text}")
    return found
