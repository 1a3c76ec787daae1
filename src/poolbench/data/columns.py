"""Convert tables to typed columns of texts and labels, for every source and task the same way.

Nothing is repaired silently: an unusable value is an error that names split, row and column.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import datasets

from poolbench.core.errors import UserError
from poolbench.data import targets, values
from poolbench.data.needs import Columns
from poolbench.data.tables import Table

STRING = datasets.Value("string")


@dataclass(frozen=True)
class Names:
    """Names of the columns in a source; None: there is no such column.

    Attributes:
        lacks_label: whether the source may be without the column ``label``.
    """

    text: str
    text_b: str | None
    label: str
    group: str | None
    lacks_label: bool = False

    @classmethod
    def of(
        cls,
        columns: Columns,
        text: str | None = None,
        text_b: str | None = None,
        label: str | None = None,
        group: str | None = None,
    ) -> "Names":
        """The given names, and those of the task where none is given."""
        default = "label" if columns.target == "class" else columns.target
        if columns.texts == 1:
            if text_b:
                raise UserError(f"dataset.text_b_column={text_b}: this task has one text")
            return cls(text or "text", None, label or default, group)
        relevance = columns.target == "relevance"
        first, second = ("query", "document") if relevance else ("text_a", "text_b")
        lacks_label = relevance and label is None
        return cls(text or first, text_b or second, label or default, group, lacks_label)

    @property
    def required(self) -> list[str]:
        """Columns that a source must have: that of the text, that of the label, others."""
        found = [self.text, None if self.lacks_label else self.label, self.text_b, self.group]
        return [name for name in dict.fromkeys(found) if name]

    @property
    def optional(self) -> list[str]:
        """Columns that a source may have."""
        return [self.label] if self.lacks_label else []


def typed(
    tables: Mapping[str, Table], names: Names, columns: Columns, separator: str = ","
) -> dict[str, datasets.Dataset]:
    """The same splits with the columns ``text``, ``text_b``, ``label`` and ``group``.

    ``text_b`` is there if the task has two texts, ``group`` if the source has groups. Queries may
    be None.

    Args:
        separator: between the labels of a list that is given as one string.
    """
    read = values.texts_or_none if columns.target == "relevance" else values.texts
    found = {split: {"text": read(t, split, names.text)} for split, t in tables.items()}
    features = {"text": STRING}
    if names.text_b:
        features["text_b"] = STRING
        for split, table in tables.items():
            found[split]["text_b"] = values.texts(table, split, names.text_b)
    label_column = targets.LabelColumn(tables, names.label, names.text, separator)
    features["label"], labels = targets.PARSERS[columns.target](label_column)
    for split in tables:
        found[split]["label"] = labels[split]
    if names.group:
        features["group"] = STRING
        for split, table in tables.items():
            found[split]["group"] = values.names(table, split, names.group, "group")
    return {
        split: datasets.Dataset.from_dict(given, datasets.Features(features))
        for split, given in found.items()
    }
