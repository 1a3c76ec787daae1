"""Figures of scores and verdicts."""

from html import escape
from typing import Any

from poolbench.report.controls import marked, note
from poolbench.report.drawing import (
    REFERENCE_COLOUR,
    Figure,
    Look,
    Trace,
    axis,
    rows,
    short,
)
from poolbench.report.summary import Task
from poolbench.stats.across_datasets import Across
from poolbench.stats.verdict import METRIC_NAMES, Comparison


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
    names = [s.pooler for s in shown]
    layout = rows([*map(marked, names)]) | {"xaxis": axis(f"{METRIC_NAMES[metric]} (%)")}
    caption = "Every seed is a dot; the bar is the mean over seeds. Best mean on top." + note(names)
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
    layout = rows([marked(c.first) for c in shown]) | {
        "xaxis": axis(f"difference to {escape(reference)} (points)"),
        "shapes": _margin_band(margin),
        # As high as the figure beside it, which has the reference too.
        "height": rows([*(c.first for c in shown), reference])["height"],
    }
    return Figure(
        "differences",
        f"Difference to {reference} at each seed (same batches, same test examples). The line is "
        f"the interval of the verdict, the band the margin of {margin:g} points either way."
        + note(c.first for c in shown),
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
