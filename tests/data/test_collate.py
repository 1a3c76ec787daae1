"""Padded batches against a Python loop."""

import pytest
import torch

from poolbench.data.collate import collate
from poolbench.data.tokenized import TokenizedDataset

ROWS = [[5], [6, 7, 8], [], [9, 10]]


def dataset(rows: list[list[int]] = ROWS) -> TokenizedDataset:
    n = len(rows)
    first, second = torch.arange(n).tensor_split([n // 2])
    return TokenizedDataset(
        ids=torch.tensor([i for row in rows for i in row], dtype=torch.int32),
        starts=torch.tensor([0, *torch.tensor([len(r) for r in rows]).cumsum(0).tolist()]),
        labels=torch.arange(n) % 2,
        members=torch.arange(n).unsqueeze(1),
        splits=dict(zip(("train", "validation", "test"), (first, *[second] * 2), strict=True)),
    )


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_batch_agrees_with_a_loop(side: str) -> None:
    batch = collate(dataset(), torch.tensor([1, 2, 0, 3]), side, pad_id=99, unpooled_ids=(7, 9))
    rows = [ROWS[1], ROWS[2], ROWS[0], ROWS[3]]
    for i, row in enumerate(rows):
        pad = [99] * (3 - len(row))
        mask = batch.attention_mask[i]
        assert batch.input_ids[i].tolist() == (pad + row if side == "left" else row + pad)
        assert batch.input_ids[i][mask].tolist() == row
        pooled = batch.input_ids[i][batch.pooling_mask[i]]
        assert pooled.tolist() == [token for token in row if token not in (7, 9)]
    assert batch.tokens == 6
    assert batch.labels.tolist() == [1, 0, 0, 1]
    assert batch.example_ids.tolist() == [1, 2, 0, 3]


def test_a_batch_of_empty_texts_has_one_column_of_padding() -> None:
    assert collate(dataset(), torch.tensor([2])).attention_mask.tolist() == [[False]]
