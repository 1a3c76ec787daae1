"""Figures of the stored predictions: by class, confusion, calibration and ROC.

**n** test examples, **C** classes.
"""

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from poolbench.report.controls import dagger_note, marked
from poolbench.report.curves import DOTTED, Point, lines
from poolbench.report.figures import (
    COLOURS,
    Figure,
    Looks,
    Part,
    axis,
    clipped,
    columns,
    heatmap,
    layout,
    on_lines,
    shortened,
    some_drawn,
    spread,
    trace,
)
from poolbench.report.summary import Standing, Task
from poolbench.runs.predictions import Predictions

MOST_CLASSES = 20  # in the figure by class
MOST_CELLS = 30  # classes in a confusion matrix
WITH_NUMBERS = 10  # classes of a confusion matrix that has room for numbers
BINS = 15  # of confidence, as in Guo et al. (2017)
FEWEST = 10  # predictions in a bin that is drawn


def by_class(task: Task, drawn: Looks) -> Figure | None:
    """F1 of each class, widest spread over the poolers first."""
    f1 = {
        s.pooler: 100 * np.mean([r.test_details["f1"] for r in s.finished], axis=0)  # (C,)
        for s in task.drawn
        if all("f1" in r.test_details for r in s.finished)
    }
    if not f1 or len({len(found) for found in f1.values()}) > 1:
        return None
    classes = task.standing(next(iter(f1))).finished[0].data.classes
    shown = np.argsort(-np.ptp([*f1.values()], axis=0), kind="stable")[:MOST_CLASSES]
    points = [
        (pooler, values[k], line + offset, escape(classes[k]))
        for offset, (pooler, values) in zip(spread(len(f1)), f1.items(), strict=True)
        for line, k in enumerate(shown)
    ]
    hover = {"x": "F1 (%)", "customdata": "class"}
    traces = [trace(pooler, drawn, hover, *of) for pooler, of in columns(points).items()]
    y_axis, more = on_lines([classes[k] for k in shown])
    # A phone gives each name of the legend a line of its own.
    more["height"] += 20 * len(f1)
    some = f", the {MOST_CLASSES} with the widest spread" if len(classes) > len(shown) else ""
    caption = f"F1 of each class, mean over seeds{some}. Descriptive, not tested."
    drawing = layout(axis("F1 (%)"), y_axis, **more)
    return Figure("classes", caption + some_drawn(task), traces, drawing)


def confusion(task: Task) -> Figure | None:
    """The errors of the pooler that the answer names: as a matrix, or the most frequent ones."""
    scored = [s for s in (*task.cheapest, *task.standings) if len(s.right)]
    if not scored or len({tuple(r.data.classes) for r in scored[0].finished}) > 1:
        return None
    runs, classes = scored[0].finished, scored[0].finished[0].data.classes
    counts = np.zeros((len(classes), len(classes)))  # (C, C): true class, predicted class
    for of in (record.predictions for record in runs):
        np.add.at(counts, (of.targets, of.predicted), 1 / len(runs))
    kind = _pairs if len(classes) > MOST_CELLS else _matrix
    return kind(counts, classes, scored[0])


def _matrix(counts: NDArray[Any], classes: list[str], of: Standing) -> Figure:
    share = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1e-9)
    names, places = [clipped(name, 16) for name in classes], list(range(len(classes)))
    hover = "%{y} as %{x}: %{z:.1f} %, %{customdata:.1f} examples"
    cells = heatmap(share.tolist(), counts.tolist(), hover)
    cells |= {"x": places, "y": places, "zmin": 0, "zmax": 100}
    cells["texttemplate"] = "%{z:.0f}" if len(classes) <= WITH_NUMBERS else ""
    ticks = {"tickvals": places, "ticktext": names, "showgrid": False}
    x_axis = axis("predicted class", tickangle=-90 if len(classes) > 2 else 0, **ticks)
    y_axis = axis("true class", autorange="reversed", **ticks)
    height = 240 + max(18, 44 - 2 * len(classes)) * len(classes)
    caption = f"Predictions of {marked(of.pooler)} in percent of each true class, mean over seeds."
    shown = layout(x_axis, y_axis, height=height)
    return Figure("confusion", caption + dagger_note([of.pooler]), [cells], shown)


def _pairs(counts: NDArray[Any], classes: list[str], of: Standing) -> Figure | None:
    errors = counts * (1 - np.eye(len(classes)))
    most = [divmod(int(k), len(classes)) for k in np.argsort(-errors, axis=None, kind="stable")]
    most = [place for place in most[:MOST_CLASSES] if errors[place] > 0]
    if not most:
        return None
    names = [" → ".join(shortened(classes[k], 16) for k in place) for place in most]
    found = [errors[place] for place in most]
    whole = [escape(" as ".join(classes[k] for k in place)) for place in most]
    bars: Part = {"type": "bar", "x": found, "y": list(range(len(found))), "orientation": "h"}
    bars |= {"marker": {"color": COLOURS[0]}, "customdata": whole}
    bars["hovertemplate"] = "%{customdata}: %{x:.1f}<extra></extra>"
    y_axis, more = on_lines(names, most=35)
    caption = (
        f"Most frequent errors of {marked(of.pooler)}: true class → predicted class, mean number "
        "of test examples over seeds."
    )
    shown = layout(axis("errors per run"), y_axis, **more)
    return Figure("confusion", caption + dagger_note([of.pooler]), [bars], shown)


def calibration(task: Task, drawn: Looks) -> Figure | None:
    """How often predictions are right by their probability, and the expected error."""
    points: list[Point] = []
    errors = {}
    for s in _with_logits(task):
        found = [reliability(record.predictions) for record in s.finished]
        errors[s.pooler] = 100 * float(np.mean([e for _, e in found]))
        total = np.sum([bins for bins, _ in found], axis=0)  # (BINS, 3)
        for number, confidence, right in total[total[:, 0] >= FEWEST]:
            row = (s.pooler, 100 * confidence / number, 100 * right / number, int(number))
            points.append(row)
    caption = (
        "Share of right predictions by their probability, over all seeds; on the dotted line both "
        f"are equal. Expected calibration error: {_listed(errors, '{:.1f} %')}."
    )
    x, y = "probability of the predicted class (%)", "right predictions (%)"
    figure = lines("calibration", caption, task, drawn, x, y, points, count="predictions")
    return figure and _diagonal(figure, [min(p[1] for p in points), 100])


def reliability(of: Predictions) -> tuple[NDArray[Any], float]:
    """Number, sum of probabilities and right predictions by bin (BINS, 3), and the mean gap.

    The gap is the expected calibration error of Guo et al. (2017).
    """
    chosen = special.softmax(of.outputs.astype(np.float64), axis=-1)  # (n, C)
    confidence = chosen.max(axis=1)
    place = np.minimum((BINS * confidence).astype(int), BINS - 1)
    parts = [np.ones(len(place)), confidence, of.predicted == of.targets]
    bins = np.stack([np.bincount(place, part, BINS) for part in parts], axis=1)
    return bins, float(np.abs(bins[:, 1] - bins[:, 2]).sum() / len(place))


def roc(task: Task, drawn: Looks) -> Figure | None:
    """True against false positives of two classes, and the area under the curve."""
    grid, points, areas = np.linspace(0, 1, 101), [], {}
    for s in _with_logits(task):
        curves = [c for r in s.finished if (c := roc_curve(r.predictions)) is not None]
        if curves:
            mean = 100 * np.mean([np.interp(grid, *curve) for curve in curves], axis=0)
            points += [(s.pooler, 100 * x, y, len(curves)) for x, y in zip(grid, mean, strict=True)]
            areas[s.pooler] = float(np.mean([np.trapezoid(y, x) for x, y in curves]))
    classes = [name for r in task.finished[:1] for name in r.data.classes[-1:]]
    caption = (
        f"ROC curve of the class {''.join(classes)}, mean over seeds. Area under the curve: "
        f"{_listed(areas, '{:.3f}')}."
    )
    x, y = "false positives (%)", "true positives (%)"
    figure = lines("roc", caption, task, drawn, x, y, points)
    for curve in figure.traces if figure else []:
        curve["mode"] = "lines"
    return figure and _diagonal(figure, [0, 100])


def roc_curve(of: Predictions) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Shares of false and of true positives at every threshold; None unless two classes occur."""
    positive = of.targets == 1
    if of.outputs.shape[1] != 2 or positive.all() or not positive.any():
        return None
    score = of.outputs[:, 1] - of.outputs[:, 0]
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)  # equal scores together
    shares = [np.cumsum(part[order])[ends] / part.sum() for part in (~positive, positive)]
    return np.append(0, shares[0]), np.append(0, shares[1])


def _with_logits(task: Task) -> list[Standing]:
    return [
        s
        for s in task.drawn
        if len(s.right) and all(np.isfinite(r.predictions.outputs).all() for r in s.finished)
    ]


def _listed(values: Mapping[str, float], style: str) -> str:
    return ", ".join(f"{marked(name)} {style.format(value)}" for name, value in values.items())


def _diagonal(figure: Figure, ends: list[float]) -> Figure:
    figure.traces.append(DOTTED | {"x": ends, "y": ends, "line": DOTTED["line"] | {"width": 1}})
    return figure
