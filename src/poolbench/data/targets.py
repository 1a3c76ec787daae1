"""Parse the labels of every kind of target: classes, scores, lists of classes, relevance."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import datasets

from poolbench.core.errors import UserError
from poolbench.data import values
from poolbench.data.needs import Target
from poolbench.data.tables import Table


@dataclass(frozen=True)
class LabelColumn:
    """Where labels are: the splits, the column of labels and that of the (first) text.

    Attributes:
        separator: between the labels of a list that is given as one string.
    """

    tables: Mapping[str, Table]
    column: str
    text: str
    separator: str


# The feature of the labels, and the labels of each split.
Labels = tuple[Any, dict[str, list[Any]]]


def classes(given: LabelColumn) -> Labels:
    """Integers or strings; the classes are those of train, or the names that the source has."""
    column, tables = given.column, given.tables
    found = {split: values.names(table, split, column, "class") for split, table in tables.items()}
    names = tables["train"].classes.get(column)
    if names is None and len(set(found["train"])) < 2:
        only = set(found["train"])
        raise UserError(f"train has a single class, {only}: classification needs at least two")
    names = names or _sorted(set(found["train"]))
    index = {name: i for i, name in enumerate(names)}
    return datasets.ClassLabel(names=names), {
        split: [_index(label, index, split, row) for row, label in enumerate(labels)]
        for split, labels in found.items()
    }


def scores(given: LabelColumn) -> Labels:
    """Finite numbers, which may be given as strings."""
    found = {s: values.numbers(table, s, given.column) for s, table in given.tables.items()}
    split = "train" if "train" in found else "test"
    if len(set(found[split])) < 2:
        raise UserError(f"{split} has a single score, {found[split][0]}: at least two are needed")
    return datasets.Value("float64"), found


def label_lists(given: LabelColumn) -> Labels:
    """Lists of integers or strings, or strings that are cut at the separator.

    A string in brackets is a list in JSON. White space around a label that was cut is removed. A
    list may be empty; a class may not be in it twice.
    """

    def parts(value: Any) -> Any:
        return _split(value, given.separator) if isinstance(value, str) else value

    def usable(value: Any) -> bool:
        items = parts(value)
        return (
            isinstance(items, list)
            and all(map(values.is_name, items))
            and len(set(map(str, items))) == len(items)
        )

    found: dict[str, list[list[str]]] = {}
    for split, table in given.tables.items():
        expected = f"different integers or strings: a list, JSON, or between {given.separator!r}"
        lists = map(parts, values.checked(table, split, given.column, usable, expected))
        known = dict(enumerate(table.classes.get(given.column, ())))
        found[split] = [[str(known.get(item, item)) for item in items] for items in lists]
    names = given.tables["train"].classes.get(given.column) or _sorted(
        {label for labels in found["train"] for label in labels}
    )
    if not names:
        raise UserError(f"train has no labels: every list in column '{given.column}' is empty")
    index = {name: i for i, name in enumerate(names)}
    return datasets.List(datasets.ClassLabel(names=names)), {
        split: [
            sorted(_index(label, index, split, row) for label in labels)
            for row, labels in enumerate(lists)
        ]
        for split, lists in found.items()
    }


def grades(given: LabelColumn) -> Labels:
    """Numbers of at least 0; without a column of them, 1 for every query and document.

    A row without a query adds a document to the corpus: its grade is 0, or missing.
    """
    column = given.column
    having = [split for split, table in given.tables.items() if column in table.columns]
    found: dict[str, list[Any]] = {}
    for split, table in given.tables.items():
        queries = table.columns[given.text]
        if not having:
            found[split] = [float(bool(query)) for query in queries]
            continue
        if split not in having:
            raise UserError(f"{split} has no column '{column}', which {having[0]} has")
        read = [
            0 if not query and grade in (None, "") else grade
            for query, grade in zip(queries, table.columns[column], strict=True)
        ]
        found[split] = values.numbers(Table({column: read}), split, column)
        for row, (query, grade) in enumerate(zip(queries, found[split], strict=True)):
            if grade < 0 or (grade > 0 and not query):
                why = "it cannot be negative" if query else f"column '{given.text}' is empty"
                raise UserError(f"{split} row {row}: column '{column}' contains {grade}, but {why}")
    return datasets.Value("float64"), found


PARSERS: dict[Target, Callable[[LabelColumn], Labels]] = {
    "class": classes,
    "score": scores,
    "labels": label_lists,
    "relevance": grades,
}


def _split(value: str, separator: str) -> Any:
    value = value.strip()
    if value.startswith("[") and value.endswith("]"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):  # such as ['a', 'b'], which Python writes
            return None
    return [part.strip() for part in value.split(separator)] if value else []


def _index(label: str, index: Mapping[str, int], split: str, row: int) -> int:
    if label not in index:
        known = ", ".join(list(index)[:8]) + (", ..." if len(index) > 8 else "")
        raise UserError(
            f"{split} row {row}: label {label!r:.80} does not occur in train "
            f"(-1 marks a hidden test split; the classes are {known})"
        )
    return index[label]


def _sorted(found: set[str]) -> list[str]:
    integers = all(re.fullmatch(r"-?[0-9]{1,18}", label) for label in found)
    return sorted(found, key=lambda label: (int(label), label)) if integers else sorted(found)
