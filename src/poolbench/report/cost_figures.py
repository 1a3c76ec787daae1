"""Figures of quality against cost."""

from collections.abc import Sequence
from html import escape
from math import log10

from poolbench.report.controls import control, marked, note
from poolbench.report.drawing import (
    REFERENCE_COLOUR,
    Figure,
    Look,
    Trace,
    axis,
    clipped,
    short,
)
from poolbench.report.summary import Standing, Task
from poolbench.stats.verdict import METRIC_NAMES

Point = tuple[float, float, Standing]  # cost, quality, whose
LABELLED = 12  # more points than this are named where it matters, and on hover


def costs(task: Task, drawn: dict[str, Look], metric: str) -> list[Figure]:
    """Quality against each cost that is known."""
    better = "Up and left is better; the dotted line joins poolers that none beats on both."
    indicative = "Right is faster, indicative only: a machine that was busy slowed single runs."
    kinds = (
        ("trained_parameters", "parameters of pooler and head", "~s", better),
        ("pooler_ms", "pooler time, forward and backward (ms)", "~g", better),
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
    # A control is no bargain either: nobody may have it.
    offered = [] if cost == "samples_per_sec" else [p for p in points if not control(p[2].pooler)]
    bargains = _front(offered)
    reference = task.against[0].second if task.against else ""
    least, most = min(x for x, _, _ in points), max(x for x, _, _ in points)
    crowded = len(points) > LABELLED
    foremost = [p for p in points if p in bargains or p[2].pooler == reference]
    sides = _sides(points, foremost if crowded else [*foremost, *points])
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
    for x, y, s in points:
        look = drawn[s.pooler]
        data.append(
            {
                "type": "scatter",
                "mode": "markers+text" if s.pooler in sides else "markers",
                "x": [short(x)],
                "y": [short(y)],
                "text": [f" {clipped(marked(s.pooler))} "],
                "textposition": sides.get(s.pooler),
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
    if len(sides) < len(points):
        remark += " Not all have room for their name: touch a point to read it."
    remark += note(s.pooler for _, _, s in points)
    return Figure(f"cost-{cost}", f"Quality against {title}. {remark}", data, layout)


def _front(points: Sequence[Point]) -> list[Point]:
    """Points that no other one matches on both cost and quality, cheapest first."""
    best = [
        (cost, quality, s)
        for cost, quality, s in points
        if not any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q, _ in points)
    ]
    return sorted(best, key=lambda point: point[0])


def _sides(points: Sequence[Point], named: Sequence[Point]) -> dict[str, str]:
    """On which side of its point a name stands, covering no other one and no point.

    The first named choose first; one that finds no room is left out. Lengths are in parts of the
    figure, with letters as wide as they are on a small screen.
    """
    places = _places(points)
    taken = [(x - 0.02, x + 0.02, y - 0.03, y + 0.03) for x, y in places.values()]
    sides: dict[str, str] = {}
    for _, _, s in named:
        if s.pooler in sides:
            continue
        x, y = places[s.pooler]
        width = 0.02 * (len(marked(s.pooler)) + 1)
        right, left = (x + 0.03, x + 0.03 + width), (x - 0.03 - width, x - 0.03)
        middle = (x - width / 2, x + width / 2)
        level, above, below = (y - 0.03, y + 0.03), (y + 0.04, y + 0.1), (y - 0.1, y - 0.04)
        boxes = {
            "middle right": right + level,
            "middle left": left + level,
            "top center": middle + above,
            "bottom center": middle + below,
            "top right": right + above,
            "bottom right": right + below,
            "top left": left + above,
            "bottom left": left + below,
        }
        free = [
            side
            for side, box in boxes.items()
            if box[0] > -0.05 and box[1] < 1.05 and not any(_overlap(box, other) for other in taken)
        ]
        if free:
            sides[s.pooler] = free[0]
            taken.append(boxes[free[0]])
    return sides


def _places(points: Sequence[Point]) -> dict[str, tuple[float, float]]:
    """Where points lie, as parts of the figure from left to right and from the bottom up."""
    x = [log10(cost) for cost, _, _ in points]
    y = [quality for _, quality, _ in points]
    wide, high = (max(x) - min(x)) or 1.0, (max(y) - min(y)) or 1.0
    return {
        s.pooler: ((at - min(x)) / wide, (quality - min(y)) / high)
        for at, (_, quality, s) in zip(x, points, strict=True)
    }


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]
