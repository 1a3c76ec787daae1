"""Figures of scores, verdicts and costs."""

from collections.abc import Sequence
from html import escape
from typing import Any

from poolbench.results.across import Across
from poolbench.results.drawing import (
    REFERENCE_COLOUR,
    Figure,
    Look,
    Trace,
    axis,
    clipped,
    rows,
    short,
)
from poolbench.results.findings import Task
from poolbench.results.verdict import METRIC_NAMES, Comparison

LABELLED = 12  # more points than this are named where it matters, and on hover


def every_seed(task: Task, drawn: dict[str, Look], metric: str) -> Figure | None:
    """A dot for each seed and a bar at the mean, one line per pooler."""
    shown = [s for s in task.standings if s.scores]
    if not shown:
        return None
    data = []
    for row, s in enumerate(shown):
        seeds, scores = list(s.scores), list(s.scores.values())
        look = drawn[s.pooler]
        data += [
            _dots(s.pooler, seeds, scores, row, look, "%"),
            _marks([s.mean], [row], look, f"{escape(s.pooler)} mean %{{x:.2f}} %"),
        ]
    layout = rows([s.pooler for s in shown]) | {"xaxis": axis(f"{METRIC_NAMES[metric]} (%)")}
    caption = "Every seed is a dot; the bar is the mean over seeds. Best mean on top."
    return Figure("seeds", caption, data, layout)


def paired_differences(task: Task, drawn: dict[str, Look]) -> Figure | None:
    """Per-seed differences to the reference with the interval, and the margin as a band."""
    shown = [c for c in task.against if c.delta is not None]
    if not shown:
        return None
    data: list[Trace] = []
    for row, c in enumerate(shown):
        look = drawn[c.first]
        data += [
            _interval(c, row, look),
            _dots(c.first, list(c.seeds), list(c.per_seed), row, look, "points"),
        ]
    reference, margin = shown[0].second, shown[0].margin
    layout = rows([c.first for c in shown]) | {
        "xaxis": axis(f"difference to {escape(reference)} (points)"),
        "shapes": _margin_band(margin),
        # As high as the figure beside it, which has the reference too.
        "height": rows([*(c.first for c in shown), reference])["height"],
    }
    return Figure(
        "differences",
        f"Difference to {reference} at each seed (same batches, same test examples). The line is "
        f"the interval of the verdict, the band the margin of {margin:g} points either way.",
        data,
        layout,
    )


def forest(across: Across, drawn: dict[str, Look]) -> Figure | None:
    """One pair of poolers on every dataset and encoder, and the mean over them."""
    cells = [c for c in across.cells if c.delta is not None]
    if not cells:
        return None
    look = drawn[across.first]
    data = [_interval(c, row, look) for row, c in enumerate(cells)]
    names = [f"{c.dataset} x {c.encoder}" for c in cells]
    if across.delta is not None and across.interval is not None:
        hover = f"mean over these datasets {across.delta:+.2f} points"
        mean = _marks([across.delta], [len(cells)], look, hover)
        mean["marker"] |= {"symbol": "diamond-tall", "size": 16}
        mean["error_x"] = _bars(across.delta, across.interval, look.colour)
        data.append(mean)
        names.append("mean over these")
    layout = rows(names) | {
        "xaxis": axis(f"{escape(across.first)} minus {escape(across.second)} (points)"),
        "shapes": _margin_band(cells[0].margin),
    }
    caption = f"{across.first} against {across.second} on every dataset and encoder."
    return Figure(f"forest-{across.first}", caption, data, layout)


def costs(task: Task, drawn: dict[str, Look], metric: str) -> list[Figure]:
    """Quality against each cost that was recorded."""
    better = "Up and left is better; the dotted line joins poolers that none beats on both."
    indicative = "Right is faster, indicative only: a machine that was busy slowed single runs."
    kinds = (
        ("trained_parameters", "parameters of pooler and head", "~s", better),
        ("pooler_ms", "pooler time (ms)", "~g", better),
        ("samples_per_sec", "training speed (examples/s)", "~s", indicative),
    )
    made = (_cost(task, drawn, metric, *kind) for kind in kinds)
    return [figure for figure in made if figure is not None]


def _cost(
    task: Task, drawn: dict[str, Look], metric: str, cost: str, title: str, form: str, remark: str
) -> Figure | None:
    found = [(getattr(s, cost), s.mean, s) for s in task.standings]
    points = [(x, y, s) for x, y, s in found if x is not None and x > 0 and y is not None]
    if len(points) < 2:
        return None
    # What the machine did besides is no bargain: no line through training speeds.
    front = [] if cost == "samples_per_sec" else _front([(x, y) for x, y, _ in points])
    bargains = sorted((points[i] for i in front), key=lambda p: p[0])
    reference = task.against[0].second if task.against else ""
    least, most = min(x for x, _, _ in points), max(x for x, _, _ in points)
    middle = (least * most) ** 0.5
    data: list[Trace] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [x for x, _, _ in bargains],
            "y": [short(y) for _, y, _ in bargains],
            "line": {"dash": "dot", "width": 1.5, "color": REFERENCE_COLOUR},
            "hoverinfo": "skip",
            "showlegend": False,
        }
    ]
    for i, (x, y, s) in enumerate(points):
        look = drawn[s.pooler]
        named = len(points) <= LABELLED or i in front or s.pooler == reference
        data.append(
            {
                "type": "scatter",
                "mode": "markers+text" if named else "markers",
                "x": [short(x)],
                "y": [short(y)],
                "text": [f" {clipped(s.pooler)} "],
                "textposition": "middle right" if x <= middle else "middle left",
                "cliponaxis": False,
                "marker": {"color": look.colour, "symbol": look.symbol, "size": 11},
                "hovertemplate": f"{escape(s.pooler)}: %{{x:,.4~g}}, %{{y:.2f}} %<extra></extra>",
                "showlegend": False,
            }
        )
    layout = {
        "height": 340,
        "xaxis": axis(title)
        | {
            "type": "log",
            "tickformat": form,
            # Decades alone, or 1, 2, 5: more numbers would run into each other on a phone.
            "dtick": 1 if most > 100 * least else "D2",
        },
        "yaxis": axis(f"{METRIC_NAMES[metric]} (%)"),
        "margin": {"l": 10, "r": 24, "t": 16, "b": 10},
    }
    return Figure(f"cost-{cost}", f"Quality against {title}. {remark}", data, layout)


def _front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of points (cost, quality) that no other one matches on both."""
    return [
        i
        for i, (cost, quality) in enumerate(points)
        if not any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q in points)
    ]


def _dots(
    pooler: str, seeds: list[int], values: list[float], row: int, look: Look, unit: str
) -> Trace:
    # Seeds stand a little apart, always in the same way, so that equal values stay visible.
    spread = [0.22 * (2 * i / max(len(seeds) - 1, 1) - 1) for i in range(len(seeds))]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [short(v) for v in values],
        "y": [row + offset for offset in spread],
        "customdata": seeds,
        "marker": {"color": look.colour, "symbol": look.symbol, "size": 8, "opacity": 0.85},
        "hovertemplate": f"{escape(pooler)} seed %{{customdata}}: %{{x:.2f}} {unit}<extra></extra>",
        "showlegend": False,
    }


def _marks(x: list[float | None], y: list[int], look: Look, hover: str) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [None if v is None else short(v) for v in x],
        "y": y,
        "marker": {
            "symbol": "line-ns-open",
            "size": 20,
            "color": look.colour,
            "line": {"width": 3},
        },
        "hovertemplate": f"{hover}<extra></extra>",
        "showlegend": False,
    }


def _interval(c: Comparison, row: int, look: Look) -> Trace:
    delta = c.delta or 0.0
    mark = _marks([delta], [row], look, f"{escape(c.first)} {delta:+.2f} points: {c.word}")
    if c.interval is not None:
        mark["error_x"] = _bars(delta, c.interval, look.colour)
    return mark


def _bars(delta: float, interval: tuple[float, float], colour: str) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [short(interval[1] - delta)],
        "arrayminus": [short(delta - interval[0])],
        "color": colour,
        "thickness": 2.5,
        "width": 5,
    }


def _margin_band(margin: float) -> list[dict[str, Any]]:
    along = {"yref": "paper", "y0": 0, "y1": 1, "layer": "below"}
    band = {"type": "rect", "x0": -margin, "x1": margin, "fillcolor": "rgba(128,128,128,0.22)"}
    zero = {"type": "line", "x0": 0, "x1": 0, "line": {"width": 1, "color": REFERENCE_COLOUR}}
    return [along | band | {"line": {"width": 0}}, along | zero]
