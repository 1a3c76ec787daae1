"""Tables as pandas DataFrames, and how they become HTML, Markdown and CSV."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from markupsafe import Markup

from poolbench.report.rendering import markdown_text

DASH = "\N{EN DASH}"  # an unknown value
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a formula begins in a spreadsheet


@dataclass(frozen=True)
class Cell:
    """A table cell that shows more than its value.

    ``value`` sorts its column, ``kind`` is a CSS class, ``note`` a second line, ``title`` is shown
    on hover; ``bar`` draws an interval: low, difference, high, margin, and both ends of the scale.
    """

    text: str = DASH
    value: float | str | None = None
    kind: str = "number"
    note: str = ""
    title: str = ""
    href: str = ""
    bar: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Table:
    """A DataFrame to show; ``styles`` maps columns to a number format or the CSS class of texts."""

    name: str
    frame: pd.DataFrame
    styles: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""

    @property
    def rows(self) -> list[list[Cell]]:
        """The cells of every row."""
        styles = [self.styles.get(column, "") for column in self.frame]
        rows = self.frame.itertuples(index=False, name=None)
        return [[_cell(*pair) for pair in zip(row, styles, strict=True)] for row in rows]

    @property
    def markdown(self) -> Markup:
        """The table in GitHub Markdown."""
        columns = zip(*self.rows, strict=True)
        numeric = [any(c.kind.startswith("number") for c in column) for column in columns]
        rows = [list(self.frame), ["---:" if number else "---" for number in numeric]]
        rows += [
            ["" if c.text == DASH else f"{c.text} {c.note}".strip() for c in r] for r in self.rows
        ]
        return Markup("\n".join(f"| {' | '.join(map(markdown_text, row))} |" for row in rows))


def frame_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a DataFrame that keeps None and integers as they are."""
    return pd.DataFrame(list(rows), dtype=object)


def to_csv(frame: pd.DataFrame) -> str:
    """CSV in which no text is a formula: spreadsheets read a leading apostrophe as text."""

    def guard(value: Any) -> Any:
        return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value

    return frame.map(guard).rename(columns=guard).to_csv(index=False)


def interval_cell(interval: tuple[float, float] | None) -> Cell | None:
    """An interval of a mean, in percent."""
    return Cell("{:.1f} to {:.1f}".format(*interval), interval[0]) if interval else None


def _cell(value: Any, style: str) -> Cell:
    if isinstance(value, Cell):
        return value
    if isinstance(value, str):
        return Cell(value, value, style)
    return Cell() if pd.isna(value) else Cell(format(value, style), float(value))
