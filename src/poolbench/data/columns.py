"""Convert Arrow tables to the columns ``text`` and ``label``, for every source in the same way.

Nothing is repaired silently: an unusable value is an error that names split, row and column.
"""

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import datasets

from poolbench.core.errors import UserError


def text_and_label(
    tables: Mapping[str, datasets.Dataset],
    text_column: str,
    label_column: str,
    names: Mapping[str, str] | None = None,
) -> dict[str, datasets.Dataset]:
    """The same splits with the columns ``text`` (string) and ``label`` (ClassLabel).

    Args:
        label_column: integers or strings, the same type in every split.
        names: label -> class name, if the labels are not the names themselves.
    """
    classes = _classes(tables["train"], label_column)
    index = {name: i for i, name in enumerate(classes)}
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=[(names or {}).get(c, c) for c in classes]),
        }
    )
    prepared = {}
    for split, table in tables.items():
        texts = _column(table, split, text_column, lambda value: isinstance(value, str), "text")
        labels = _labels(table, split, label_column)
        for row, label in enumerate(labels):
            if label not in index:
                known = ", ".join(classes[:8]) + (", ..." if len(classes) > 8 else "")
                raise UserError(
                    f"{split} row {row}: label {label!r} does not occur in train "
                    f"(-1 marks a hidden test split; the classes are {known})"
                )
        columns = {"text": texts, "label": [index[label] for label in labels]}
        prepared[split] = datasets.Dataset.from_dict(columns, features=features)
    return prepared


def _classes(train: datasets.Dataset, column: str) -> list[str]:
    found = set(_labels(train, "train", column))
    feature = train.features[column]
    if isinstance(feature, datasets.ClassLabel):
        return list(feature.names)
    if len(found) < 2:
        raise UserError(f"train has a single class, {found}: classification needs at least two")
    integers = all(label.lstrip("-").isdigit() for label in found)
    return sorted(found, key=int) if integers else sorted(found)


def _labels(table: datasets.Dataset, split: str, column: str) -> list[str]:
    def usable(label: Any) -> bool:
        return isinstance(label, int | str) and not isinstance(label, bool) and label != ""

    labels = _column(table, split, column, usable, "an integer or a string as class")
    feature = table.features[column]
    if isinstance(feature, datasets.ClassLabel):
        return [str(label) if label < 0 else feature.names[label] for label in labels]
    return [str(label) for label in labels]


def _column(
    table: datasets.Dataset, split: str, column: str, usable: Callable[[Any], bool], expected: str
) -> list[Any]:
    if len(table) == 0:
        raise UserError(f"{split} has no rows")
    if column not in table.column_names:
        near = difflib.get_close_matches(column, table.column_names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"it has: {', '.join(table.column_names)}"
        raise UserError(f"{split} has no column '{column}': {hint}")
    values = list(table[column])
    for row, value in enumerate(values):
        if not usable(value):
            found = "nothing" if value in (None, "") else f"{value!r:.40} ({type(value).__name__})"
            raise UserError(
                f"{split} row {row}: column '{column}' contains {found}, expected {expected}"
            )
    return values
