"""What every figure of a page shares: colours, shapes, axes. Plain plotly dictionaries.

Colours that depend on light or dark are left to the page. Every name that comes from the user is
escaped, since plotly reads a part of HTML in its texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from poolbench.report.controls import control

# Okabe and Ito (2008), without yellow and black, which vanish on one of the two backgrounds.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7")
REFERENCE_COLOUR = "#808080"
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")
DASHES = ("solid", "dash", "dot", "dashdot")
ROW = 34  # px for one line of a figure with names at its side

Trace = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """One figure: ``name`` is its anchor, ``caption`` says what is seen, in a sentence."""

    name: str
    caption: str
    data: list[Trace]
    layout: dict[str, Any]


@dataclass(frozen=True)
class Look:
    """How one pooler is drawn in every figure of a page."""

    colour: str
    symbol: str
    dash: str


def looks(poolers: Sequence[str], reference: str) -> dict[str, Look]:
    """Colour, symbol and dash of each pooler; the reference is grey, controls are open symbols."""
    found = {reference: Look(REFERENCE_COLOUR, SYMBOLS[0], DASHES[0])}
    for i, name in enumerate(sorted(set(poolers) - {reference})):
        found[name] = Look(
            COLOURS[i % len(COLOURS)],
            SYMBOLS[(i + 1) % len(SYMBOLS)] + "-open" * bool(control(name)),
            DASHES[i // len(COLOURS) % len(DASHES)],
        )
    return found


def rows(names: Sequence[str]) -> dict[str, Any]:
    """Layout with one line for each name, the first on top."""
    return {
        "height": 80 + ROW * len(names),
        "margin": {"l": 10, "r": 16, "t": 8, "b": 10},
        "yaxis": {
            "tickvals": list(range(len(names))),
            "ticktext": [f"{clipped(name)} " for name in names],
            "range": [len(names) - 0.5, -0.5],
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
        },
    }


def axis(title: str) -> dict[str, Any]:
    """An axis with room for its title; the title is HTML, escape what is not yours."""
    return {"title": {"text": title, "standoff": 8}, "automargin": True, "zeroline": False}


def short(value: float) -> float:
    """Six digits: more would only make the page larger."""
    return float(f"{value:.6g}")


def clipped(name: str) -> str:
    """A name as a figure shows it: escaped, and short enough to leave room for the figure."""
    return escape(name if len(name) <= 24 else f"{name[:23]}…")
