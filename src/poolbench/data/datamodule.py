"""Which examples come when: shuffled for training, by length for evaluation."""

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import Sampler

from poolbench.core.seeding import generator
from poolbench.data.collate import Batch, make_batch
from poolbench.data.tokenized import Corpus

EVAL_BATCH = 128
POOL = 50  # batches that are sorted by length together


class ShuffledBatches(Sampler[Tensor]):
    """Example ids of one training batch after another.

    The order is a function of (seed, epoch) and nothing else, so every pooler sees the same one.
    With several processes each takes its share of every batch; with several pieces a batch comes
    in as many parts, one after another.
    """

    def __init__(
        self,
        examples: range,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        pieces: int = 1,
    ) -> None:
        self.examples, self.batch_size, self.seed = examples, batch_size, seed
        self.rows = ceil(batch_size / pieces)
        self.rank, self.world = rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def batches(self) -> Sequence[Tensor]:
        """The whole batches of an epoch."""
        draw = generator(self.seed, "order", self.epoch)
        order = torch.randperm(len(self.examples), generator=draw)
        return (order + self.examples.start).split(self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        for batch in self.batches():
            for piece in batch.split(self.rows):
                # With fewer examples than processes, one of them would have none.
                if len(piece) >= self.world:
                    yield piece[self.rank :: self.world]

    def __len__(self) -> int:
        full, rest = divmod(len(self.examples), self.batch_size)
        sizes = [self.batch_size] * full + [rest]
        return sum(
            min(self.rows, size - start) >= self.world
            for size in sizes
            for start in range(0, size, self.rows)
        )


class GroupedBatches(ShuffledBatches):
    """The same, but each batch holds examples of like length.

    The shuffled examples of ``POOL`` batches are sorted by length and cut into batches, and the
    batches are shuffled: batches are no longer drawn at random, only their order is.

    Args:
        lengths: of all examples of the corpus, in tokens.
        shuffled: the arguments of :class:`ShuffledBatches`.
    """

    def __init__(self, lengths: Tensor, *shuffled: Any) -> None:
        super().__init__(*shuffled)
        self.lengths = lengths

    def batches(self) -> Sequence[Tensor]:
        pools = torch.cat(list(super().batches())).split(POOL * self.batch_size)
        alike = [
            batch
            for pool in pools
            for batch in pool[self.lengths[pool].argsort(stable=True)].split(self.batch_size)
        ]
        draw = generator(self.seed, "order of groups", self.epoch)
        return [alike[i] for i in torch.randperm(len(alike), generator=draw).tolist()]


class ByLength(Sampler[Tensor]):
    """Example ids in batches of like length: the least padding. Order does not matter here."""

    def __init__(self, corpus: Corpus, examples: range, rank: int = 0, world: int = 1) -> None:
        lengths = corpus.lengths[examples.start : examples.stop]
        order = lengths.argsort(stable=True, descending=True) + examples.start
        self.batches = order[rank::world].split(EVAL_BATCH)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class CorpusDataModule(pl.LightningDataModule):
    """Batches of a corpus for Lightning.

    Args:
        corpus: the tokenised dataset.
        batch_size: examples in a training batch, over all processes.
        seed: of the training order.
        padding_side: "left" or "right", as the encoder wants it.
        pad_id: the id that fills the padding.
        pieces: parts that each training batch comes in.
        unpooled_ids: tokens that the encoder sees and the pooler does not.
        grouped: put examples of like length into a training batch.
    """

    def __init__(
        self,
        corpus: Corpus,
        batch_size: int,
        seed: int,
        padding_side: str,
        pad_id: int,
        pieces: int = 1,
        unpooled_ids: tuple[int, ...] = (),
        grouped: bool = False,
    ) -> None:
        super().__init__()
        self.grouped = grouped
        self.pieces, self.unpooled_ids = pieces, unpooled_ids
        self.corpus, self.batch_size, self.seed = corpus, batch_size, seed
        self.padding_side, self.pad_id = padding_side, pad_id

    def train_dataloader(self) -> "PaddedBatches":
        examples = self.corpus.splits["train"]
        given = (examples, self.batch_size, self.seed, *self._place(), self.pieces)
        if self.grouped:
            return PaddedBatches(self, GroupedBatches(self.corpus.lengths, *given))
        return PaddedBatches(self, ShuffledBatches(*given))

    def val_dataloader(self) -> "PaddedBatches":
        return self._by_length("validation")

    def test_dataloader(self) -> "PaddedBatches":
        return self._by_length("test")

    def _by_length(self, split: str) -> "PaddedBatches":
        return PaddedBatches(self, ByLength(self.corpus, self.corpus.splits[split], *self._place()))

    def _place(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


class PaddedBatches:
    """Batches in the order of a sampler, whose epoch Lightning sets.

    A batch is two index operations on a packed tensor: a ``DataLoader`` would add half of that
    again, and worker processes far more.
    """

    batch_sampler = None  # Lightning asks whoever has a sampler for both

    def __init__(self, data: CorpusDataModule, sampler: ShuffledBatches | ByLength) -> None:
        self.data, self.sampler = data, sampler

    def __iter__(self) -> Iterator[Batch]:
        data = self.data
        for rows in self.sampler:
            yield make_batch(data.corpus, rows, data.padding_side, data.pad_id, data.unpooled_ids)

    def __len__(self) -> int:
        return len(self.sampler)
