"""A dataset as token ids, stored end to end without padding."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Int, Num
from torch import Tensor

from poolbench.core.errors import UserError
from poolbench.data.relevance import Relevance

# Texts -> (token ids of each text, number of truncated texts).
Tokenize = Callable[[list[str]], tuple[list[list[int]], int]]


@dataclass(frozen=True)
class TokenizedDataset:
    """Token ids of M texts and the N examples made of them.

    With one text in an example they are the same, and the id of an example is its row over all
    splits. Examples of two texts share those that are equal: each is stored and encoded once. Where
    both are encoded as one sequence, that sequence is a text, the only one of its example.
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
    segments: Int[Tensor, " total"] | None = None  # of each token, where a text is two texts
    pairs: Int[Tensor, "N 2"] | None = None  # numbers of the two texts; equal texts have one

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
        return _unlabelled(self.ids, self.starts, self.segments)

    def trained_on_short(self, most_tokens: int | None) -> "TokenizedDataset":
        """Training and validation without examples that have a text of more tokens.

        Raises:
            UserError: none is left, or a class is no longer there.
        """
        if most_tokens is None:
            return self
        splits = dict(self.splits)
        for name in ("train", "validation"):
            rows = splits[name]
            splits[name] = rows[self.longest[rows] <= most_tokens]
            had, left = (len(self.labels[ids].unique()) for ids in (rows, splits[name]))
            if not len(splits[name]) or (self.labels.ndim == 1 and self.class_names and left < had):
                raise UserError(
                    f"train_max_tokens={most_tokens} leaves {len(splits[name])} of {len(rows)} "
                    f"{name} examples, with {left} of {had} different labels"
                )
        return replace(self, splits=splits)

    @property
    def token_digest(self) -> str:
        """Digest of the token ids of all texts."""
        return _sha256(self.ids, self.starts, *([] if self.segments is None else [self.segments]))

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


def tokenize_texts(texts: Sequence[str], tokenize: Tokenize) -> TokenizedDataset:
    """Tokenize unlabelled texts; all labels are 0 and have no meaning."""
    rows, cut = tokenize(list(texts))
    ids = torch.tensor([token for row in rows for token in row], dtype=torch.int32)
    starts = torch.tensor([0, *map(len, rows)]).cumsum(0)
    blank = sum(not text.strip() for text in texts)
    return replace(_unlabelled(ids, starts), cut=cut, blank=blank)


def _unlabelled(ids: Tensor, starts: Tensor, segments: Tensor | None = None) -> TokenizedDataset:
    number = len(starts) - 1
    members = torch.arange(number).unsqueeze(1)
    labels = torch.zeros(number, dtype=torch.long)
    return TokenizedDataset(ids, starts, labels, members, segments=segments)


def _sha256(*tensors: Tensor) -> str:
    content = hashlib.sha256()
    for tensor in tensors:
        content.update(tensor.numpy().tobytes())
    return content.hexdigest()
