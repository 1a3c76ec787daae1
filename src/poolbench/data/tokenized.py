"""A dataset tokenised once: the token ids of every text end to end, no padding anywhere."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import torch
from jaxtyping import Int
from torch import Tensor

from poolbench.core.shape_checks import check_labels
from poolbench.data.loaders import SPLITS, digest

Tokenize = Callable[[list[str]], tuple[list[list[int]], int]]
"""Texts -> (token ids of each, how many texts had to be cut)."""


@dataclass(frozen=True)
class Corpus:
    """Every split of a dataset as token ids; an example's id is its row over all splits."""

    ids: Int[Tensor, " total"]
    starts: Int[Tensor, " N+1"]
    labels: Int[Tensor, " N"]
    splits: dict[str, range]
    class_names: tuple[str, ...]
    cut: int
    blank: int
    data_digest: str

    @property
    def lengths(self) -> Int[Tensor, " N"]:
        """Tokens in each example."""
        return self.starts.diff()

    @property
    def token_digest(self) -> str:
        """The identity of the tokenised texts."""
        return _sha256(self.ids, self.starts)

    @property
    def token_counts(self) -> Int[Tensor, " V"]:
        """How often each token id occurs in the training split."""
        rows = self.splits["train"]
        return torch.bincount(self.ids[self.starts[rows.start] : self.starts[rows.stop]])

    def summary(self) -> dict[str, Any]:
        """What a record says of its data."""
        test = self.splits["test"]
        return {
            "classes": list(self.class_names),
            "examples": {split: len(rows) for split, rows in self.splits.items()},
            "cut_texts": self.cut,
            "blank_texts": self.blank,
            "test_tokens": self.lengths[test.start : test.stop].tolist(),
        }

    def split_digest(self, split: str) -> str:
        """The identity of one split: which examples, in which order, with which labels."""
        rows = self.splits[split]
        first, last = int(self.starts[rows.start]), int(self.starts[rows.stop])
        return _sha256(self.ids[first:last], self.labels[rows.start : rows.stop])


def tokenise(splits: datasets.DatasetDict, tokenize: Tokenize) -> Corpus:
    """All splits through one tokenizer.

    Raises:
        ShapeError: a label outside 0..C-1.
    """
    texts: list[str] = []
    labels: list[int] = []
    ranges = {}
    for split in SPLITS:
        ranges[split] = range(len(texts), len(texts) + len(splits[split]))
        texts += splits[split]["text"]
        labels += splits[split]["label"]
    ids, starts, cut = _packed(texts, tokenize)
    class_names = tuple(splits["train"].features["label"].names)
    labels_tensor = torch.tensor(labels)
    check_labels(labels_tensor, len(class_names))
    return Corpus(
        ids=ids,
        starts=starts,
        labels=labels_tensor,
        splits=ranges,
        class_names=class_names,
        cut=cut,
        blank=sum(not text.strip() for text in texts),
        data_digest=digest(splits),
    )


def unlabelled(texts: Sequence[str], tokenize: Tokenize) -> Corpus:
    """New texts; their labels are all 0 and mean nothing."""
    ids, starts, cut = _packed(list(texts), tokenize)
    return Corpus(
        ids=ids,
        starts=starts,
        labels=torch.zeros(len(texts), dtype=torch.long),
        splits={},
        class_names=(),
        cut=cut,
        blank=sum(not text.strip() for text in texts),
        data_digest="",
    )


def _packed(texts: list[str], tokenize: Tokenize) -> tuple[Tensor, Tensor, int]:
    rows, cut = tokenize(texts)
    ids = torch.tensor([token for row in rows for token in row], dtype=torch.int32)
    lengths = torch.tensor([0, *(len(row) for row in rows)])
    return ids, lengths.cumsum(0), cut


def _sha256(*tensors: Tensor) -> str:
    content = hashlib.sha256()
    for tensor in tensors:
        content.update(tensor.numpy().tobytes())
    return content.hexdigest()
