"""Figures of what lies behind the scores: epochs, text lengths, classes, tuning."""

from collections.abc import Sequence
from html import escape
from statistics import fmean
from typing import Any

import numpy as np

from poolbench.report.controls import marked, note
from poolbench.report.drawing import Figure, Look, Trace, axis, clipped, rows, short
from poolbench.report.examples import class_f1, length_bins
from poolbench.report.selection import Selection
from poolbench.report.summary import Standing, Task

DRAWN = 8  # more lines than this cannot be told apart, nor their legend read on a phone
MOST_CLASSES = 20
LEGEND = {"orientation": "h", "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom"}


def learning(task: Task, drawn: dict[str, Look]) -> list[Figure]:
    """Validation accuracy and loss by epoch: the mean, and a band over all seeds."""
    kinds = (
        ("val/accuracy", "validation accuracy (%)", 100.0),
        ("val/loss", "validation loss", 1.0),
    )
    return [
        figure
        for key, title, scale in kinds
        if (figure := _learning(task, drawn, key, title, scale)) is not None
    ]


def _learning(
    task: Task, drawn: dict[str, Look], key: str, title: str, scale: float
) -> Figure | None:
    data: list[Trace] = []
    for s in _drawn(task):
        by_epoch: dict[int, list[float]] = {}
        for cell in s.finished:
            for epoch in cell.record.get("history") or ():
                if epoch.get(key) is not None:
                    by_epoch.setdefault(int(epoch["epoch"]), []).append(scale * epoch[key])
        if by_epoch:
            data += _band(s.pooler, dict(sorted(by_epoch.items())), drawn[s.pooler])
    if not data:
        return None
    layout = _lines("epoch", title)
    layout["xaxis"] |= {"dtick": 1 if _longest(data) <= 12 else None}
    caption = (
        f"{title[0].upper()}{title[1:]} by epoch: mean over the seeds still training, and a band "
        "from the lowest to the highest. Training stops early where validation no longer improves."
    ) + _some(task)
    return Figure(f"learning-{key.removeprefix('val/')}", caption, data, layout)


def by_length(task: Task, drawn: dict[str, Look]) -> Figure | None:
    """Accuracy in bins of text length with about equally many test examples."""
    bins = length_bins(task)
    if len(bins) < 2:
        return None
    names = [f"{b.first}-{b.last}<br>n = {len(b.rows)}" for b in bins]
    data = [
        _line(
            s.pooler,
            names,
            [100 * float(s.right[b.rows].mean()) for b in bins],
            drawn[s.pooler],
        )
        for s in _drawn(task)
        if len(s.right) == sum(len(b.rows) for b in bins)
    ]
    layout = _lines("tokens in the text", "accuracy (%)")
    layout["xaxis"] |= {"type": "category"}
    caption = (
        "Accuracy by text length, mean over seeds. Each step is a fifth of the test examples; "
        "differences inside one are descriptive, not tested."
    ) + _some(task)
    return Figure("length", caption, data, layout)


def by_class(task: Task, drawn: dict[str, Look]) -> Figure | None:
    """F1 of each class against the reference, widest spread first."""
    reference = task.against[0].second if task.against else None
    scores = {s.pooler: class_f1(s) for s in _drawn(task)}
    scores = {pooler: f1 for pooler, f1 in scores.items() if len(f1)}
    if reference not in scores or len(scores) < 2 or len({len(f) for f in scores.values()}) > 1:
        return None
    classes = _classes(task, len(scores[reference]))
    apart = {p: 100 * (f1 - scores[reference]) for p, f1 in scores.items() if p != reference}
    spread = np.ptp(np.stack([*apart.values(), 0 * scores[reference]]), axis=0)
    shown = np.argsort(-spread, kind="stable")[:MOST_CLASSES]
    data: list[Trace] = []
    for i, (pooler, values) in enumerate(apart.items()):
        look = drawn[pooler]
        # Poolers stand a little apart on each class, so that equal differences stay visible.
        offset = 0.25 * (2 * i / max(len(apart) - 1, 1) - 1)
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": escape(marked(pooler)),
                "x": [short(float(values[k])) for k in shown],
                "y": [row + offset for row in range(len(shown))],
                "text": [escape(classes[k]) for k in shown],
                "marker": {"color": look.colour, "symbol": look.symbol, "size": 9},
                "hovertemplate": f"{escape(pooler)}, %{{text}}: %{{x:+.2f}} points<extra></extra>",
            }
        )
    layout = rows([classes[k] for k in shown])
    # A phone gives each name of the legend a line of its own.
    layout["height"] += 40 + 20 * len(apart)
    layout["margin"] = layout["margin"] | {"t": 40}
    layout |= {
        "legend": LEGEND,
        "xaxis": axis(f"difference to {escape(reference)} in F1 (points)")
        | {"zeroline": True, "rangemode": "tozero"},
    }
    some = (
        f", the {MOST_CLASSES} classes with the widest spread" if len(classes) > len(shown) else ""
    )
    caption = (
        f"F1 of each class against {reference}, mean over seeds{some}. Descriptive, not tested."
    ) + _some(task)
    return Figure("classes", caption, data, layout)


def sensitivity(task: Task, drawn: dict[str, Look], selection: Selection) -> Figure | None:
    """Validation accuracy of every variant, a line for each pooler; a star marks the taken one."""
    data: list[Trace] = []
    numeric = all(len(v) == 1 and isinstance(v[0], int | float) for v in selection.grid)
    for s in _drawn(task):
        group = task.dataset, task.encoder, s.pooler
        scores = selection.scores[group]
        tried = [values for values in selection.grid if scores[values]]
        x = [v[0] if numeric else clipped("/".join(map(str, v))) for v in tried]
        y = [100 * fmean(scores[values]) for values in tried]
        data.append(_line(s.pooler, x, y, drawn[s.pooler]))
        if selection.taken[group] in tried:
            at = tried.index(selection.taken[group])
            data.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "x": [x[at]],
                    "y": [short(y[at])],
                    "marker": {"symbol": "star", "size": 15, "color": drawn[s.pooler].colour},
                    "legendgroup": escape(s.pooler),
                    "hovertemplate": f"{escape(s.pooler)}: taken at %{{x}}<extra></extra>",
                    "showlegend": False,
                }
            )
    layout = _lines(escape(", ".join(selection.keys)), "validation accuracy (%)")
    positive = numeric and all(v[0] > 0 for v in selection.grid)
    layout["xaxis"] |= {"type": "log" if positive else None if numeric else "category"}
    if numeric:
        layout["xaxis"] |= {"tickvals": [v[0] for v in selection.grid]}
    caption = (
        "Validation accuracy of every variant, mean over seeds. The star is the one compared."
        + _some(task)
    )
    return Figure("sensitivity", caption, data, layout)


def _drawn(task: Task) -> list[Standing]:
    """The best poolers and the reference."""
    reference = task.against[0].second if task.against else None
    scored = [s for s in task.standings if s.scores]
    return [*scored[:DRAWN], *(s for s in scored[DRAWN:] if s.pooler == reference)]


def _some(task: Task) -> str:
    few = len(task.standings) > DRAWN
    told = f" Drawn are the {DRAWN} highest means and the reference." if few else ""
    return told + note(s.pooler for s in _drawn(task))


def _band(pooler: str, by_epoch: dict[int, list[float]], look: Look) -> list[Trace]:
    epochs = [epoch + 1 for epoch in by_epoch]
    low = [short(min(v)) for v in by_epoch.values()]
    high = [short(max(v)) for v in by_epoch.values()]
    shared = {"type": "scatter", "legendgroup": escape(pooler)}
    band = {
        "x": epochs + epochs[::-1],
        "y": high + low[::-1],
        "fill": "toself",
        "mode": "lines",
        "line": {"width": 0, "color": look.colour},
        "opacity": 0.18,
        "fillcolor": look.colour,
        "hoverinfo": "skip",
        "showlegend": False,
    }
    mean = {
        "name": escape(marked(pooler)),
        "x": epochs,
        "y": [short(fmean(v)) for v in by_epoch.values()],
        "customdata": [len(v) for v in by_epoch.values()],
        "mode": "lines+markers",
        "line": {"color": look.colour, "dash": look.dash, "width": 2},
        "marker": {"symbol": look.symbol, "size": 6},
        "hovertemplate": (
            f"{escape(pooler)} epoch %{{x}}: %{{y:.4~g}} (%{{customdata}} seeds)<extra></extra>"
        ),
    }
    return [shared | band, shared | mean]


def _line(pooler: str, x: Sequence[Any], y: Sequence[float], look: Look) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": escape(marked(pooler)),
        "legendgroup": escape(pooler),
        "x": list(x),
        "y": [short(value) for value in y],
        "line": {"color": look.colour, "dash": look.dash, "width": 2},
        "marker": {"symbol": look.symbol, "size": 9},
        "hovertemplate": f"{escape(pooler)}, %{{x}}: %{{y:.2f}} %<extra></extra>",
    }


def _lines(x: str, y: str) -> dict[str, Any]:
    return {
        "height": 400,
        "margin": {"l": 10, "r": 16, "t": 40, "b": 10},
        "legend": LEGEND,
        "xaxis": axis(x),
        "yaxis": axis(y),
    }


def _longest(data: Sequence[Trace]) -> int:
    return max(max(trace["x"]) for trace in data)


def _classes(task: Task, count: int) -> list[str]:
    for s in task.standings:
        for cell in s.finished:
            names = (cell.record.get("data") or {}).get("classes") or []
            if len(names) == count:
                return [str(name) for name in names]
    return [str(k) for k in range(count)]
