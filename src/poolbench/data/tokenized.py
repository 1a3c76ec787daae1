"""A dataset as token ids, stored end to end without padding."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Int, Num
from torch import Tensor

from poolbench.core.errors import UserError
from poolbench.core.shape_checks import check_labels
from poolbench.data.needs import ONE_LABEL, Columns
from poolbench.data.relevance import Judged, Relevance, queries_of

if TYPE_CHECKING:  # token ids can be used without these packages
    import datasets

# Texts -> (token ids of each text, number of truncated texts).
Tokenize = Callable[[list[str]], tuple[list[list[int]], int]]


@dataclass(frozen=True)
class TokenizedDataset:
    """Token ids of M texts and the N examples made of them.

    With one text in an example they are the same, and the id of an example is its row over all
    splits. Examples of two texts share those that are equal: each is stored and encoded once.
    """

    ids: Int[Tensor, " total"]  # token ids of all texts, end to end
    starts: Int[Tensor, " M+1"]  # index of the first token of each text, then the total
    labels: Num[Tensor, "N *C"]  # what is predicted: classes, scores, or 0 and 1 for each class
    members: Int[Tensor, "N K"]  # ids of the K texts of each example
    splits: dict[str, Int[Tensor, " n"]] = field(default_factory=dict)  # its examples, ascending
    class_names: tuple[str, ...] = ()
    cut: int = 0  # number of truncated texts
    blank: int = 0  # number of texts that are empty or white space
    data_digest: str = ""  # digest of the texts, labels and groups
    groups: Int[Tensor, " N"] | None = None  # number of each example's group
    relevance: Relevance | None = None  # for retrieval

    @property
    def lengths(self) -> Int[Tensor, " M"]:
        """Number of tokens of each text."""
        return self.starts.diff()

    @property
    def longest(self) -> Int[Tensor, " N"]:
        """Number of tokens of the longest text of each example."""
        return self.lengths[self.members].amax(dim=1)

    def one_text_each(self) -> "TokenizedDataset":
        """The texts as examples of their own, without labels or splits."""
        return _unlabelled(self.ids, self.starts)

    @property
    def token_digest(self) -> str:
        """Digest of the token ids of all texts."""
        return _sha256(self.ids, self.starts)

    @property
    def token_counts(self) -> Int[Tensor, " V"]:
        """Occurrences of each token id in the training split."""
        return torch.bincount(self.tokens_of("train"))

    def tokens_of(self, split: str) -> Int[Tensor, " tokens"]:
        """Token ids of the texts of a split, end to end."""
        chosen = torch.zeros(len(self.lengths), dtype=torch.bool)
        chosen[self.members[self.splits[split]]] = True
        return self.ids[chosen.repeat_interleave(self.lengths)]

    def summary(self) -> dict[str, Any]:
        """The ``data`` part of a record."""
        return {
            "classes": list(self.class_names),
            "examples": {split: len(rows) for split, rows in self.splits.items()},
            "texts": len(self.lengths),
            "cut_texts": self.cut,
            "blank_texts": self.blank,
            "test_tokens": self.longest[self.splits["test"]].tolist(),
        }

    def split_digest(self, split: str) -> str:
        """Digest of the texts and labels of the examples of a split, in order."""
        rows = self.splits[split]
        return _sha256(self.tokens_of(split), self.members[rows], self.labels[rows])


def tokenize_splits(
    splits: "datasets.DatasetDict", tokenize: Tokenize, columns: Columns = ONE_LABEL
) -> TokenizedDataset:
    """Tokenize the train, validation and test splits, as loaders return them.

    For retrieval an example is a query with its best document, and the corpus has the documents of
    all splits.

    Raises:
        UserError: the splits do not have these columns.
    """
    from poolbench.data.loaders import SPLITS, digest
    from poolbench.data.units import numbered

    _check_columns(splits["train"], columns)
    tables = [splits[name] for name in SPLITS]
    if columns.target == "relevance":
        made, sizes = _tokenized_queries(tables, tokenize)
    else:
        made, sizes = _tokenized_examples(tables, tokenize), list(map(len, tables))
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


def tokenize_texts(texts: Sequence[str], tokenize: Tokenize) -> TokenizedDataset:
    """Tokenize unlabelled texts; all labels are 0 and have no meaning."""
    rows, cut = tokenize(list(texts))
    ids = torch.tensor([token for row in rows for token in row], dtype=torch.int32)
    starts = torch.tensor([0, *map(len, rows)]).cumsum(0)
    blank = sum(not text.strip() for text in texts)
    return replace(_unlabelled(ids, starts), cut=cut, blank=blank)


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


def _unlabelled(ids: Tensor, starts: Tensor) -> TokenizedDataset:
    number = len(starts) - 1
    members = torch.arange(number).unsqueeze(1)
    return TokenizedDataset(ids, starts, torch.zeros(number, dtype=torch.long), members)


def _tokenized_examples(
    tables: Sequence["datasets.Dataset"], tokenize: Tokenize
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
    made = tokenize_texts(list(number), tokenize)
    return replace(made, labels=labels, class_names=class_names, members=members)


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


def _sha256(*tensors: Tensor) -> str:
    content = hashlib.sha256()
    for tensor in tensors:
        content.update(tensor.numpy().tobytes())
    return content.hexdigest()
