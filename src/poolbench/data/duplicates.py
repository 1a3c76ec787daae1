"""Count what makes results differ from those on new texts: shared texts, conflicting labels."""

from collections.abc import Iterable
from typing import Any

import datasets

from poolbench.data.needs import Columns

Values = dict[str, list[Any]]


def count_duplicates(splits: datasets.DatasetDict, columns: Columns = Columns()) -> dict[str, int]:
    """Counts that are not zero, by what they count.

    Pairs are equal in either order, and share a text if one of both is in a pair of train. For
    retrieval, queries are counted: all splits share the documents.
    """
    names = splits["train"].column_names
    tables = {split: {name: table[name][:] for name in names} for split, table in splits.items()}
    found = {split: _content(table, columns) for split, table in tables.items()}
    counts = {}
    for what, examples in found["train"].items():
        known = {part for example in examples for part in example}
        for split in ("validation", "test"):
            shared = sum(not known.isdisjoint(example) for example in found[split][what])
            counts[f"{split} examples have a {what} that train has too"] = shared
    if columns.target != "relevance":
        labels: dict[tuple[str, ...], set[str]] = {}
        texts = ["text", "text_b"][: columns.texts]
        for table in tables.values():
            rows = zip(*(table[name] for name in texts), strict=True)
            for row, label in zip(rows, table["label"], strict=True):
                labels.setdefault(row, set()).add(str(label))
        what = "texts" if columns.texts == 1 else "pairs"
        counts[f"{what} have different labels"] = sum(len(found) > 1 for found in labels.values())
    return {what: count for what, count in counts.items() if count}


def _content(table: Values, columns: Columns) -> dict[str, list[Iterable[Any]]]:
    """What the examples of a split may share with others: the parts of each example."""
    texts = table["text"]
    found: dict[str, list[Iterable[Any]]] = {}
    if columns.target == "relevance":
        found["query"] = [[query] for query in dict.fromkeys(texts) if query is not None]
    elif columns.texts == 2:
        both = [*zip(texts, table["text_b"], strict=True)]
        found["pair"] = [[tuple(sorted(pair))] for pair in both]
        found["text"] = [*both]
    else:
        found["text"] = [[text] for text in texts]
    if "group" in table:
        groups = zip(texts, table["group"], strict=True)
        found["group"] = [[group] for text, group in groups if text is not None]
    return found
