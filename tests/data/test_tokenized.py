"""Examples for training chosen by their length."""

import torch

from poolbench.data.tokenized import TokenizedDataset
from tests.conftest import rejection


def dataset() -> TokenizedDataset:
    """Twelve pairs of texts of 1, 2, ... 24 tokens; three splits of four pairs, two classes."""
    lengths = torch.arange(1, 25)
    return TokenizedDataset(
        ids=torch.zeros(int(lengths.sum()), dtype=torch.int32),
        starts=torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)]),
        labels=torch.tensor([0, 1] * 6),
        members=torch.arange(24).view(12, 2),
        splits={
            "train": torch.tensor([0, 1, 6, 7]),
            "validation": torch.tensor([2, 3, 8, 9]),
            "test": torch.tensor([4, 5, 10, 11]),
        },
        class_names=("a", "b"),
    )


def test_training_on_short_examples_leaves_the_test_split_as_it_is() -> None:
    whole = dataset()
    short = whole.trained_on_short(8)  # a pair has as many tokens as its longer text
    assert {name: rows.tolist() for name, rows in short.splits.items()} == {
        "train": [0, 1],
        "validation": [2, 3],
        "test": [4, 5, 10, 11],
    }
    assert short.token_digest == whole.token_digest, "the cached features serve both"
    assert short.split_digest("test") == whole.split_digest("test")
    assert whole.trained_on_short(None) is whole


def test_a_length_that_leaves_no_example_of_a_class_is_rejected() -> None:
    assert "leaves 0 of 4 train examples" in rejection(lambda: dataset().trained_on_short(1))
    message = rejection(lambda: dataset().trained_on_short(2))
    assert "train_max_tokens=2 leaves 1 of 4 train examples, with 1 of 2 different" in message
