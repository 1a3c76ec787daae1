"""Pieces of an HTML page. Everything that is not marked up here is escaped here."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from poolbench.report.drawing import Figure

NOTHING = "\N{EN DASH}"  # where a table has no value


@dataclass(frozen=True)
class Entry:
    """One cell of a table: ``html`` is shown, ``value`` is what a click on the column sorts by."""

    html: str
    value: float | str | None = None
    kind: str = ""


def text(value: object, kind: str = "") -> Entry:
    """Words, sorted by letter."""
    return Entry(escape(str(value)), str(value), kind)


def number(value: float | None, form: str) -> Entry:
    """A number in its format; a dash, sorted last, where it is unknown."""
    if value is None:
        return Entry(NOTHING, None, "number")
    return Entry(escape(format(value, form)), float(value), "number")


def table(
    name: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Entry]],
    caption: str = "",
    kind: str = "",
) -> str:
    """A table whose columns sort on a click; the first entry of a row is its heading."""
    heads = "".join(
        f'<th scope="col"><button type="button">{escape(column)}</button></th>'
        for column in columns
    )
    body = "".join(f"<tr>{_row(row)}</tr>" for row in rows)
    # The caption stands outside: on a phone only the table is pushed aside, not its explanation.
    told = f'<p class="quiet">{escape(caption)}</p>' if caption else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">'
        f'<table class="sortable {kind}"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{told}"
    )


def plot(figure: Figure, prefix: str = "") -> str:
    """A figure, drawn by the page's script from the JSON that stands beside it."""
    name = escape(f"figure-{prefix}{figure.name}")
    caption = escape(figure.caption)
    return (
        f'<figure><div class="plot" id="{name}" role="img" aria-label="{caption}" '
        f'style="height:{int(figure.layout["height"])}px"></div>'
        f"<figcaption>{caption}</figcaption>"
        f'<script type="application/json" data-for="{name}">'
        f"{as_script({'data': figure.data, 'layout': figure.layout})}</script></figure>"
    )


def as_script(value: Any) -> str:
    """JSON that may stand inside a script element: nothing in it can end the element."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def details(summary: str, body: str, shown: bool = False) -> str:
    """Something to unfold; ``body`` is HTML."""
    return f"<details{' open' * shown}><summary>{escape(summary)}</summary>{body}</details>"


def paragraphs(lines: Iterable[str]) -> str:
    """A list of plain sentences."""
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and what they are, both plain text."""
    return f"<dl>{''.join(f'<dt>{escape(k)}</dt><dd>{escape(v)}</dd>' for k, v in pairs)}</dl>"


def interval_bar(
    delta: float, interval: tuple[float, float], margin: float, reach: tuple[float, float]
) -> str:
    """A drawn interval with the margin as a band, on a scale that ends at ``reach``."""
    start, end = reach

    def at(value: float) -> str:
        return f"{100 * (value - start) / (end - start):.2f}"

    def line(x1: float, x2: float, y: tuple[int, int], width: float) -> str:
        return (
            f'<line x1="{at(x1)}" x2="{at(x2)}" y1="{y[0]}" y2="{y[1]}" stroke="currentColor" '
            f'stroke-width="{width}" vector-effect="non-scaling-stroke"/>'
        )

    return (
        '<svg viewBox="0 0 100 16" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect x="{at(-margin)}" y="0" width="{200 * margin / (end - start):.2f}" height="16" '
        f'fill="#808080" opacity=".3"/>{line(0, 0, (0, 16), 0.5)}'
        f"{line(*interval, (8, 8), 1.5)}{line(delta, delta, (3, 13), 3)}</svg>"
    )


def _row(entries: Sequence[Entry]) -> str:
    head, *rest = entries
    first = f'<th scope="row"{_attributes(head)}>{head.html}</th>'
    return first + "".join(f"<td{_attributes(entry)}>{entry.html}</td>" for entry in rest)


def _attributes(entry: Entry) -> str:
    kind = f' class="{entry.kind}"' if entry.kind else ""
    value = "" if entry.value is None else f' data-value="{escape(str(entry.value))}"'
    return kind + value
