"""Figures of a report, as traces and layouts of plotly.

The page sets the colours of light and dark mode. Names are escaped, since plotly reads a part of
HTML in its texts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup
from plotly.io.json import to_json_plotly

from poolbench.report.controls import control, dagger_note, marked
from poolbench.report.summary import MOST_DRAWN, Task
from poolbench.runs.protocol import scaled_name
from poolbench.stats.across_datasets import Across

# Okabe and Ito (2008), without yellow and black, which vanish on one of the two backgrounds.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7")
GREY = "#808080"
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")
DASHES = ("solid", "dash", "dot", "dashdot")
# Each trace is a group of its own: names have the width they need, not that of the longest.
LEGEND = {"orientation": "h", "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom"}
LEGEND |= {"tracegroupgap": 0}
MARGIN = {"l": 10, "r": 20, "t": 40, "b": 10}
# The darker, the better; as in the tables.
SHADES = [[0, "rgba(0,114,178,0)"], [1, "rgba(0,114,178,.6)"]]
Looks = dict[str, dict[str, str]]  # colour, symbol and dash of each pooler
# Pooler, name of the line, value, its interval, and the values by seed.
Row = tuple[str, str, float, tuple[float, float] | None, Mapping[int, float]]


Part = dict[str, Any]  # properties of a trace, an axis or a layout


@dataclass(frozen=True)
class Figure:
    """One figure: ``name`` is its anchor, ``caption`` describes it in a sentence."""

    name: str
    caption: str
    traces: list[Part]
    layout: Part

    @cached_property
    def plot(self) -> go.Figure:
        """The figure with all properties checked, which takes 20 times as long as to make it."""
        # The default template would repeat 7 kB in every figure.
        return go.Figure(self.traces, self.layout | {"template": go.layout.Template()})

    @property
    def json(self) -> Markup:
        """The figure for a script element, which nothing in it can end."""
        found = to_json_plotly({"data": self.traces, "layout": self.layout})
        return Markup(found.replace("<", "\\u003c"))


def looks(poolers: Iterable[str], reference: str) -> Looks:
    """The look of each pooler in all figures: the reference is grey, controls are open symbols."""
    found = {reference: {"color": GREY, "symbol": "circle", "line_dash": "solid"}}
    for i, name in enumerate(sorted(set(poolers) - {reference})):
        symbol = SYMBOLS[(i + 1) % len(SYMBOLS)] + "-open" * bool(control(name))
        dash = DASHES[i // len(COLOURS) % len(DASHES)]
        found[name] = {"color": COLOURS[i % len(COLOURS)], "symbol": symbol, "line_dash": dash}
    return found


def columns(points: Iterable[tuple[str, *tuple[Any, ...]]]) -> dict[str, list[list[Any]]]:
    """Columns of the points of each pooler, by name; a point is a pooler and its values."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for pooler, *values in points:
        found.setdefault(pooler, []).append(tuple(values))
    return {name: [list(c) for c in zip(*rows, strict=True)] for name, rows in found.items()}


def trace(
    pooler: str, drawn: Looks, hover: Mapping[str, str], x: Any, y: Any, more: Any = None
) -> Part:
    """The markers of one pooler; ``hover`` names the values that are shown: {"x": "epoch"}."""
    name, look = marked(pooler), drawn[pooler]
    shown = [f"{title}=%{{{value}}}" for value, title in hover.items()]
    template = "<br>".join([f"pooler={escape(name)}", *shown]) + "<extra></extra>"
    found: Part = {"type": "scatter", "mode": "markers", "x": x, "y": y}
    found |= {"name": clipped(name), "legendgroup": escape(name), "showlegend": True}
    found["hovertemplate"] = template
    found["marker"] = {"color": look["color"], "symbol": look["symbol"], "size": 9}
    return found if more is None else found | {"customdata": more}


def axis(title: str, **properties: Any) -> Part:
    """An axis as all figures have it."""
    text = {"text": title, "standoff": 8, "font": {"size": 13}}
    return {"title": text, "automargin": True, "zeroline": False} | properties


def layout(x: Part, y: Part, **properties: Any) -> Part:
    """A layout with the margins and the legend that all figures have."""
    whole = {"margin": MARGIN, "legend": LEGEND, "height": 400}
    return {"xaxis": x, "yaxis": y} | whole | properties


def heatmap(values: Any, customdata: Any, hover: str) -> Part:
    """The cells of a matrix in shades, without a scale."""
    cells: Part = {"type": "heatmap", "colorscale": SHADES, "showscale": False, "z": values}
    cells |= {"customdata": customdata, "hovertemplate": f"{hover}<extra></extra>"}
    return cells | {"xgap": 2, "ygap": 2}


def shortened(name: str, most: int = 24) -> str:
    """A name without its middle, where names differ least, if it is too long for a figure."""
    end = most // 2 - 1
    return name if len(name) <= most else f"{name[: most - 1 - end]}…{name[-end:]}"


def clipped(name: str, most: int = 24) -> str:
    """A name as a figure shows it: escaped, and short enough to leave room for the figure."""
    return escape(shortened(name, most))


def some_drawn(task: Task) -> str:
    """Ends the caption of a figure that does not show all poolers."""
    some = len(task.standings) > MOST_DRAWN
    text = f" Shown are the {MOST_DRAWN} highest means and the reference." if some else ""
    return text + dagger_note(s.pooler for s in task.drawn)


def every_seed(task: Task, drawn: Looks, metric: str) -> Figure | None:
    """The metric at each seed and its mean, one line per pooler."""
    rows: list[Row] = [
        (s.pooler, marked(s.pooler), s.mean, None, s.scores)
        for s in task.standings
        if s.mean is not None
    ]
    caption = "Each dot is one seed, each bar the mean over seeds; the highest mean is at the top."
    caption += dagger_note(s.pooler for s in task.standings)
    return _rows_figure("seeds", caption, rows, drawn, scaled_name(metric))


def differences(task: Task, drawn: Looks) -> Figure | None:
    """Differences to the reference at each seed, with the interval of the verdict."""
    rows: list[Row] = [
        (c.first, marked(c.first), c.delta, c.interval, by_seed if c.trained else {})
        for c in task.against
        for by_seed in [dict(zip(c.seeds, c.per_seed, strict=True))]
        if c.delta is not None
    ]
    margin = task.against[0].margin if task.against else 0.0
    seeds = " at each seed (same batches, same test examples)" if task.trained else ""
    caption = (
        f"Difference to {task.reference}{seeds}. Lines "
        f"are the intervals of the verdicts, the band is the margin of ±{margin:g} points."
        f"{dagger_note(row[0] for row in rows)}"
    )
    title = f"difference to {clipped(task.reference)} (points)"
    return _rows_figure("differences", caption, rows, drawn, title, margin)


def forests(compared: Sequence[Across], drawn: Looks) -> list[Figure]:
    """The comparisons over all tasks with the highest mean differences, on one common axis."""
    found = [figure for a in compared[:MOST_DRAWN] if (figure := _forest(a, drawn))]
    tasks = [c for a in compared[:MOST_DRAWN] for c in a.tasks if c.delta is not None]
    ends = [end for c in tasks for end in (c.delta, -c.margin, c.margin, *(c.interval or ()))]
    for figure in found:
        room = 0.04 * (max(ends) - min(ends))
        figure.layout["xaxis"]["range"] = [min(ends) - room, max(ends) + room]
    return found


def _forest(across: Across, drawn: Looks) -> Figure | None:
    rows: list[Row] = [
        (c.first, f"{c.dataset} × {c.encoder}", c.delta, c.interval, {})
        for c in across.tasks
        if c.delta is not None
    ]
    if across.delta is not None:
        rows.append((across.first, "mean over these", across.delta, across.interval, {}))
    caption = f"{across.first} compared with {across.second} on each task."
    title = f"difference to {clipped(across.second)} (points)"
    name, margin = f"forest-{across.first}", across.tasks[0].margin
    return _rows_figure(name, caption, rows, drawn, title, margin)


def _rows_figure(
    name: str,
    caption: str,
    rows: Sequence[Row],
    drawn: Looks,
    title: str,
    margin: float | None = None,
) -> Figure | None:
    """One line for each row: a bar at its value, its interval, and a dot for each seed."""
    if not rows:
        return None
    means, seeds = [], []
    for at, (pooler, _, value, interval, by_seed) in enumerate(rows):
        low, high = interval or (value, value)
        means.append((pooler, value, at, value - low, high - value))
        for offset, (seed, found) in zip(spread(len(by_seed)), by_seed.items(), strict=True):
            seeds.append((pooler, found, at + offset, seed))
    traces = []
    for pooler, (x, y, below, above) in columns(means).items():
        bar = trace(pooler, drawn, {"x": title}, x, y)
        bar["marker"] |= {"symbol": "line-ns-open", "size": 20, "line": {"width": 3}}
        if any(row[3] for row in rows):
            bar["error_x"] = {"array": above, "arrayminus": below}
        traces.append(bar)
    hover = {"x": title, "customdata": "seed"}
    traces += [trace(pooler, drawn, hover, *of) for pooler, of in columns(seeds).items()]
    x_axis, y_axis, more = axis(title, tickangle=0, nticks=5), *on_lines([r[1] for r in rows])
    if margin is not None:
        more |= {"shapes": _band(margin)}
    more |= {"showlegend": False, "margin": MARGIN | {"t": 12}}
    return Figure(name, caption, traces, layout(x_axis, y_axis, **more))


def spread(count: int) -> list[float]:
    """Offsets of points within their line, in a fixed order, so that equal values stay visible."""
    return [0.22 * (2 * i / max(count - 1, 1) - 1) for i in range(count)]


def on_lines(names: Sequence[str], most: int = 24) -> tuple[Part, Part]:
    """The y axis of a figure with named lines, the first at the top, and its height."""
    texts = [f"{clipped(name, most)} " for name in names]
    ticks = {"tickvals": list(range(len(names))), "ticktext": texts}
    y = axis("", range=[len(names) - 0.5, -0.5], showgrid=False, **ticks)
    return y, {"height": 100 + 34 * len(names)}


def _band(margin: float) -> list[Part]:
    """The margin around 0, and 0."""
    whole = {"xref": "x", "yref": "y domain", "y0": 0, "y1": 1, "layer": "below"}
    band = {"type": "rect", "x0": -margin, "x1": margin, "fillcolor": GREY, "opacity": 0.22}
    zero = {"type": "line", "x0": 0, "x1": 0, "line": {"color": GREY, "width": 1}}
    return [whole | band | {"line": {"width": 0}}, whole | zero]
