"""From any Arrow tables to the columns ``text`` and ``label``: the same road for every source.

Nothing is repaired in silence: what cannot be used is refused by split, row and column.
"""

import difflib
from collections.abc import Mapping
from typing import Any

import datasets

from poolbench.core.errors import BadInput


def text_and_label(
    tables: Mapping[str, datasets.Dataset],
    text_column: str,
    label_column: str,
    names: Mapping[str, str] | None = None,
) -> dict[str, datasets.Dataset]:
    """The same splits with the columns ``text`` (string) and ``label`` (ClassLabel).

    Args:
        tables: split name -> table.
        text_column: holds the text.
        label_column: holds integers or strings, the same kind in every split.
        names: label -> the name to show for it, where the source knows better names.

    Raises:
        BadInput: a missing column, an unusable text or label, a label that training never sees.
    """
    classes = _classes(tables["train"], label_column)
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=[(names or {}).get(c, c) for c in classes]),
        }
    )
    index = {name: i for i, name in enumerate(classes)}
    prepared = {}
    for split, table in tables.items():
        texts = _texts(table, split, text_column)
        labels = []
        for row, label in enumerate(_labels(table, split, label_column)):
            if label not in index:
                raise BadInput(
                    f"{split} row {row}: label {label!r} never occurs in train "
                    f"(-1 marks a hidden test split; the classes are {_some(classes)})"
                )
            labels.append(index[label])
        prepared[split] = datasets.Dataset.from_dict(
            {"text": texts, "label": labels}, features=features
        )
    return prepared


def _classes(train: datasets.Dataset, column: str) -> list[str]:
    _column(train, "train", column)
    feature = train.features[column]
    found = set(_labels(train, "train", column))
    if isinstance(feature, datasets.ClassLabel):
        return list(feature.names)
    if len(found) < 2:
        raise BadInput(f"train has a single class, {found}: there is nothing to tell apart")
    whole = all(label.lstrip("-").isdigit() for label in found)
    return sorted(found, key=int) if whole else sorted(found)


def _texts(table: datasets.Dataset, split: str, column: str) -> list[str]:
    texts = _column(table, split, column)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise BadInput(
                f"{split} row {row}: column '{column}' holds {_kind(text)}, expected text"
            )
    return texts


def _labels(table: datasets.Dataset, split: str, column: str) -> list[str]:
    labels = _column(table, split, column)
    feature = table.features[column]
    for row, label in enumerate(labels):
        if isinstance(label, bool) or not isinstance(label, int | str) or label == "":
            raise BadInput(
                f"{split} row {row}: column '{column}' holds {_kind(label)}, "
                "expected an integer or a string for its class"
            )
    if isinstance(feature, datasets.ClassLabel):
        return [str(label) if label < 0 else feature.names[label] for label in labels]
    return [str(label) for label in labels]


def _column(table: datasets.Dataset, split: str, column: str) -> list[Any]:
    if len(table) == 0:
        raise BadInput(f"{split} has no rows")
    if column not in table.column_names:
        near = difflib.get_close_matches(column, table.column_names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"it has: {', '.join(table.column_names)}"
        raise BadInput(f"{split} has no column '{column}': {hint}")
    return list(table[column])


def _kind(value: Any) -> str:
    if value is None or value == "":
        return "nothing"
    return f"{value!r:.40} ({type(value).__name__})"


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
