"""The splits of a dataset as token ids."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from poolbench.core.errors import UserError
from poolbench.core.shape_checks import check_labels
from poolbench.data.loaders import SPLITS, digest
from poolbench.data.needs import ONE_LABEL, Columns
from poolbench.data.relevance import Judged, Relevance, queries_of
from poolbench.data.tokenized import Tokenize, TokenizedDataset, tokenize_texts
from poolbench.data.units import numbered

if TYPE_CHECKING:
    import datasets

# First and second texts -> (token ids of each pair, segment of each token, truncated pairs).
TokenizePairs = Callable[[list[str], list[str]], tuple[list[list[int]], list[list[int]], int]]


def tokenize_splits(
    splits: "datasets.DatasetDict",
    tokenize: Tokenize,
    columns: Columns = ONE_LABEL,
    together: TokenizePairs | None = None,
) -> TokenizedDataset:
    """Tokenize the train, validation and test splits, as loaders return them.

    ``together`` makes one sequence of the two texts of each example.

    For retrieval an example is a query with its best document, and the corpus has the documents of
    all splits.

    Raises:
        UserError: the splits do not have these columns.
    """
    _check_columns(splits["train"], columns)
    tables = [splits[name] for name in SPLITS]
    if columns.target == "relevance":
        made, sizes = _tokenized_queries(tables, tokenize)
    else:
        made, sizes = _tokenized_examples(tables, tokenize, together), list(map(len, tables))
    ends = itertools.accumulate(sizes, initial=0)
    ranges = itertools.starmap(torch.arange, itertools.pairwise(ends))
    groups = None
    if "group" in splits["train"].column_names:
        groups = torch.from_numpy(
            numbered(name for table in tables for name in _groups(table, columns))
        )
    return replace(
        made,
        splits=dict(zip(SPLITS, ranges, strict=True)),
        groups=groups,
        data_digest=digest(splits),
    )


def _check_columns(table: "datasets.Dataset", columns: Columns) -> None:
    """Reject a dataset that was made for another task."""
    feature: Any = table.features["label"]
    names = hasattr(feature, "names")
    lists = not names and hasattr(feature, "feature")
    expected = (columns.target == "class", columns.target == "labels")
    if len(_texts(table)) != columns.texts or (names, lists) != expected:
        found = "class" if names else "list of labels" if lists else "score"
        number = "two texts" if "text_b" in table.column_names else "one text"
        wanted = "two texts" if columns.texts == 2 else "one text"
        kind = {"labels": "list of labels"}.get(columns.target, columns.target)
        raise UserError(
            f"this dataset has {number} and a {found} in each row, the task needs {wanted} and a "
            f"{kind}: choose another task or dataset"
        )


def _tokenized_examples(
    tables: Sequence["datasets.Dataset"], tokenize: Tokenize, together: TokenizePairs | None
) -> TokenizedDataset:
    found = [[text for table in tables for text in table[name][:]] for name in _texts(tables[0])]
    values = [label for table in tables for label in table["label"][:]]
    feature: Any = tables[0].features["label"]
    class_names = tuple(getattr(getattr(feature, "feature", feature), "names", ()))
    if hasattr(feature, "names"):
        labels = torch.tensor(values)
        check_labels(labels, len(class_names))
    elif class_names:
        labels = torch.zeros(len(values), len(class_names), dtype=torch.int8)
        for row, chosen in enumerate(values):
            labels[row, chosen] = 1
    else:
        labels = torch.tensor(values, dtype=torch.float32)
    if len(found) == 1:
        return replace(tokenize_texts(found[0], tokenize), labels=labels, class_names=class_names)
    number = _numbers(itertools.chain(*found))
    members = torch.tensor([[number[text] for text in texts] for texts in found]).T
    if together is not None:
        made = replace(_tokenized_together(found[0], found[1], together), pairs=members)
        return replace(made, labels=labels, class_names=class_names)
    made = tokenize_texts(list(number), tokenize)
    return replace(made, labels=labels, class_names=class_names, members=members)


def _tokenized_together(
    first: list[str], second: list[str], together: TokenizePairs
) -> TokenizedDataset:
    rows, segments, cut = together(first, second)
    made = tokenize_texts(first, lambda _: (rows, cut))
    blank = sum(not (a.strip() and b.strip()) for a, b in zip(first, second, strict=True))
    parts = torch.tensor([part for row in segments for part in row], dtype=torch.int32)
    return replace(made, segments=parts, blank=blank)


def _tokenized_queries(
    tables: Sequence["datasets.Dataset"], tokenize: Tokenize
) -> tuple[TokenizedDataset, list[int]]:
    """The dataset, and the number of queries in each split."""
    judged: list[list[Judged]] = [
        list(zip(table["text"][:], table["text_b"][:], table["label"][:], strict=True))
        for table in tables
    ]
    relevant = [queries_of(rows) for rows in judged]
    queries = [pair for of in relevant for pair in of.items()]
    corpus = _numbers(document for rows in judged for _, document, _ in rows)
    number = _numbers(itertools.chain((query for query, _ in queries), corpus))
    counts = torch.tensor([len(of) for _, of in queries], dtype=torch.long)
    places = [corpus[document] for _, of in queries for document in of]
    relevance = Relevance(
        corpus=torch.tensor([number[document] for document in corpus]),
        starts=torch.cat([counts.new_zeros(1), counts.cumsum(0)]),
        places=torch.tensor(places, dtype=torch.long),
        grades=torch.tensor([grade for _, of in queries for grade in of.values()]),
    )
    best = [[number[query], number[next(iter(of))]] for query, of in queries]
    made = replace(
        tokenize_texts(list(number), tokenize),
        labels=counts,
        members=torch.tensor(best, dtype=torch.long).view(-1, 2),
        relevance=relevance,
    )
    return made, list(map(len, relevant))


def _groups(table: "datasets.Dataset", columns: Columns) -> list[str]:
    """The group of each example: for retrieval, of each query with a relevant document."""
    if columns.target != "relevance":
        return list(table["group"][:])
    found: dict[str, str] = {}
    rows = zip(table["text"][:], table["label"][:], table["group"][:], strict=True)
    for query, grade, group in rows:
        if query is not None and grade > 0:
            found.setdefault(query, group)
    return list(found.values())


def _texts(table: "datasets.Dataset") -> list[str]:
    return [name for name in ("text", "text_b") if name in table.column_names]


def _numbers(values: Iterable[str]) -> dict[str, int]:
    """Equal values once, numbered in the order of their first occurrence."""
    return {value: i for i, value in enumerate(dict.fromkeys(values))}
