"""A dataset as token ids, stored end to end without padding."""

import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Int
from torch import Tensor

from poolbench.core.shape_checks import check_labels

if TYPE_CHECKING:  # token ids can be used without these packages
    import datasets

# Texts -> (token ids of each text, number of truncated texts).
Tokenize = Callable[[list[str]], tuple[list[list[int]], int]]


@dataclass(frozen=True)
class TokenizedDataset:
    """Token ids and labels of all splits; an example's id is its row over all splits."""

    ids: Int[Tensor, " total"]  # token ids of all examples, end to end
    starts: Int[Tensor, " N+1"]  # index of the first token of each example, then the total
    labels: Int[Tensor, " N"]
    splits: dict[str, Int[Tensor, " n"]] = field(default_factory=dict)  # its example ids, ascending
    class_names: tuple[str, ...] = ()
    cut: int = 0  # number of truncated texts
    blank: int = 0  # number of texts that are empty or white space
    data_digest: str = ""  # digest of the texts, labels and groups
    groups: Int[Tensor, " N"] | None = None  # number of each example's group

    @property
    def lengths(self) -> Int[Tensor, " N"]:
        """Number of tokens of each example."""
        return self.starts.diff()

    @property
    def token_digest(self) -> str:
        """Digest of the token ids of all examples."""
        return _sha256(self.ids, self.starts)

    @property
    def token_counts(self) -> Int[Tensor, " V"]:
        """Occurrences of each token id in the training split."""
        return torch.bincount(self.tokens_of("train"))

    def tokens_of(self, split: str) -> Int[Tensor, " tokens"]:
        """Token ids of the examples of a split, end to end."""
        chosen = torch.zeros(len(self.labels), dtype=torch.bool)
        chosen[self.splits[split]] = True
        return self.ids[chosen.repeat_interleave(self.lengths)]

    def summary(self) -> dict[str, Any]:
        """The ``data`` part of a record."""
        return {
            "classes": list(self.class_names),
            "examples": {split: len(rows) for split, rows in self.splits.items()},
            "cut_texts": self.cut,
            "blank_texts": self.blank,
            "test_tokens": self.lengths[self.splits["test"]].tolist(),
        }

    def split_digest(self, split: str) -> str:
        """Digest of the token ids and labels of one split, in order."""
        return _sha256(self.tokens_of(split), self.labels[self.splits[split]])


def tokenize_splits(splits: "datasets.DatasetDict", tokenize: Tokenize) -> TokenizedDataset:
    """Tokenize the train, validation and test splits; labels must be 0 to C-1."""
    from poolbench.data.loaders import SPLITS, digest
    from poolbench.data.splits import numbered

    tables = [splits[name] for name in SPLITS]
    labels = torch.tensor([label for table in tables for label in table["label"][:]])
    class_names = tuple(splits["train"].features["label"].names)
    check_labels(labels, len(class_names))
    ends = itertools.accumulate(map(len, tables), initial=0)
    ranges = itertools.starmap(torch.arange, itertools.pairwise(ends))
    groups = None
    if "group" in splits["train"].column_names:
        groups = torch.from_numpy(numbered(name for table in tables for name in table["group"][:]))
    return replace(
        tokenize_texts([text for table in tables for text in table["text"][:]], tokenize),
        labels=labels,
        splits=dict(zip(SPLITS, ranges, strict=True)),
        class_names=class_names,
        groups=groups,
        data_digest=digest(splits),
    )


def tokenize_texts(texts: Sequence[str], tokenize: Tokenize) -> TokenizedDataset:
    """Tokenize unlabelled texts; all labels are 0 and have no meaning."""
    rows, cut = tokenize(list(texts))
    return TokenizedDataset(
        ids=torch.tensor([token for row in rows for token in row], dtype=torch.int32),
        starts=torch.tensor([0, *map(len, rows)]).cumsum(0),
        labels=torch.zeros(len(rows), dtype=torch.long),
        cut=cut,
        blank=sum(not text.strip() for text in texts),
    )


def _sha256(*tensors: Tensor) -> str:
    content = hashlib.sha256()
    for tensor in tensors:
        content.update(tensor.numpy().tobytes())
    return content.hexdigest()
