"""A dataset and an encoder, as the runs of a command share them."""

import functools
from dataclasses import dataclass

import datasets

from poolbench.data.duplicates import count_duplicates
from poolbench.data.needs import Columns
from poolbench.data.relevance import queries_of
from poolbench.data.tokenized import TokenizedDataset
from poolbench.encoders.base import Encoder


@dataclass(frozen=True)
class Inputs:
    """A dataset, tokenized for an encoder; with cross-validation, as one fold sees it.

    Attributes:
        splits: texts and labels, as loaders return them.
        data: the same as token ids.
        encoder: as loaded; runs work on copies.
        columns: what the task needs of a dataset.
    """

    splits: datasets.DatasetDict
    data: TokenizedDataset
    encoder: Encoder
    columns: Columns

    @functools.cached_property
    def digests(self) -> dict[str, str]:
        """Digests of the content of dataset and encoder; their names do not count."""
        return {
            "data": self.data.data_digest,
            "tokens": self.data.token_digest,
            "test_ids": self.data.split_digest("test"),
            "encoder": self.encoder.digest,
        }

    @property
    def test_texts(self) -> list[str]:
        """What people read of each test example: its text, both texts of a pair, or the query."""
        table = self.splits["test"]
        if self.data.relevance:
            rows = zip(table["text"][:], table["text_b"][:], table["label"][:], strict=True)
            return list(queries_of(rows))
        if "text_b" not in table.column_names:
            return list(table["text"])
        pairs = zip(table["text"][:], table["text_b"][:], strict=True)
        return [f"{first} / {second}" for first, second in pairs]

    @functools.cached_property
    def duplicates(self) -> dict[str, int]:
        """Texts and groups that splits share, and texts with different labels."""
        return count_duplicates(self.splits, self.columns)
