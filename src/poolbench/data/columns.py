"""Convert tables to the columns ``text``, ``label`` and ``group``, for every source the same way.

Nothing is repaired silently: an unusable value is an error that names split, row and column.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import datasets

from poolbench.core.errors import UserError
from poolbench.data.tables import Table


@dataclass(frozen=True)
class Columns:
    """What a task needs of a dataset: one text or two, and what is predicted."""

    texts: Literal[1, 2] = 1
    target: Literal["class", "score", "labels", "relevance"] = "class"


ONE_LABEL = Columns()


def text_and_label(
    tables: Mapping[str, Table],
    text_column: str,
    label_column: str,
    group_column: str | None = None,
) -> dict[str, datasets.Dataset]:
    """The same splits with the columns ``text`` (string), ``label`` (ClassLabel) and ``group``.

    Args:
        label_column: integers or strings.
        group_column: integers or strings, which become strings; None: there is no ``group``.
    """
    classes = _classes(tables["train"], label_column)
    index = {name: i for i, name in enumerate(classes)}
    string = datasets.Value("string")
    features = {"text": string, "label": datasets.ClassLabel(names=classes)}
    if group_column:
        features["group"] = string
    prepared = {}
    for split, table in tables.items():
        texts = _column(table, split, text_column, _is_text, "text")
        labels = _names(table, split, label_column, "class")
        for row, label in enumerate(labels):
            if label not in index:
                known = ", ".join(classes[:8]) + (", ..." if len(classes) > 8 else "")
                raise UserError(
                    f"{split} row {row}: label {label!r:.80} does not occur in train "
                    f"(-1 marks a hidden test split; the classes are {known})"
                )
        columns = {"text": texts, "label": [index[label] for label in labels]}
        if group_column:
            columns["group"] = _names(table, split, group_column, "group")
        prepared[split] = datasets.Dataset.from_dict(columns, datasets.Features(features))
    return prepared


def _classes(train: Table, column: str) -> list[str]:
    found = set(_names(train, "train", column, "class"))
    if column in train.classes:
        return train.classes[column]
    if len(found) < 2:
        raise UserError(f"train has a single class, {found}: classification needs at least two")
    integers = all(re.fullmatch(r"-?[0-9]{1,18}", label) for label in found)
    return sorted(found, key=lambda label: (int(label), label)) if integers else sorted(found)


def _names(table: Table, split: str, column: str, role: str) -> list[str]:
    """A column of integers or strings, as strings; indices of classes by the name of the class."""

    def usable(value: Any) -> bool:
        return type(value) is int or (value != "" and _is_text(value))

    values = _column(table, split, column, usable, f"an integer or a string as {role}")
    names = dict(enumerate(table.classes.get(column, ())))
    return [str(names.get(value, value)) for value in values]


def _is_text(value: Any) -> bool:
    # A lone surrogate, which JSON can express, has no encoding.
    return isinstance(value, str) and (value.isascii() or not re.search("[\ud800-\udfff]", value))


def _column(
    table: Table, split: str, column: str, usable: Callable[[Any], bool], expected: str
) -> list[Any]:
    values = table.columns[column]
    if not values:
        raise UserError(f"{split} has no rows")
    for row, value in enumerate(values):
        if not usable(value):
            found = "nothing" if value in (None, "") else f"{value!r:.40} ({type(value).__name__})"
            raise UserError(
                f"{split} row {row}: column '{column}' contains {found}, expected {expected}"
            )
    return values
