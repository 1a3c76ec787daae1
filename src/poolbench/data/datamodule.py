"""Batches for Lightning: shuffled for training, sorted by length for evaluation."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from poolbench.core.seeding import stream_generator
from poolbench.data.collate import Batch
from poolbench.data.tokenized import TokenizedDataset

EVAL_BATCH = 128
POOL = 50  # batches that are sorted by length together


class ShuffledBatches(Sampler[Tensor]):
    """Example ids of the training batches of an epoch, in an order given by (seed, epoch).

    Process ``rank`` of ``world`` takes its share of every batch of ``batch_size`` examples. If
    ``lengths`` of all examples are given, a batch has examples of similar length: the shuffled
    examples of ``POOL`` batches are sorted by length and cut into batches, then the batches are
    shuffled. The examples of a batch are then not independent of each other.
    """

    def __init__(
        self,
        examples: Tensor,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        lengths: Tensor | None = None,
    ) -> None:
        self.examples, self.batch_size, self.seed = examples, batch_size, seed
        self.rank, self.world, self.lengths, self.epoch = rank, world, lengths, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def batches(self) -> Sequence[Tensor]:
        """The batches of the epoch, over all processes."""
        shuffled = torch.randperm(len(self.examples), generator=self._generator("order"))
        order = self.examples[shuffled]
        if self.lengths is None:
            return order.split(self.batch_size)
        pools = order.split(POOL * self.batch_size)
        ordered = [ids[self.lengths[ids].argsort(stable=True)] for ids in pools]
        grouped = [batch for ids in ordered for batch in ids.split(self.batch_size)]
        mixed = torch.randperm(len(grouped), generator=self._generator("order of groups"))
        return [grouped[i] for i in mixed.tolist()]

    def __iter__(self) -> Iterator[Tensor]:
        for batch in self.batches():
            # A last batch with fewer examples than processes is dropped: some would get none.
            if len(batch) >= self.world:
                yield batch[self.rank :: self.world]

    def __len__(self) -> int:
        full, rest = divmod(len(self.examples), self.batch_size)
        return full * (self.batch_size >= self.world) + (rest >= self.world)

    def _generator(self, purpose: str) -> torch.Generator:
        return stream_generator(self.seed, purpose, self.epoch)


def by_length(lengths: Tensor, examples: Tensor, rank: int = 0, world: int = 1) -> Sequence[Tensor]:
    """Example ids in batches of similar length, longest first: the least padding."""
    order = lengths[examples].argsort(stable=True, descending=True)
    return examples[order][rank::world].split(EVAL_BATCH)


class TokenizedDataModule(pl.LightningDataModule):
    """Batches of a tokenized dataset.

    Args:
        collate: example ids -> batch, as the encoder needs it.
        batch_size: examples in a training batch, over all processes.
        grouped: put examples of similar length into a training batch.
    """

    def __init__(
        self,
        dataset: TokenizedDataset,
        collate: Callable[[Tensor], Batch],
        batch_size: int,
        seed: int,
        grouped: bool = False,
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self.collate: Any = collate
        self.batch_size, self.seed, self.grouped = batch_size, seed, grouped

    def train_dataloader(self) -> DataLoader[Any]:
        lengths = self.dataset.longest if self.grouped else None
        order = (self.dataset.splits["train"], self.batch_size, self.seed, *self._process())
        return self._loader(ShuffledBatches(*order, lengths))

    def val_dataloader(self) -> DataLoader[Any]:
        return self._evaluation("validation")

    def test_dataloader(self) -> DataLoader[Any]:
        return self._evaluation("test")

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, _: int) -> Batch:
        """Copy without waiting for a GPU; the batch is in pinned memory."""
        return batch.to(device, non_blocking=device.type == "cuda")

    def _evaluation(self, split: str) -> DataLoader[Any]:
        examples = self.dataset.splits[split]
        return self._loader(by_length(self.dataset.longest, examples, *self._process()))

    def _loader(self, sampler: Iterable[Tensor]) -> DataLoader[Any]:
        # The sampler yields whole batches: indexing all example ids with one returns it unchanged.
        # Worker processes would cost more than collating, which is two index operations.
        ids: Any = torch.arange(len(self.dataset.labels))
        generator = torch.Generator()  # leaves the global random state unchanged
        return DataLoader(
            ids,
            batch_size=None,
            sampler=sampler,
            collate_fn=self.collate,
            generator=generator,
            pin_memory=torch.cuda.is_available(),
        )

    def _process(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
