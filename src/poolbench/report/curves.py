"""Figures of quality against epochs, text length, tuned settings and costs."""

from collections import defaultdict
from dataclasses import replace
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poolbench.report.controls import control, dagger_note
from poolbench.report.figures import (
    GREY,
    Figure,
    Looks,
    Part,
    axis,
    clipped,
    columns,
    layout,
    some_drawn,
    trace,
)
from poolbench.report.selection import Selection
from poolbench.report.summary import MOST_DRAWN, Task
from poolbench.runs.protocol import scaled_name

LENGTH_BINS = 5
COSTS = {
    "trained_parameters": ("parameters of pooler and head", "~s"),
    "pooler_ms": ("pooler time (ms)", "~g"),
    "inference_time": ("inference time relative to mean on the last layer", "~g"),
}
# A dotted line that explains the others.
DOTTED: Part = {
    "type": "scatter",
    "mode": "lines",
    "line": {"dash": "dot", "color": GREY},
    "hoverinfo": "skip",
    "showlegend": False,
}
Point = tuple[str, Any, float, int]  # pooler, x, y, and the number behind y


def learning(task: Task, drawn: Looks, name: str) -> Figure | None:
    """A validation metric or the loss, by epoch and, if recorded, by seconds of training."""
    title, scale = ("loss", 1) if name == "loss" else (scaled_name(name), 100)
    title, key = f"validation {title}", f"val/{name}"
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    seconds: dict[tuple[str, int], list[float]] = defaultdict(list)
    for s in task.drawn:
        for epoch in (epoch for record in s.finished for epoch in record.history):
            if key in epoch:
                place = s.pooler, int(epoch["epoch"]) + 1
                found[place].append(scale * epoch[key])
                seconds[place].append(epoch.get("seconds", np.nan))
    points = [(*place, float(np.mean(values)), len(values)) for place, values in found.items()]
    caption = (
        f"The {title} by epoch, mean over the seeds still training. Training stops early when "
        "validation no longer improves."
    )
    points.sort(key=lambda point: point[1])
    dtick = 1 if points and points[-1][1] <= 12 else None
    figure = lines(f"learning-{name}", caption, task, drawn, "epoch", title, points, dtick=dtick)
    times = {place: float(np.mean(of)) for place, of in seconds.items()}
    if figure and np.isfinite([*times.values()]).all():
        later = [(pooler, times[pooler, epoch]) for pooler, epoch, *_ in points]
        by_time = [x for (x,) in columns(later).values()]
        figure.layout["updatemenus"] = [_switch(figure, by_time)]
        return replace(figure, caption=f"{figure.caption} Seconds include validation.")
    return figure


def _switch(figure: Figure, seconds: list[list[float]]) -> Part:
    """Buttons that show a figure by epoch or by ``seconds`` of each point of each trace."""
    epochs, texts = ([trace[key] for trace in figure.traces] for key in ("x", "hovertemplate"))
    timed = [text.replace("<br>epoch=", "<br>seconds=") for text in texts]
    by_time = {"xaxis.title.text": "seconds", "xaxis.dtick": None}
    by_epoch = {"xaxis.title.text": "epoch", "xaxis.dtick": figure.layout["xaxis"]["dtick"]}
    shown = {
        "epochs": [{"x": epochs, "hovertemplate": texts}, by_epoch],
        "seconds": [{"x": seconds, "hovertemplate": timed}, by_time],
    }
    buttons = [{"label": k, "method": "update", "args": args} for k, args in shown.items()]
    place = {"x": 1, "xanchor": "right", "y": 0, "yanchor": "top", "pad": {"t": 40}}
    look = {"type": "buttons", "direction": "right", "font": {"size": 11}}
    return {"buttons": buttons} | place | look


def by_length(task: Task, drawn: Looks) -> Figure | None:
    """Accuracy in bins of text length with about equally many test examples."""
    bins = length_bins(task)
    points = [
        (s.pooler, name, 100 * float(s.right[rows].mean()), len(s.finished))
        for s in task.drawn
        for name, rows in bins.items()
        if len(bins) > 1 and len(s.right) == sum(map(len, bins.values()))
    ]
    caption = (
        "Accuracy by text length, mean over seeds. Each step is a fifth of the test examples; "
        "differences within one are descriptive, not tested."
    )
    x, y = "tokens in the text", "accuracy (%)"
    return lines("length", caption, task, drawn, x, y, points, type="category")


def length_bins(task: Task) -> dict[str, NDArray[np.int64]]:
    """Name of a bin of text length -> its test examples; fewer if many texts are equally long."""
    runs = [record for s in task.standings for record in s.finished]
    lengths = np.asarray(next((r.data.test_tokens for r in runs if r.data.test_tokens), []))
    if not len(lengths) or len(lengths) != max(len(s.right) for s in task.standings):
        return {}
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, LENGTH_BINS + 1)[1:-1]))
    place = np.searchsorted(edges, lengths, side="left")
    bins = [np.flatnonzero(place == k) for k in np.unique(place)]
    return {f"{lengths[b].min()}-{lengths[b].max()}<br>n = {len(b)}": b for b in bins}


def sensitivity(task: Task, drawn: Looks, metric: str, selection: Selection) -> Figure | None:
    """The validation metric of every variant by pooler."""
    numeric = all(len(v) == 1 and isinstance(v[0], int | float) for v in selection.grid)
    points = [
        (s.pooler, v[0] if numeric else clipped("/".join(map(str, v))), 100 * mean, len(found))
        for s in task.drawn
        for v, found in selection.scores[task.dataset, task.encoder, s.pooler].items()
        for mean in ([float(np.mean(found))] if found else [])
    ]
    x, y = escape(", ".join(selection.keys)), f"validation {scaled_name(metric)}"
    caption = f"Validation {scaled_name(metric)} of each variant, mean over seeds."
    ticks = sorted(v[0] for v in selection.grid) if numeric else []
    properties: Part = {}
    if ticks:
        properties = {"type": "log" if ticks[0] > 0 else "linear", "tickvals": ticks}
    return lines("sensitivity", caption, task, drawn, x, y, points, **properties)


def against_cost(task: Task, drawn: Looks, metric: str, cost: str) -> Figure | None:
    """The mean metric against one cost, and the Pareto front."""
    found = {s.pooler: (getattr(s, cost), s.mean) for s in task.standings}
    points = {name: (x, y) for name, (x, y) in found.items() if x and y is not None}
    if len(points) < 2:
        return None
    (x, tick_format), y = COSTS[cost], scaled_name(metric)
    offered = {n: p for n, p in points.items() if not control(n)}
    front = {
        name: (a, b)
        for name, (a, b) in sorted(offered.items(), key=lambda item: item[1])
        if not any(c <= a and d >= b and (c, d) != (a, b) for c, d in offered.values())
    }
    # A legend of many poolers would be higher than the figure.
    legend = len(points) <= MOST_DRAWN + 1
    named = set() if legend else {*front, task.reference}
    traces = []
    for pooler, (a, b) in points.items():
        text = clipped(pooler) if pooler in named else ""
        point = trace(pooler, drawn, {}, [a], [b]) | {"mode": "markers+text", "text": [text]}
        point |= {"cliponaxis": False, "textposition": "top center"}
        point["hovertemplate"] = "%{x:,.4~g}, %{y:.2f}"
        point["marker"]["size"] = 11
        traces.append(point)
    ends = {"x": [a for a, _ in front.values()], "y": [b for _, b in front.values()]}
    traces.append(DOTTED | ends)
    # Decades only, or 1, 2, 5: more tick labels would overlap on a phone.
    costs = [a for a, _ in points.values()]
    ratio = max(costs) / min(costs)
    ticks: Part = {"dtick": 1 if ratio > 100 else "D2"} if ratio > 5 else {"nticks": 5}
    x_axis = axis(x, type="log", tickformat=tick_format, **ticks)
    caption = f"Quality against {x}. Up and left is better; the dotted line is the Pareto front."
    caption += "" if legend else " Hover over a marker to see its name."
    shown = layout(x_axis, axis(y), showlegend=legend)
    return Figure(f"cost-{cost}", caption + dagger_note(points), traces, shown)


def lines(
    name: str,
    caption: str,
    task: Task,
    drawn: Looks,
    x: str,
    y: str,
    points: list[Point],
    *,
    count: str = "seeds",
    **properties: Any,
) -> Figure | None:
    """One line for each pooler, with properties of the x axis; None without points."""
    if not points:
        return None
    hover, traces = {"x": x, "y": y, "customdata": count}, []
    for pooler, of in columns(points).items():
        line = {"color": drawn[pooler]["color"], "dash": drawn[pooler]["line_dash"]}
        curve = {"mode": "lines+markers", "line": line}
        traces.append(trace(pooler, drawn, hover, *of) | curve)
    shown = layout(axis(x, **properties), axis(y))
    return Figure(name, caption + some_drawn(task), traces, shown)
