"""Figures of a report, drawn from data frames in long form with plotly express.

The page sets the colours of light and dark mode. Names are escaped, since plotly reads a part of
HTML in its texts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
from markupsafe import Markup

from poolbench.report.summary import MOST_DRAWN, Task, control, dagger_note, marked
from poolbench.stats.across_datasets import Across
from poolbench.stats.verdict import METRIC_NAMES

# Okabe and Ito (2008), without yellow and black, which vanish on one of the two backgrounds.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7")
GREY = "#808080"
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")
DASHES = ("solid", "dash", "dot", "dashdot")
LEGEND = {"orientation": "h", "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom", "title": ""}
MOST_CLASSES = 20
Looks = dict[str, dict[str, str]]  # colour, symbol and dash of each pooler
# Pooler, name of the line, value, its interval, and the values by seed.
Row = tuple[str, str, float, tuple[float, float] | None, Mapping[int, float]]


@dataclass(frozen=True)
class Figure:
    """One figure: ``name`` is its anchor, ``caption`` describes it in a sentence."""

    name: str
    caption: str
    plot: go.Figure

    @property
    def json(self) -> Markup:
        """The figure for a script element, which nothing in it can end."""
        return Markup(self.plot.to_json().replace("<", "\\u003c"))


def looks(poolers: Iterable[str], reference: str) -> Looks:
    """The look of each pooler in all figures: the reference is grey, controls are open symbols."""
    found = {reference: {"color": GREY, "symbol": "circle", "line_dash": "solid"}}
    for i, name in enumerate(sorted(set(poolers) - {reference})):
        symbol = SYMBOLS[(i + 1) % len(SYMBOLS)] + "-open" * bool(control(name))
        dash = DASHES[i // len(COLOURS) % len(DASHES)]
        found[name] = {"color": COLOURS[i % len(COLOURS)], "symbol": symbol, "line_dash": dash}
    return found


def draw(kind: Any, frame: pd.DataFrame, drawn: Looks, **how: Any) -> go.Figure:
    """A plotly express figure of a frame with a column ``pooler``, in the look of each pooler."""
    frame = frame.assign(pooler=frame["pooler"].map(lambda n: escape(marked(n))))
    properties = ("color", "symbol", "line_dash") if kind is px.line else ("color", "symbol")
    for key in properties:
        name = f"{key}_discrete_map" if key == "color" else f"{key}_map"
        how |= {key: "pooler", name: {escape(marked(n)): of[key] for n, of in drawn.items()}}
    # The default template would repeat 7 kB in every figure.
    plot = kind(frame, template=go.layout.Template(), **how)
    plot.update_traces(marker_size=9)
    axes = {"title_standoff": 8, "title_font_size": 13, "automargin": True, "zeroline": False}
    plot.update_xaxes(**axes).update_yaxes(**axes)
    plot.update_layout(margin={"l": 10, "r": 20, "t": 40, "b": 10}, legend=LEGEND, height=400)
    return plot


def clipped(name: str) -> str:
    """A name as a figure shows it: escaped, and short enough to leave room for the figure."""
    return escape(name if len(name) <= 24 else f"{name[:23]}…")


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
    caption = "Every seed is a dot; the bar is the mean over seeds. Best mean at the top."
    caption += dagger_note(s.pooler for s in task.standings)
    return _rows_figure("seeds", caption, rows, drawn, f"{METRIC_NAMES[metric]} (%)")


def differences(task: Task, drawn: Looks) -> Figure | None:
    """Differences to the reference at each seed, with the interval of the verdict."""
    rows: list[Row] = [
        (c.first, marked(c.first), c.delta, c.interval, dict(zip(c.seeds, c.per_seed, strict=True)))
        for c in task.against
        if c.delta is not None
    ]
    margin = task.against[0].margin if task.against else 0.0
    caption = (
        f"Difference to {task.reference} at each seed (same batches, same test examples). The line "
        f"is the interval of the verdict, the band the margin of ±{margin:g} points."
        f"{dagger_note(row[0] for row in rows)}"
    )
    title = f"difference to {escape(task.reference)} (points)"
    return _rows_figure("differences", caption, rows, drawn, title, margin)


def forest(across: Across, drawn: Looks) -> Figure | None:
    """One pair of poolers on every dataset and encoder, and the mean over them."""
    rows: list[Row] = [
        (c.first, f"{c.dataset} × {c.encoder}", c.delta, c.interval, {})
        for c in across.tasks
        if c.delta is not None
    ]
    if across.delta is not None:
        rows.append((across.first, "mean over these", across.delta, across.interval, {}))
    caption = f"{across.first} against {across.second} on every dataset and encoder."
    title = f"{escape(across.first)} minus {escape(across.second)} (points)"
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
        means.append((pooler, at, value, value - low, high - value))
        for offset, (seed, found) in zip(spread(len(by_seed)), by_seed.items(), strict=True):
            seeds.append((pooler, at + offset, found, seed))
    frame = pd.DataFrame(means, columns=["pooler", "line", title, "below", "above"])
    how: dict[str, Any] = {"x": title, "y": "line", "hover_data": {"line": False}}
    errors = {"error_x": "above", "error_x_minus": "below"} if any(row[3] for row in rows) else {}
    plot = draw(px.scatter, frame, drawn, **how, **errors)
    plot.update_traces(marker={"symbol": "line-ns-open", "size": 20, "line_width": 3})
    if seeds:
        frame = pd.DataFrame(seeds, columns=["pooler", "line", title, "seed"])
        how["hover_data"] = {"seed": True, "line": False}
        plot.add_traces(draw(px.scatter, frame, drawn, **how).data)
    plot.update_layout(showlegend=False, margin_t=12)
    return Figure(name, caption, _on_lines(plot, [row[1] for row in rows], margin))


def by_class(task: Task, drawn: Looks) -> Figure | None:
    """F1 of each class against the reference, widest spread first."""
    f1 = {
        s.pooler: 100 * np.mean([r.test_details["f1"] for r in s.finished], axis=0)  # (C,)
        for s in task.drawn
        if all("f1" in r.test_details for r in s.finished)
    }
    if task.reference not in f1 or len(f1) < 2 or len({len(found) for found in f1.values()}) > 1:
        return None
    classes = task.standing(task.reference).finished[0].data.classes
    shown = np.argsort(-np.ptp([*f1.values()], axis=0), kind="stable")[:MOST_CLASSES]
    reference = f1.pop(task.reference)
    title = f"difference to {escape(task.reference)} in F1 (points)"
    points = [
        (pooler, line + offset, values[k] - reference[k], escape(classes[k]))
        for offset, (pooler, values) in zip(spread(len(f1)), f1.items(), strict=True)
        for line, k in enumerate(shown)
    ]
    frame = pd.DataFrame(points, columns=["pooler", "line", title, "class"])
    hover = {"class": True, "line": False}
    plot = draw(px.scatter, frame, drawn, x=title, y="line", hover_data=hover)
    _on_lines(plot, [classes[k] for k in shown], 0.0)
    # A phone gives each name of the legend a line of its own.
    plot.update_layout(height=plot.layout.height + 20 * len(f1))
    some = f", the {MOST_CLASSES} with the widest spread" if len(classes) > len(shown) else ""
    caption = f"F1 of each class against {task.reference}, mean over seeds{some}."
    return Figure("classes", f"{caption} Descriptive, not tested.{some_drawn(task)}", plot)


def spread(count: int) -> list[float]:
    """Offsets of points within their line, in a fixed order, so that equal values stay visible."""
    return [0.22 * (2 * i / max(count - 1, 1) - 1) for i in range(count)]


def _on_lines(plot: go.Figure, names: Sequence[str], margin: float | None) -> go.Figure:
    """Name the lines of a figure, the first at the top, and draw a margin around 0."""
    ticks = {"tickvals": list(range(len(names))), "ticktext": [f"{clipped(n)} " for n in names]}
    plot.update_yaxes(range=[len(names) - 0.5, -0.5], showgrid=False, title="", **ticks)
    if margin is not None:
        plot.add_vrect(-margin, margin, fillcolor=GREY, opacity=0.22, line_width=0, layer="below")
        plot.add_vline(0, line_color=GREY, line_width=1, layer="below")
    return plot.update_layout(height=100 + 34 * len(names))
