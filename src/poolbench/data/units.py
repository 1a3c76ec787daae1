"""What splits are cut from: examples, their strata, and units of examples that stay together."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import rankdata

from poolbench.data.needs import Columns

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Examples:
    """The examples of a table: its rows; for retrieval its queries, each with all its rows.

    Attributes:
        example: (rows,) number of the example of each row, -1 if it is of none.
        stratum: (examples,) number of the stratum: the class, the quintile of the score, else 0.
        names: of the strata.
        unit: (examples,) number of the unit: examples with equal texts, or of one group. The pairs
            (a, b) and (b, a) are equal.
        word: for examples, in messages.
    """

    example: Array
    stratum: Array
    names: list[str]
    unit: Array
    word: str

    @classmethod
    def of(cls, table: datasets.Dataset, columns: Columns, grouped: bool = True) -> "Examples":
        """The examples of a table; groups make units only if ``grouped``."""
        texts = table["text"][:]
        rows, word, keys = np.arange(len(table)), "examples", texts
        if columns.target == "relevance":
            rows, word = np.flatnonzero([query is not None for query in texts]), "queries"
            keys = [texts[row] for row in rows]
        elif columns.texts == 2:
            keys = [tuple(sorted(pair)) for pair in zip(texts, table["text_b"][:], strict=True)]
        unit = numbered(keys)
        if grouped and "group" in table.column_names:
            group = numbered(np.array(table["group"][:])[rows].tolist()) + len(rows)
            edges = np.ones(len(rows)), (unit, group)
            graph = coo_array(edges, shape=(2 * len(rows), 2 * len(rows)))
            unit = numbered(connected_components(graph, directed=False)[1][unit].tolist())
        example, stratum, names = np.arange(len(table)), *_strata(table, columns)
        if columns.target == "relevance":
            query = numbered(keys)
            first = np.unique(query, return_index=True)[1]
            example = np.full(len(table), -1)
            example[rows] = query
            stratum, unit = stratum[first], numbered(unit[first].tolist())
        return cls(example, stratum, names, unit, word)

    def __len__(self) -> int:
        return len(self.stratum)

    @property
    def counts(self) -> Array:
        """(units, strata) numbers of examples."""
        counts = np.zeros((self.unit.max(initial=-1) + 1, len(self.names)))
        np.add.at(counts, (self.unit, self.stratum), 1)
        return counts

    def rows_of(self, chosen: Array) -> Array:
        """(rows,) whether each row is of one of the chosen examples, (examples,) bool."""
        return np.append(chosen, False)[self.example]  # -1, of none, is the last


def numbered(values: Iterable[Hashable]) -> Array:
    """Equal values get equal numbers, in the order of their first occurrence."""
    codes: dict[Hashable, int] = {}
    return np.array([codes.setdefault(value, len(codes)) for value in values], dtype=int)


def _strata(table: datasets.Dataset, columns: Columns) -> tuple[Array, list[str]]:
    """Number of the stratum of each row, and the names of the strata."""
    if columns.target == "class":
        names = [f"class {name!r:.80}" for name in table.features["label"].names]
        return np.array(table["label"][:]), names
    if columns.target == "score":
        # Equal scores have one rank, their mean rank, so each is in one quintile as a whole.
        shares = (rankdata(table["label"][:]) - 0.5) / max(len(table), 1)
        return (5 * shares).astype(int), [f"quintile {i} of the scores" for i in range(1, 6)]
    return np.zeros(len(table), dtype=int), ["the dataset"]
