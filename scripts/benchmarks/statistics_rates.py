"""Measured error rates with their limits, and the tables they are shown in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Row:
    """One measured rate; ``limit`` is None where the rate is shown but not checked."""

    what: str
    setting: str
    seeds: int | str
    rate: float
    studies: int
    limit: float | None = None

    @classmethod
    def share(
        cls, what: str, setting: str, seeds: int | str, hits: Any, limit: Any = None
    ) -> "Row":
        """The share of studies (R,) in which something happened."""
        return cls(what, setting, seeds, float(np.mean(hits)), len(hits), limit)

    @property
    def standard_error(self) -> float:
        """Monte-Carlo standard error at the limit, or at the rate where nothing is checked."""
        p = self.rate if self.limit is None else self.limit
        return float(np.sqrt(p * (1 - p) / self.studies))

    @property
    def exceeds(self) -> bool:
        """Above its limit by more than chance."""
        return self.limit is not None and self.rate > self.limit + 3 * self.standard_error

    @property
    def measured(self) -> str:
        """The rate with its Monte-Carlo standard error, marked where it exceeds the limit."""
        return f"{self.rate:.3f} ± {self.standard_error:.3f}{' **exceeds**' * self.exceeds}"


def tables(rows: Sequence[Row], names: Sequence[str] = ()) -> str:
    """Markdown: what was measured in all the settings named side by side, then the others."""
    by_line: dict[tuple[str, int | str], dict[str, Row]] = {}
    for row in rows:
        by_line.setdefault((row.what, row.seeds), {})[row.setting] = row
    wide = [f"| rate | seeds | {' | '.join(names)} | limit |", "|---" * (len(names) + 3) + "|"]
    long = ["| rate | setting | seeds | measured | limit |", "|---" * 5 + "|"]
    for (what, seeds), line in by_line.items():
        if names and set(names) <= set(line):
            measured = " | ".join(line[name].measured for name in names)
            wide.append(f"| {what} | {seeds} | {measured} | {_limit(line[names[0]])} |")
        for setting, row in line.items():
            if not (setting in names and set(names) <= set(line)):
                long.append(f"| {what} | {setting} | {seeds} | {row.measured} | {_limit(row)} |")
    return "\n".join([*wide, "", *long] if names else long)


def _limit(row: Row) -> str:
    return "" if row.limit is None else f"{row.limit:.3f}"
