"""Orders that depend on (seed, epoch) only, shared by processes and set by Lightning."""

import pytorch_lightning as pl
import torch

from poolbench.data.collate import Batch, collate
from poolbench.data.datamodule import ShuffledBatches, TokenizedDataModule, by_length
from tests.conftest import QUIET
from tests.data.test_collate import dataset

LENGTHS = torch.randint(1, 60, (900,), generator=torch.Generator().manual_seed(7))


def epoch_of(sampler: ShuffledBatches, epoch: int) -> list[torch.Tensor]:
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    return batches


def shuffled(seed: int, epoch: int, rank: int = 0, world: int = 1) -> list[torch.Tensor]:
    return epoch_of(ShuffledBatches(torch.arange(10, 875), 8, seed, rank, world), epoch)


def grouped(seed: int, epoch: int, rank: int = 0, world: int = 1) -> list[torch.Tensor]:
    return epoch_of(ShuffledBatches(torch.arange(10, 875), 8, seed, rank, world, LENGTHS), epoch)


def test_the_training_order_is_a_function_of_seed_and_epoch() -> None:
    for order in (shuffled, grouped):
        ids = [torch.cat(order(seed, epoch)).tolist() for seed, epoch in ((0, 1), (0, 2), (1, 2))]
        assert ids[0] == torch.cat(order(0, 1)).tolist()
        assert ids[0] != ids[1] != ids[2]
        assert all(sorted(found) == list(range(10, 875)) for found in ids)


def test_processes_share_every_batch() -> None:
    for order in (shuffled, grouped):
        # The batch of one example is dropped: one process would have none.
        whole = [ids for ids in order(0, 0) if len(ids) > 1]
        for ids, a, b in zip(whole, order(0, 0, 0, 2), order(0, 0, 1, 2), strict=True):
            assert sorted(torch.cat([a, b]).tolist()) == sorted(ids.tolist())


def test_grouped_batches_have_similar_lengths_in_random_order() -> None:
    batches = grouped(0, 1)
    assert max(int(LENGTHS[ids].max() - LENGTHS[ids].min()) for ids in batches) <= 20
    smallest = [int(LENGTHS[ids].min()) for ids in batches]
    assert smallest != sorted(smallest)
    assert smallest != sorted(smallest, reverse=True)


def test_evaluation_has_each_example_once_longest_first() -> None:
    lengths = torch.tensor([3, 9, 1, 7, 5, 2, 8, 4])
    assert torch.cat(list(by_length(lengths, torch.arange(4, 8)))).tolist() == [6, 4, 7, 5]
    halves = [torch.cat(list(by_length(lengths, torch.arange(8), rank, 2))) for rank in (0, 1)]
    assert sorted(torch.cat(halves).tolist()) == list(range(8))


class Recorder(pl.LightningModule):
    """Records the batches that Lightning gives to the training step."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[Batch] = []
        self.validated = 0

    def training_step(self, batch: Batch, batch_index: int) -> torch.Tensor:
        self.seen.append(batch)
        return self.weight * 0

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        self.validated += len(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_lightning_trains_on_the_batches_of_the_sampler_and_sets_its_epoch() -> None:
    data = dataset([[i] * (i % 4 + 1) for i in range(40)])
    module = Recorder()
    trainer = pl.Trainer(
        **QUIET, max_epochs=3, use_distributed_sampler=False, num_sanity_val_steps=0
    )
    torch.manual_seed(5)
    state = torch.get_rng_state()
    batches = TokenizedDataModule(data, lambda rows: collate(data, rows), batch_size=8, seed=3)
    trainer.fit(module, batches)
    assert torch.equal(torch.get_rng_state(), state), "the global random state is unchanged"
    sampler = ShuffledBatches(torch.arange(20), 8, seed=3)
    expected = [collate(data, rows) for epoch in range(3) for rows in epoch_of(sampler, epoch)]
    assert len(module.seen) == len(expected) == 9
    for found, wanted in zip(module.seen, expected, strict=True):
        assert torch.equal(found.example_ids, wanted.example_ids)
        assert torch.equal(found.input_ids, wanted.input_ids)
    assert module.validated == 3 * 20


def test_grouping_reduces_padding() -> None:
    data = dataset([[1] * (i * 7 % 31 + 1) for i in range(160)])

    def positions(grouped: bool) -> int:
        loader = TokenizedDataModule(data, lambda rows: collate(data, rows), 8, 0, grouped)
        return sum(batch.input_ids.numel() for batch in loader.train_dataloader())

    assert positions(True) < 0.75 * positions(False)
