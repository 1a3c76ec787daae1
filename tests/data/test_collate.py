"""Batches against a Python loop, and orders that are functions of (seed, epoch)."""

import pytest
import torch

from poolbench.data.collate import make_batch
from poolbench.data.datamodule import (
    ByLength,
    CorpusDataModule,
    GroupedBatches,
    ShuffledBatches,
)
from poolbench.data.tokenized import Corpus

ROWS = [[5], [6, 7, 8], [], [9, 10]]


def corpus(rows: list[list[int]] = ROWS) -> Corpus:
    n = len(rows)
    return Corpus(
        ids=torch.tensor([i for row in rows for i in row], dtype=torch.int32),
        starts=torch.tensor([0, *torch.tensor([len(r) for r in rows]).cumsum(0).tolist()]),
        labels=torch.arange(n) % 2,
        splits={"train": range(n // 2), "validation": range(n // 2, n), "test": range(n // 2, n)},
        class_names=("a", "b"),
        cut=0,
        blank=0,
        data_digest="",
    )


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_agrees_with_a_loop(side: str) -> None:
    batch = make_batch(corpus(), torch.tensor([1, 2, 0, 3]), side, pad_id=99)
    for ids, mask, row in zip(
        batch.input_ids, batch.attention_mask, [ROWS[1], ROWS[2], ROWS[0], ROWS[3]], strict=True
    ):
        pad = [99] * (3 - len(row))
        assert ids.tolist() == (pad + row if side == "left" else row + pad)
        assert ids[mask].tolist() == row
    assert batch.tokens == 6
    assert batch.labels.tolist() == [1, 0, 0, 1]


def test_a_batch_of_empty_texts_has_one_padded_column() -> None:
    assert make_batch(corpus(), torch.tensor([2])).attention_mask.tolist() == [[False]]


def test_the_training_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = ShuffledBatches(range(10, 110), 32, seed)
        sampler.set_epoch(epoch)
        return torch.cat(list(sampler)).tolist()

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2) != order(1, 2)
    assert sorted(order(3, 4)) == list(range(10, 110))


def test_processes_share_every_batch_of_the_same_order() -> None:
    whole = list(ShuffledBatches(range(65), 16, 0))
    halves = [list(ShuffledBatches(range(65), 16, 0, rank, 2)) for rank in (0, 1)]
    assert len(halves[0]) == len(halves[1]) == 4  # the last one, of 1, would leave a rank idle
    for all_ids, a, b in zip(whole, *halves, strict=False):
        assert sorted(torch.cat([a, b]).tolist()) == sorted(all_ids.tolist())


def grouped(seed: int, epoch: int, *rest: int) -> list[torch.Tensor]:
    lengths = torch.randint(1, 60, (900,), generator=torch.Generator().manual_seed(7))
    sampler = GroupedBatches(lengths, range(10, 875), 8, seed, *rest)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert max(int(lengths[ids].max() - lengths[ids].min()) for ids in batches) <= 20
    return batches


def test_grouped_batches_hold_like_lengths_and_each_example_once() -> None:
    ids = torch.cat(grouped(0, 1)).tolist()
    assert sorted(ids) == list(range(10, 875))
    assert ids == torch.cat(grouped(0, 1)).tolist()
    assert ids != torch.cat(grouped(0, 2)).tolist() != torch.cat(grouped(1, 2)).tolist()


def test_grouped_batches_come_in_no_order_of_length() -> None:
    lengths = torch.arange(400)
    first = [int(ids.min()) for ids in GroupedBatches(lengths, range(400), 8, 0)]
    assert first != sorted(first)
    assert first != sorted(first, reverse=True)


def test_processes_and_pieces_share_grouped_batches_too() -> None:
    whole = grouped(0, 0)
    halves = [grouped(0, 0, rank, 2) for rank in (0, 1)]
    assert all(
        sorted(torch.cat([a, b]).tolist()) == sorted(ids.tolist())
        for ids, a, b in zip([ids for ids in whole if len(ids) > 1], *halves, strict=True)
    )
    pieces = grouped(0, 0, 0, 1, 2)
    assert torch.cat(pieces).tolist() == torch.cat(whole).tolist()


def test_evaluation_sees_each_example_once_longest_first() -> None:
    rows = [[1] * n for n in (3, 9, 1, 7, 5, 2, 8, 4)]
    ids = torch.cat(list(ByLength(corpus(rows), range(4, 8))))
    assert ids.tolist() == [6, 4, 7, 5]


def test_loaders_give_whole_batches() -> None:
    data = CorpusDataModule(corpus([[i] * (i % 4 + 1) for i in range(40)]), 8, 0, "right", 0)
    batches = list(data.train_dataloader())
    assert [len(batch) for batch in batches] == [8, 8, 4]
    assert sum(len(batch) for batch in data.val_dataloader()) == 20


def test_a_grouped_loader_has_less_padding() -> None:
    texts = corpus([[1] * (i * 7 % 31 + 1) for i in range(160)])
    positions = [
        sum(
            b.input_ids.numel()
            for b in CorpusDataModule(texts, 8, 0, "right", 0, grouped=how).train_dataloader()
        )
        for how in (False, True)
    ]
    assert positions[1] < 0.75 * positions[0]
