"""Figures of a report, drawn from data frames in long form with plotly express.

The page sets the colours of light and dark mode. Names are escaped, since plotly reads a part of
HTML in its texts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
from markupsafe import Markup

from poolbench.report.summary import MOST_DRAWN, Task, control, dagger_note, marked
from poolbench.runs.protocol import METRIC_NAMES
from poolbench.stats.across_datasets import Across

# Okabe and Ito (2008), without yellow and black, which vanish on one of the two backgrounds.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7")
GREY = "#808080"
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")
DASHES = ("solid", "dash", "dot", "dashdot")
LEGEND = {"orientation": "h", "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom", "title": ""}
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
    short = {escape(marked(name)): clipped(marked(name)) for name in drawn}
    plot.for_each_trace(lambda trace: trace.update(name=short.get(trace.name, trace.name)))
    return laid_out(plot)


def laid_out(plot: go.Figure) -> go.Figure:
    """The figure with the margins, axes and legend that all figures have."""
    axes = {"title_standoff": 8, "title_font_size": 13, "automargin": True, "zeroline": False}
    plot.update_xaxes(**axes).update_yaxes(**axes)
    margin = {"l": 10, "r": 20, "t": 40, "b": 10}
    return plot.update_layout(margin=margin, legend=LEGEND, height=400)


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
        f"Difference to {task.reference} at each seed (same batches, same test examples). Lines "
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
        figure.plot.update_xaxes(range=[min(ends) - room, max(ends) + room])
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
    plot.update_layout(showlegend=False, margin_t=12).update_xaxes(tickangle=0, nticks=5)
    return Figure(name, caption, on_lines(plot, [row[1] for row in rows], margin))


def spread(count: int) -> list[float]:
    """Offsets of points within their line, in a fixed order, so that equal values stay visible."""
    return [0.22 * (2 * i / max(count - 1, 1) - 1) for i in range(count)]


def on_lines(
    plot: go.Figure, names: Sequence[str], margin: float | None = None, most: int = 24
) -> go.Figure:
    """Name the lines of a figure, the first at the top, and draw a margin around 0."""
    texts = [f"{clipped(name, most)} " for name in names]
    ticks = {"tickvals": list(range(len(names))), "ticktext": texts}
    plot.update_yaxes(range=[len(names) - 0.5, -0.5], showgrid=False, title="", **ticks)
    if margin is not None:
        plot.add_vrect(-margin, margin, fillcolor=GREY, opacity=0.22, line_width=0, layer="below")
        plot.add_vline(0, line_color=GREY, line_width=1, layer="below")
    return plot.update_layout(height=100 + 34 * len(names))
